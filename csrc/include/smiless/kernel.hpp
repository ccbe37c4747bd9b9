// Exact search over what series and parallel joins leave: by labels while few events are open at a time, else by
// branch and bound.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "smiless/cell.hpp"

namespace smiless {

// A label per arc of the kernel.
struct KernelPlan {
  Money cost;
  std::vector<int32_t> label;
};

class KernelLabels {
 public:
  enum class Result : uint8_t { complete, crowded, ended };

  explicit KernelLabels(const Network &net);
  // Find the best plan of reduced cost up to `limit` (ties by ranks) among the labels of the kernel's arcs.
  // `crowded` when more than `most` partial plans would have stood side by side: the most promising ones went on,
  // so `best` is a plan, but perhaps not the best one.
  Result search(Cell &cell, const Windows &windows, double limit, size_t most, Control &control,
                std::optional<KernelPlan> &best);

 private:
  // Partial plans are rows: how they got there, and the clocks of the events that are still open.
  struct State {
    Money cost;
    double reduced;
    double pull;  // worth-weighted arrivals at the event under way, relative to its time in the relaxation
    Time clock;   // of the event under way
    int32_t step;
    Key key;
  };
  struct Step {
    int32_t parent, label;
  };
  const Graph &graph_;
  std::vector<int32_t> arc_;            // in the order in which they are labeled
  std::vector<int32_t> slot_, closes_;  // per event: where its clock is kept; events closed after each event
  std::vector<int32_t> closes_offset_;
  int32_t width_ = 0;
  std::vector<State> now_, next_;
  std::vector<Time> clocks_, next_clocks_;
  std::vector<Step> steps_;
  std::vector<int32_t> sequence_, kept_;
  std::vector<std::vector<int32_t>> by_reduced_;

  void thin_out();
  void cut(std::vector<State> &rows, std::vector<Time> &clocks, size_t most);
  void keep_rows(std::vector<State> &rows, std::vector<Time> &clocks);
};

// Best first branch and bound on sets of labels, with the relaxation warm started at every node.
class Branch {
 public:
  explicit Branch(const Network &net);
  // Improve on `incumbent` (a cost that some plan has); true when it is proved that no plan is cheaper by more than
  // the rounding error of the bounds. `bound` is raised to what is proved.
  bool search(Cell &cell, double unit, Money incumbent, Control &control, std::optional<KernelPlan> &best,
              double &bound);

 private:
  struct Node {
    double bound;
    int64_t serial;
    std::vector<uint64_t> allowed;  // a bit per label of the kernel's arcs
    std::vector<Time> time;
    std::vector<int64_t> flow;
  };
  const Graph &kernel_;
  // With releases, the kernel also gets an arc from the source to every event, as long as the event's earliest
  // time; without, the durations say as much.
  Graph released_graph_;
  Relaxation plain_, released_;
  Relaxation *relaxation_ = nullptr;
  Windows windows_;
  std::vector<Labels> allowed_;  // of the node under way; `left` is the label's place in the cell
  std::vector<int32_t> first_;   // per arc of the kernel, the bit of its first label
  std::vector<double> least_;    // per arc of the kernel, the value of its best allowed label
  void load(const Cell &cell, const Node &node);
  int32_t relaxed_arcs() const { return relaxation_ == &plain_ ? kernel_.arcs() : released_graph_.arcs(); }
  bool relax(Control &control);
  double value(int32_t arc, const Label &label) const;
  double node_bound(double margin);
  std::vector<uint64_t> mask(int32_t split, bool (*keeps)(const Label &, Time), Time at) const;
};

// Spend the slack of a plan: while some arc can change to a cheaper label within the windows that the others leave
// it, change the one that saves most. Ended early, it leaves a plan all the same.
void reclaim_slack(const Graph &graph, const std::vector<Labels> &labels, Time horizon, std::vector<int32_t> &choice,
                   Control &control);

}  // namespace smiless
