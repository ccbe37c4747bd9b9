// The continuous relaxation: every arc may mix its labels, so its cost is the lower convex hull of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "smiless/control.hpp"
#include "smiless/graph.hpp"

namespace smiless {

using Time = int64_t;   // nanoseconds
using Money = int64_t;  // scaled cost, see Search::scale_costs

struct Point {
  Time duration;
  Money cost;
};

// Minimise the summed hull costs over event times t with t[source] = 0 and t[sink] = horizon, and solve the dual
// on the way: a flow from source to sink in which an arc carries what one nanosecond more is worth to it. Event
// times and flows are kept between calls, so a changed arc is repaired and not solved anew. (Fulkerson 1961 and
// Kelley 1961 for the model; successive shortest paths from a pseudoflow for the method.)
class Relaxation {
 public:
  explicit Relaxation(const Graph &graph);

  // Forget the previous solution. One flow unit is worth `unit` cost per nanosecond.
  void reset(Time horizon, double unit);
  // Give an arc its candidate points, in ascending duration; `cost` reads a label's cost.
  template <class Labels, class Cost>
  void set_curve(int32_t arc, const Labels &labels, const Cost &cost);
  // Solve; the curves must admit the horizon. False when control ended the work: the flow is then still valid.
  bool solve(Control &control);

  // What one nanosecond is worth to the arc, and the nanoseconds that the solution grants it. As flow is
  // conserved, the sum of cost + worth * (duration - window) over arcs, each minimised alone, bounds the cost.
  double worth(int32_t arc) const { return static_cast<double>(flow[arc]) * unit_; }
  Time window(int32_t arc) const { return time[graph_.head[arc]] - time[graph_.tail[arc]]; }
  // Hull cost of the arc at its window: what the relaxation pays for it.
  double hull_cost(int32_t arc) const;

  std::vector<Time> time;       // per event
  std::vector<int64_t> flow;    // per arc, >= 0, conserved at every event but source and sink
  std::vector<int64_t> supply;  // per event, flow that release arcs bring in from the source beside the arcs

 private:
  static constexpr int64_t unbounded = INT64_MAX / 4;
  static constexpr int64_t steepest = int64_t{1} << 48;
  const Graph &graph_;
  Time horizon_ = 0;
  double unit_ = 1.0;
  struct Hull {
    std::vector<Point> points;
    std::vector<int64_t> slopes;  // slopes[k] joins points k and k + 1; descending
  };
  std::vector<Hull> hulls_;
  std::vector<int64_t> excess_;
  std::vector<Time> distance_;
  std::vector<int32_t> via_;  // arc by which an event was reached, ~arc when against its direction
  std::vector<char> settled_;
  std::vector<std::pair<Time, int32_t>> heap_;
  std::vector<int32_t> reached_;

  void finish_hull(Hull &hull);
  void repair_times();
  void repair_flows();
  bool augment(bool from_ground);
  // Where the flow can rise: the point that the arc then moves to, and by how much it can rise there.
  int32_t rising(const Hull &hull, int64_t flow) const;
  int32_t falling(const Hull &hull, int64_t flow) const;
};

template <class Labels, class Cost>
void Relaxation::set_curve(int32_t arc, const Labels &labels, const Cost &cost) {
  Hull &hull = hulls_[arc];
  auto &points = hull.points;
  points.clear();
  for (const auto &label : labels) {
    const Point p{label.duration, cost(label)};
    if (!points.empty() && p.cost >= points.back().cost) continue;
    if (!points.empty() && p.duration == points.back().duration) points.pop_back();
    // Drop the last point while it lies on or above the line from its predecessor to p.
    while (points.size() >= 2) {
      const Point &a = points[points.size() - 2], &b = points.back();
      const auto left = static_cast<__int128>(a.cost - b.cost) * (p.duration - b.duration);
      const auto right = static_cast<__int128>(b.cost - p.cost) * (b.duration - a.duration);
      if (left > right) break;
      points.pop_back();
    }
    points.push_back(p);
  }
  finish_hull(hull);
}

}  // namespace smiless
