// The configuration search: one mode per function, least summed cost, longest path within the sla.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "smiless/cell.hpp"
#include "smiless/control.hpp"
#include "smiless/graph.hpp"
#include "smiless/kernel.hpp"
#include "smiless/relaxation.hpp"
#include "smiless/smiless.h"

namespace smiless {

class Search {
 public:
  // Takes a network that build_network has made.
  explicit Search(Network network);
  Search(const Search &) = delete;
  Search &operator=(const Search &) = delete;

  // Partial plans side by side before branch and bound takes over. Measured at n = 12 to 30: above a hundred the
  // labels of a tight kernel cost more than the few dozen nodes that settle it, below thirty they miss easy ones.
  size_t width = 64;

  // Throws std::invalid_argument with a one-line message for values out of their domain.
  void set_modes(const int64_t *offsets, const double *release, const double *latency);
  smiless_result solve(const double *cost, double sla, Control &control, int32_t *choice);

 private:
  struct Mode {
    Time latency, not_before;
    int32_t index, rank;
  };
  Network net_;
  std::vector<int64_t> offsets_;
  std::vector<double> release_, latency_;
  std::vector<std::vector<Mode>> modes_;  // per function, by rank
  std::vector<int32_t> arc_of_;           // per function, its arc in the network
  Time longest_ = 0;                      // no plan takes longer
  Cell cell_;
  Relaxation relaxation_;
  KernelLabels kernel_labels_;
  Branch branch_;
  Windows kernel_windows_;

  bool keyed_ = false;         // the ranks of all functions fit into a key
  int exponent_ = 0;           // integer cost = cost * 2^exponent
  std::vector<int32_t> plan_;  // the incumbent: per function, a mode
  Money incumbent_ = 0;
  double proved_ = 0;  // scaled lower bound

  void load_labels(const double *cost, double ceiling);
  bool price_releases(double unit, Control &control);
  void round_down(Control &control);
  bool search_parts(double unit, Control &control);
  bool adopt(Money cost, std::vector<int32_t> &&plan, bool ties);
  void fastest_plan(const double *cost, std::vector<int32_t> &plan) const;
  double plan_cost(const double *cost, const std::vector<int32_t> &plan) const;
  Time plan_latency(const std::vector<int32_t> &plan) const;
  std::vector<int32_t> read_kernel_plan(const KernelPlan &plan);
};

// Whole nanoseconds at or above (below) a duration in seconds. A duration within four units in the last place of
// a whole nanosecond is that nanosecond, so that decimals such as 0.1 add up as they read.
Time nanoseconds_up(double seconds);
Time nanoseconds_down(double seconds);

}  // namespace smiless
