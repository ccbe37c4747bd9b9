// Graphs of events and arcs, and how an application becomes one.
#pragma once

#include <cstdint>
#include <vector>

namespace smiless {

// Events joined by arcs, acyclic; event 0 is the arrival, event 1 the response.
struct Graph {
  static constexpr int32_t source = 0, sink = 1;
  int32_t events = 2;
  std::vector<int32_t> tail, head, part;     // per arc; `part` says whose labels it carries
  std::vector<int32_t> order, position;      // topological order of events and its inverse
  std::vector<int32_t> in_offset, in_arc;    // arcs into an event, by event
  std::vector<int32_t> out_offset, out_arc;  // arcs out of an event, by event

  int32_t arcs() const { return static_cast<int32_t>(tail.size()); }
  // Fill the order and the adjacency from tail and head.
  void index();
};

// A part is a piece of the application between two events: a function, a dummy (no work), or two parts joined.
struct Part {
  enum class Kind : uint8_t { function, dummy, series, parallel };
  Kind kind;
  int32_t left, right;  // parts joined; for a function, left is its index
  int32_t tail, head;   // events
};

// The activity-on-arc network of an application: functions are arcs, precedence is shared events, with as few
// dummies as contraction leaves. Parts 0 .. network.arcs() - 1 are the arcs of `network`; the rest are joins in
// the order in which they can be made; `kernel` is what no join reduces further (one arc if series-parallel).
struct Network {
  int32_t functions = 0;
  Graph network, kernel;
  std::vector<Part> parts;
  bool series_parallel() const { return kernel.arcs() == 1; }
};

// Edges must be in range; returns false on a cycle.
bool build_network(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to, Network &out);

}  // namespace smiless
