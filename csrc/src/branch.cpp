#include <algorithm>
#include <array>
#include <cmath>

#include "smiless/kernel.hpp"

namespace smiless {

namespace {

Graph with_release_arcs(const Graph &kernel) {
  Graph g;
  g.events = kernel.events;
  g.tail = kernel.tail, g.head = kernel.head, g.part = kernel.part;
  for (int32_t e = 0; e < kernel.events; ++e) {
    if (e == Graph::source) continue;
    g.tail.push_back(Graph::source), g.head.push_back(e), g.part.push_back(-1);
  }
  g.index();
  return g;
}

}  // namespace

Branch::Branch(const Network &net)
    : kernel_(net.kernel),
      released_graph_(with_release_arcs(net.kernel)),
      plain_(kernel_),
      released_(released_graph_),
      allowed_(net.parts.size()),
      least_(net.kernel.arcs()) {}

void Branch::load(const Cell &cell, const Node &node) {
  for (int32_t a = 0; a < kernel_.arcs(); ++a) {
    const Labels &all = cell.labels[kernel_.part[a]];
    Labels &list = allowed_[kernel_.part[a]];
    list.clear();
    for (int32_t i = 0; i < static_cast<int32_t>(all.size()); ++i) {
      const int32_t bit = first_[a] + i;
      if (node.allowed[bit / 64] >> (bit % 64) & 1) {
        list.push_back(all[i]);
        list.back().left = i;
      }
    }
  }
  relaxation_->time = node.time, relaxation_->flow = node.flow;
}

bool Branch::relax(Control &control) {
  for (int32_t a = 0; a < kernel_.arcs(); ++a)
    relaxation_->set_curve(a, allowed_[kernel_.part[a]], [](const Label &l) { return l.cost; });
  for (int32_t a = kernel_.arcs(); a < relaxed_arcs(); ++a)
    relaxation_->set_curve(a, std::array{Point{windows_.earliest[released_graph_.head[a]], 0}},
                           [](const Point &p) { return p.cost; });
  return relaxation_->solve(control);
}

double Branch::value(int32_t arc, const Label &label) const {
  return static_cast<double>(label.cost) +
         relaxation_->worth(arc) * static_cast<double>(label.duration - relaxation_->window(arc));
}

// The bound that the relaxation's flow gives, every arc at its best allowed label.
double Branch::node_bound(double margin) {
  double sum = -margin;
  for (int32_t a = 0; a < kernel_.arcs(); ++a) {
    least_[a] = HUGE_VAL;
    for (const Label &l : allowed_[kernel_.part[a]]) least_[a] = std::min(least_[a], value(a, l));
    sum += least_[a];
  }
  for (int32_t a = kernel_.arcs(); a < relaxed_arcs(); ++a)
    sum += relaxation_->worth(a) *
           static_cast<double>(windows_.earliest[released_graph_.head[a]] - relaxation_->window(a));
  return sum;
}

// The allowed labels as bits; of arc `split` only those that `keeps` keeps.
std::vector<uint64_t> Branch::mask(int32_t split, bool (*keeps)(const Label &, Time), Time at) const {
  std::vector<uint64_t> bits((first_.back() + 63) / 64, 0);
  for (int32_t a = 0; a < kernel_.arcs(); ++a) {
    for (const Label &l : allowed_[kernel_.part[a]]) {
      const int32_t bit = first_[a] + l.left;
      if (a != split || keeps(l, at)) bits[bit / 64] |= uint64_t{1} << (bit % 64);
    }
  }
  return bits;
}

bool Branch::search(Cell &cell, double unit, Money incumbent, Control &control, std::optional<KernelPlan> &best,
                    double &bound) {
  const int32_t arcs = kernel_.arcs();
  const auto worse = [](const Node &a, const Node &b) {
    return a.bound != b.bound ? a.bound > b.bound : a.serial < b.serial;  // deeper first among equals
  };
  std::vector<Node> open;  // a heap, the most promising node in front
  const auto push = [&](Node node) {
    open.push_back(std::move(node));
    std::push_heap(open.begin(), open.end(), worse);
  };
  windows_.forward(kernel_, cell.labels);
  bool releases = false;
  for (int32_t a = 0; a < arcs; ++a)
    for (const Label &l : cell.labels[kernel_.part[a]])
      releases |= l.not_before > windows_.earliest[kernel_.tail[a]] + l.duration;
  relaxation_ = releases ? &released_ : &plain_;
  relaxation_->reset(cell.horizon, unit);
  first_.assign(1, 0);
  for (int32_t a = 0; a < arcs; ++a)
    first_.push_back(first_.back() + static_cast<int32_t>(cell.labels[kernel_.part[a]].size()));
  int64_t serial = 0;
  push({cell.bound - cell.margin, serial, std::vector<uint64_t>((first_.back() + 63) / 64, ~uint64_t{0}),
        relaxation_->time, relaxation_->flow});
  // A plan that is cheaper is so by a grain at least; less than the rounding error of the bounds does not count.
  const double step = std::max(static_cast<double>(cell.grain), 2 * cell.margin);
  const auto hopeless = [&](double lower) { return lower > static_cast<double>(incumbent) - step; };
  std::vector<int32_t> choice(arcs);
  while (!open.empty()) {
    if (hopeless(open.front().bound)) break;
    bound = std::max(bound, open.front().bound);
    if (control.opened(arcs)) return false;
    std::pop_heap(open.begin(), open.end(), worse);
    const Node node = std::move(open.back());
    open.pop_back();
    load(cell, node);

    // Solve, then drop labels that no better plan can use; anew while that moves the bound.
    double lower = node.bound;
    bool useful = true, dropped = true;
    for (int round = 0; useful && dropped && round < 3; ++round) {
      useful = windows_.trim(kernel_, allowed_, cell.horizon);
      if (!useful) break;
      if (!relax(control)) return false;
      const double now = node_bound(cell.margin);
      lower = std::max(lower, now);
      useful = !hopeless(lower);
      dropped = false;
      // Windows that are older than a drop must not judge the labels that are left.
      if (round == 2) break;
      for (int32_t a = 0; useful && a < arcs; ++a)
        dropped |= std::erase_if(allowed_[kernel_.part[a]],
                                 [&](const Label &l) { return hopeless(now - least_[a] + value(a, l)); }) > 0;
    }
    if (!useful) continue;

    // Round down to labels that fit their windows; the event times then hold, so this is a plan. Find the arc that
    // loses most by it.
    double worst = -1, total_rounded = 0;
    int32_t split = -1;
    bool by_wait = false, whole = true;
    for (int32_t a = 0; a < arcs; ++a) {
      const Labels &list = allowed_[kernel_.part[a]];
      const Time window = relaxation_->window(a), end = relaxation_->time[kernel_.head[a]];
      const Label *fits = nullptr, *fits_window = nullptr;
      for (const Label &l : list) {
        if (l.duration > window) break;
        if (!fits_window || l.cost < fits_window->cost) fits_window = &l;
        if (l.not_before <= end && (!fits || l.cost < fits->cost)) fits = &l;
      }
      if (fits) choice[a] = static_cast<int32_t>(fits - list.data()), total_rounded += static_cast<double>(fits->cost);
      whole = whole && fits;
      const double penalty = fits ? static_cast<double>(fits->cost) - relaxation_->hull_cost(a) : HUGE_VAL;
      if (penalty > worst && list.size() > 1) {
        worst = penalty, split = a;
        by_wait = !fits || fits->cost != fits_window->cost;
      }
    }
    // Slack hardly ever buys back more than the gap: look at plans that are further off only early on.
    const double best_cost = static_cast<double>(incumbent);
    if (whole && (serial < 64 || total_rounded < best_cost + (best_cost - lower))) {
      reclaim_slack(kernel_, allowed_, cell.horizon, choice, control);
      Money total = 0;
      for (int32_t a = 0; a < arcs; ++a) total += allowed_[kernel_.part[a]][choice[a]].cost;
      if (total < incumbent) {
        incumbent = total;
        best = KernelPlan{total, std::vector<int32_t>(arcs)};
        for (int32_t a = 0; a < arcs; ++a) best->label[a] = allowed_[kernel_.part[a]][choice[a]].left;
        if (hopeless(lower)) continue;
      }
    }
    if (split < 0) continue;  // one label everywhere: the plan above is the node's only one

    // Split at the window. Where the window holds all durations (rounding costs nothing here, but the waits do
    // not fit yet) any split makes progress: take the middle duration, or the shortest wait if there is but one.
    const Labels &list = allowed_[kernel_.part[split]];
    const Time window = relaxation_->window(split);
    Time at = list.back().duration <= window ? list[(list.size() - 1) / 2].duration : window;
    if (!by_wait && list.back().duration <= at) {
      by_wait = true;
      at = std::min_element(list.begin(), list.end(), [](const Label &a, const Label &b) {
             return a.not_before < b.not_before;
           })->not_before;
    } else if (by_wait) {
      at = relaxation_->time[kernel_.head[split]];
    }
    using Keeps = bool (*)(const Label &, Time);
    const Keeps above = by_wait ? Keeps([](const Label &l, Time t) { return l.not_before > t; })
                                : Keeps([](const Label &l, Time t) { return l.duration > t; });
    const Keeps below = by_wait ? Keeps([](const Label &l, Time t) { return l.not_before <= t; })
                                : Keeps([](const Label &l, Time t) { return l.duration <= t; });
    for (const Keeps keeps : {above, below})
      push({lower, ++serial, mask(split, keeps, at), relaxation_->time, relaxation_->flow});
  }
  bound = std::max(bound, static_cast<double>(incumbent));
  return true;
}

}  // namespace smiless
