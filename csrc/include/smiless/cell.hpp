// One problem in integers: labels of every part, time windows, and what the relaxation says labels are worth.
#pragma once

#include <cstdint>
#include <vector>

#include "smiless/control.hpp"
#include "smiless/graph.hpp"
#include "smiless/relaxation.hpp"

namespace smiless {

// Ranks side by side, function 0 foremost: keys compare as the vectors of ranks do, and those of joined parts, whose
// functions differ, are or-ed.
using Key = unsigned __int128;

// One way to do a part: its head happens at max(tail + duration, not_before).
struct Label {
  Time duration;
  Time not_before;
  Money cost;
  double reduced;       // how much more than the bound a plan costs at least if it uses this label
  int32_t left, right;  // labels of the joined parts; of a function, left is its mode
  Key key;              // the ranks of all its functions; 0 where they do not fit, and ties are settled by order
};
using Labels = std::vector<Label>;

// Time windows of the events of a graph, and the trimming of labels that do not fit them.
struct Windows {
  std::vector<Time> earliest, latest;

  // The earliest times with every arc at its best label.
  void forward(const Graph &graph, const std::vector<Labels> &labels);
  // Trim to the horizon; false when it cannot be met.
  bool trim(const Graph &graph, std::vector<Labels> &labels, Time horizon);
};

struct Cell {
  explicit Cell(const Network &network);

  const Network &net;
  std::vector<Labels> labels;  // per part; those of joins are made by join_parts
  Windows windows;             // of the network's events
  Time horizon = 0;

  // Prices of time, per part: what one nanosecond of its duration and of its not_before is worth, the window and
  // the head's time in the relaxation, and the least of cost + worth * (duration - window) + ... over its labels.
  struct Price {
    double worth = 0, release_worth = 0, base = 0;
    Time window = 0, finish = 0;
  };
  std::vector<Price> price;
  Money grain = 1;    // all plans' costs differ by multiples of this
  double bound = 0;   // sum of the bases: no plan that meets the horizon costs less
  double margin = 0;  // rounding error of any reduced cost below

  double reduced(int32_t part, const Label &label) const {
    const Price &p = price[part];
    return static_cast<double>(label.cost) + p.worth * static_cast<double>(label.duration - p.window) +
           p.release_worth * static_cast<double>(label.not_before - p.finish) - p.base;
  }
  // Set the prices of functions and dummies from the relaxation and those of joins from their pieces.
  void set_prices(const Relaxation &relaxation, const std::vector<double> &release_worth);
  // Keep labels of functions and dummies whose reduced cost is at most `limit`.
  void drop_above(double limit);

  // The modes that a label stands for, at its part's functions.
  void expand(int32_t part, int32_t label, std::vector<int32_t> &modes) const;
  // Make the labels of part `p` from those of its pieces, keeping reduced costs up to `limit`.
  // False when control ended the work.
  bool join(int32_t p, double limit, Control &control);

 private:
  Labels pairs_;
  std::vector<int32_t> by_reduced_;
  std::vector<int32_t> stairs_;
  void keep_undominated(Labels &out);
};

}  // namespace smiless
