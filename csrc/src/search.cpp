#include "smiless/search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace smiless {

namespace {

// Durations beyond 73 years would overflow sums of nanoseconds.
constexpr double most_nanoseconds = 2.3e18;

double snapped(double seconds, double (*otherwise)(double)) {
  const double ns = seconds * 1e9, whole = std::nearbyint(ns);
  const double ulp = std::nextafter(std::fabs(ns), HUGE_VAL) - std::fabs(ns);
  return std::fabs(ns - whole) <= 4 * ulp ? whole : otherwise(ns);
}

}  // namespace

Time nanoseconds_up(double seconds) { return static_cast<Time>(snapped(seconds, std::ceil)); }
Time nanoseconds_down(double seconds) { return static_cast<Time>(snapped(seconds, std::floor)); }

Search::Search(Network network)
    : net_(std::move(network)),
      modes_(net_.functions),
      arc_of_(net_.functions),
      cell_(net_),
      relaxation_(net_.network),
      kernel_labels_(net_),
      branch_(net_),
      plan_(net_.functions) {
  for (int32_t a = 0; a < net_.network.arcs(); ++a)
    if (net_.parts[a].kind == Part::Kind::function) arc_of_[net_.parts[a].left] = a;
}

void Search::set_modes(const int64_t *offsets, const double *release, const double *latency) {
  const int32_t n = net_.functions;
  if (offsets[0] != 0) throw std::invalid_argument("offsets[0] must be 0");
  double total = 0;
  for (int32_t v = 0; v < n; ++v) {
    if (offsets[v + 1] <= offsets[v]) throw std::invalid_argument("function " + std::to_string(v) + " has no modes");
    if (offsets[v + 1] - offsets[v] > INT32_MAX)
      throw std::invalid_argument("function " + std::to_string(v) + " has too many modes");
    double most = 0;
    for (int64_t i = offsets[v]; i < offsets[v + 1]; ++i) {
      if (!(release[i] >= 0) || !std::isfinite(release[i]))
        throw std::invalid_argument("release[" + std::to_string(i) + "] must be finite and >= 0");
      if (!(latency[i] >= 0) || !std::isfinite(latency[i]))
        throw std::invalid_argument("latency[" + std::to_string(i) + "] must be finite and >= 0");
      most = std::max(most, release[i] + latency[i]);
    }
    total += most;
  }
  if (total * 1e9 > most_nanoseconds) throw std::invalid_argument("durations add up to more than 73 years");
  offsets_.clear();  // nothing is set until all is: memory may run out half-way
  std::vector<int64_t> starts(offsets, offsets + n + 1);
  release_.assign(release, release + offsets[n]);
  latency_.assign(latency, latency + offsets[n]);
  longest_ = 0;
  keyed_ = n <= 16;
  for (int32_t v = 0; v < n; ++v) {
    keyed_ = keyed_ && offsets[v + 1] - offsets[v] <= 256;
    auto &list = modes_[v];
    list.clear();
    Time most = 0;
    for (int64_t i = offsets[v]; i < offsets[v + 1]; ++i) {
      const Time l = nanoseconds_up(latency[i]), r = nanoseconds_up(release[i]);
      list.push_back({l, r + l, static_cast<int32_t>(i - offsets[v]), 0});
      most = std::max(most, r + l);
    }
    std::sort(list.begin(), list.end(), [](const Mode &a, const Mode &b) {
      if (a.latency != b.latency) return a.latency < b.latency;
      return a.not_before != b.not_before ? a.not_before < b.not_before : a.index < b.index;
    });
    for (size_t k = 0; k < list.size(); ++k) list[k].rank = static_cast<int32_t>(k);
    longest_ += most;
  }
  offsets_.swap(starts);
}

// Labels of the functions: the modes on offer at a cost up to `ceiling` that no other mode equals or beats.
void Search::load_labels(const double *cost, double ceiling) {
  const auto key = [&](int32_t v, int32_t rank) { return keyed_ ? Key(rank) << 8 * (15 - v) : Key(0); };
  cell_.grain = 0;
  for (int32_t v = 0; v < net_.functions; ++v) {
    Labels &list = cell_.labels[arc_of_[v]];
    list.clear();
    const double *mine = cost + offsets_[v];
    for (const Mode &m : modes_[v]) {
      const double dollars = mine[m.index];
      if (!(dollars <= ceiling)) continue;
      const auto scaled = static_cast<Money>(std::llround(std::ldexp(dollars, exponent_)));
      bool beaten = false;
      for (size_t k = list.size(); k-- > 0 && !beaten;)
        beaten = list[k].not_before <= m.not_before && list[k].cost <= scaled;
      if (beaten) continue;
      // An earlier one that is as long and waits as long was dearer.
      if (!list.empty() && list.back().duration == m.latency && list.back().not_before == m.not_before) list.pop_back();
      list.push_back({m.latency, m.not_before, scaled, 0.0, m.index, -1, key(v, m.rank)});
    }
    for (const Label &l : list) cell_.grain = std::gcd(cell_.grain, l.cost - list.front().cost);
  }
  cell_.grain = std::max<Money>(cell_.grain, 1);
}

double Search::plan_cost(const double *cost, const std::vector<int32_t> &plan) const {
  // Compensated summation: the reported cost must not depend on the size of the application.
  double sum = 0, lost = 0;
  for (int32_t v = 0; v < net_.functions; ++v) {
    const double x = cost[offsets_[v] + plan[v]], next = sum + x;
    lost += std::fabs(sum) >= std::fabs(x) ? (sum - next) + x : (x - next) + sum;
    sum = next;
  }
  return sum + lost;
}

// The independent look at a plan: O(n + m), from the modes as given and not from labels.
Time Search::plan_latency(const std::vector<int32_t> &plan) const {
  const Graph &g = net_.network;
  std::vector<Time> clock(g.events, 0);
  for (int32_t e : g.order)
    for (int32_t k = g.in_offset[e]; k < g.in_offset[e + 1]; ++k) {
      const int32_t a = g.in_arc[k], v = net_.parts[a].left;
      Time finish = clock[g.tail[a]];
      if (net_.parts[a].kind == Part::Kind::function) {
        const int64_t i = offsets_[v] + plan[v];
        finish = std::max(finish, nanoseconds_up(release_[i])) + nanoseconds_up(latency_[i]);
      }
      clock[e] = std::max(clock[e], finish);
    }
  return clock[Graph::sink];
}

// Every function at its best mode for the earliest times; of those the cheapest.
void Search::fastest_plan(const double *cost, std::vector<int32_t> &plan) const {
  const Graph &g = net_.network;
  for (int32_t v = 0; v < net_.functions; ++v) {
    const int32_t a = arc_of_[v];
    const Time start = cell_.windows.earliest[g.tail[a]];
    Time best = INT64_MAX;
    int32_t mode = -1;
    for (const Label &l : cell_.labels[a]) {
      const Time finish = std::max(start + l.duration, l.not_before);
      if (finish > best || (finish == best && cost[offsets_[v] + l.left] >= cost[offsets_[v] + mode])) continue;
      best = finish, mode = l.left;
    }
    plan[v] = mode;
  }
}

bool Search::adopt(Money cost, std::vector<int32_t> &&plan, bool ties) {
  if (cost > incumbent_ || (cost == incumbent_ && !ties)) return false;
  incumbent_ = cost;
  plan_ = std::move(plan);
  return true;
}

std::vector<int32_t> Search::read_kernel_plan(const KernelPlan &plan) {
  std::vector<int32_t> modes(net_.functions);
  for (int32_t a = 0; a < net_.kernel.arcs(); ++a) cell_.expand(net_.kernel.part[a], plan.label[a], modes);
  return modes;
}

// Round the relaxation down to labels that fit their windows, then spend what slack is left.
void Search::round_down(Control &control) {
  const Graph &g = net_.network;
  std::vector<int32_t> choice(g.arcs());
  // In the order of events, the cheapest label that ends by the relaxation's time, else the one that ends first: the
  // shortest one always meets the latest time of the head.
  std::vector<Time> clock(g.events, 0);
  for (int32_t e : g.order) {
    for (int32_t k = g.in_offset[e]; k < g.in_offset[e + 1]; ++k) {
      const int32_t a = g.in_arc[k];
      const Labels &list = cell_.labels[a];
      const Time start = clock[g.tail[a]], aim = relaxation_.time[e];
      const auto end = [&](int32_t i) { return std::max(start + list[i].duration, list[i].not_before); };
      int32_t best = 0;
      for (int32_t i = 1; i < static_cast<int32_t>(list.size()); ++i) {
        const bool fits = end(i) <= aim, best_fits = end(best) <= aim;
        if (fits ? !best_fits || list[i].cost < list[best].cost : !best_fits && end(i) < end(best)) best = i;
      }
      choice[a] = best;
      clock[e] = std::max(clock[e], end(best));
    }
  }
  reclaim_slack(g, cell_.labels, cell_.horizon, choice, control);
  Money total = 0;
  std::vector<int32_t> plan(net_.functions);
  for (int32_t a = 0; a < g.arcs(); ++a) {
    total += cell_.labels[a][choice[a]].cost;
    if (net_.parts[a].kind == Part::Kind::function) plan[net_.parts[a].left] = cell_.labels[a][choice[a]].left;
  }
  adopt(total, std::move(plan), false);
}

// Price the releases. The relaxation knows durations only: where the label it pays for must wait beyond its window,
// raise what a nanosecond of waiting is worth to the arc until a label that waits less is as good, and solve again
// with that flow coming in from the source. Any such prices give a valid bound; keep the best ones.
bool Search::price_releases(double unit, Control &control) {
  const Graph &g = net_.network;
  std::vector<int64_t> worth(g.arcs(), 0), best_worth = worth, best_flow;
  std::vector<double> scaled(net_.parts.size(), 0.0);
  std::vector<Time> best_time;
  const auto evaluate = [&] {
    for (int32_t a = 0; a < g.arcs(); ++a) scaled[a] = static_cast<double>(worth[a]) * unit;
    cell_.set_prices(relaxation_, scaled);
    return cell_.bound;
  };
  double best = evaluate();
  constexpr int rounds = 12;
  bool complete = control.end() == Control::End::none;
  for (int round = 0, worse = 0; complete && round < rounds && worse < 2; ++round) {
    bool changed = false;
    for (int32_t a = 0; a < g.arcs(); ++a) {
      const Labels &list = cell_.labels[a];
      const Time end = relaxation_.time[g.head[a]];
      // set_prices left the reduced costs of the labels under the present prices.
      const Label *top = nullptr;
      for (const Label &l : list)
        if (!top || l.reduced < top->reduced || (l.reduced == top->reduced && l.not_before < top->not_before)) top = &l;
      if (top->not_before <= end) continue;
      double rise = HUGE_VAL;
      for (const Label &l : list)
        if (l.not_before < top->not_before)
          rise = std::min(rise, (l.reduced - top->reduced) / static_cast<double>(top->not_before - l.not_before));
      if (rise == HUGE_VAL) rise = std::max(relaxation_.worth(a), unit);
      // One unit more than the tie, so that the next look sees the other label first.
      const int64_t units = static_cast<int64_t>(std::min(rise / unit, 0x1p48)) + 1;
      worth[a] += units;
      relaxation_.supply[g.head[a]] += units;
      changed = true;
    }
    if (!changed) break;
    if (best_flow.empty()) best_flow = relaxation_.flow, best_time = relaxation_.time;
    for (int32_t a = 0; a < g.arcs(); ++a) {
      const double price = static_cast<double>(worth[a]) * unit;
      if (worth[a] > 0)
        relaxation_.set_curve(a, cell_.labels[a], [&](const Label &l) {
          const double wait = static_cast<double>(l.not_before - cell_.windows.earliest[g.head[a]]);
          return l.cost + std::llround(std::min(price * wait, 0x1p60));
        });
    }
    complete = relaxation_.solve(control);
    const double bound = complete ? evaluate() : -HUGE_VAL;
    if (bound > best) {
      worse = bound - best < 1e-3 * (static_cast<double>(incumbent_) - best) ? worse + 1 : 0;
      best = bound, best_worth = worth, best_flow = relaxation_.flow, best_time = relaxation_.time;
    } else {
      ++worse;
    }
  }
  if (!best_flow.empty()) {
    relaxation_.flow = best_flow, relaxation_.time = best_time, worth = best_worth;
    evaluate();
  }
  return complete;
}

// Exact search over labels within the gap; true when the incumbent is proved.
bool Search::search_parts(double unit, Control &control) {
  const auto gap = [&] { return static_cast<double>(incumbent_) - cell_.bound; };
  const auto joins = [&](double limit) {
    for (size_t p = net_.network.arcs(); p < net_.parts.size(); ++p)
      if (!cell_.join(static_cast<int32_t>(p), limit, control)) return false;
    return true;
  };
  // Plans that share the least excess are few: look at those first, and often they prove the rest away.
  for (double share : {1.0 / 16, 1.0 / 4, 1.0}) {
    if (share < 1 && gap() * share < 64 * cell_.margin) continue;
    const double theta = std::max(gap(), 0.0) * share, limit = theta + cell_.margin;
    if (!joins(limit)) return false;
    std::optional<KernelPlan> found;
    kernel_windows_.latest.clear();
    std::vector<Labels> &labels = cell_.labels;
    bool empty = false;
    for (int32_t p : net_.kernel.part) empty = empty || labels[p].empty();
    if (!empty && net_.series_parallel()) {
      const int32_t root = net_.kernel.part[0];
      const Labels &list = labels[root];
      int32_t top = 0;
      for (int32_t i = 1; i < static_cast<int32_t>(list.size()); ++i)
        if (list[i].cost < list[top].cost || (list[i].cost == list[top].cost && list[i].key < list[top].key)) top = i;
      found = KernelPlan{list[top].cost, {top}};
    } else if (!empty) {
      Windows &w = kernel_windows_;
      w.forward(net_.kernel, labels);
      w.latest.assign(net_.kernel.events, cell_.horizon);
      for (size_t i = net_.kernel.order.size(); i-- > 0;) {
        const int32_t e = net_.kernel.order[i];
        for (int32_t k = net_.kernel.out_offset[e]; k < net_.kernel.out_offset[e + 1]; ++k) {
          const int32_t a = net_.kernel.out_arc[k];
          w.latest[e] =
              std::min(w.latest[e], w.latest[net_.kernel.head[a]] - labels[net_.kernel.part[a]].front().duration);
        }
      }
      const auto result = kernel_labels_.search(cell_, w, limit, width, control, found);
      if (result == KernelLabels::Result::ended) return false;
      if (result == KernelLabels::Result::crowded) {
        if (found) adopt(found->cost, read_kernel_plan(*found), false);
        // Branch and bound needs the labels of the whole gap.
        if (share < 1 && !joins(std::max(gap(), 0.0) + cell_.margin)) return false;
        const bool proved = branch_.search(cell_, unit, incumbent_, control, found, proved_);
        if (found) adopt(found->cost, read_kernel_plan(*found), false);
        return proved;
      }
    }
    if (found) adopt(found->cost, read_kernel_plan(*found), true);
    // All plans within theta of the bound have been looked at.
    proved_ = std::max(proved_, std::min(static_cast<double>(incumbent_), cell_.bound - cell_.margin + theta));
    if (gap() <= theta) return true;
  }
  return true;
}

smiless_result Search::solve(const double *cost, double sla, Control &control, int32_t *choice) {
  const int32_t n = net_.functions;
  if (modes_.empty() || offsets_.empty()) throw std::invalid_argument("no modes have been set");
  if (!(sla >= 0) || !std::isfinite(sla)) throw std::invalid_argument("sla must be finite and >= 0");
  for (int64_t i = 0; i < offsets_[n]; ++i)
    if (!(cost[i] >= 0)) throw std::invalid_argument("cost[" + std::to_string(i) + "] must be >= 0 or +inf");

  smiless_result result{};
  constexpr double infinity = std::numeric_limits<double>::infinity();
  cell_.horizon = sla * 1e9 < static_cast<double>(longest_) ? nanoseconds_down(sla) : longest_;
  const auto finish = [&](smiless_outcome outcome) {
    result.outcome = outcome;
    result.work = control.done;
    for (int32_t v = 0; v < n; ++v) choice[v] = plan_[v];
    result.cost = plan_cost(cost, plan_);
    result.latency = static_cast<double>(plan_latency(plan_)) / 1e9;
    return result;
  };

  // The fastest plan of all says whether the sla can be met, and bounds what a mode may cost.
  exponent_ = 0;
  for (int32_t v = 0; v < n; ++v) {
    Labels &list = cell_.labels[arc_of_[v]];
    list.clear();
    for (const Mode &m : modes_[v])
      if (cost[offsets_[v] + m.index] < infinity) list.push_back({m.latency, m.not_before, 0, 0, m.index, -1, 0});
    if (list.empty()) {
      std::fill(choice, choice + n, -1);
      result.outcome = SMILESS_INFEASIBLE;
      result.cost = result.bound = result.latency = result.shortest_latency = infinity;
      return result;
    }
  }
  cell_.windows.forward(net_.network, cell_.labels);
  const Time shortest = cell_.windows.earliest[Graph::sink];
  result.shortest_latency = static_cast<double>(shortest) / 1e9;
  fastest_plan(cost, plan_);
  if (shortest > cell_.horizon) {
    result.bound = infinity;
    return finish(SMILESS_INFEASIBLE);
  }

  bool proved = false;
  double ceiling = plan_cost(cost, plan_);
  if (!std::isfinite(ceiling)) throw std::invalid_argument("costs add up to more than a double holds");
  // Costs become integers of 50 bits, relative to a plan at hand. Where the search finds a far cheaper one, they are
  // scaled anew: the resolution is always relative to the answer. Every round gains nine bits at least.
  const auto coarse = [&] {
    const double now = plan_cost(cost, plan_);
    return incumbent_ < (Money{1} << 40) && now > 0 && now < ceiling / 2;
  };
  for (;;) {
    if (ceiling == 0) {  // nothing is cheaper than free; ties still have an order
      exponent_ = 0;
    } else {
      exponent_ = 49 - std::ilogb(ceiling);
    }
    ceiling = std::nextafter(ceiling * (1 + 1e-12), infinity);
    load_labels(cost, ceiling);
    if (!cell_.windows.trim(net_.network, cell_.labels, cell_.horizon))
      throw std::logic_error("a plan at hand was trimmed away");
    incumbent_ = 0;
    for (int32_t v = 0; v < n; ++v) incumbent_ += std::llround(std::ldexp(cost[offsets_[v] + plan_[v]], exponent_));

    const double typical =
        static_cast<double>(std::max<Money>(incumbent_, 1)) / static_cast<double>(std::max<Time>(cell_.horizon, 1));
    const double unit = std::ldexp(1.0, std::ilogb(typical) - 24);
    relaxation_.reset(cell_.horizon, unit);
    for (int32_t a = 0; a < net_.network.arcs(); ++a)
      relaxation_.set_curve(a, cell_.labels[a], [](const Label &l) { return l.cost; });
    const bool relaxed = relaxation_.solve(control);
    const bool priced = price_releases(unit, control);  // sets prices in any case
    proved_ = std::max(cell_.bound - cell_.margin, 0.0);
    round_down(control);
    if (!relaxed || !priced) break;
    if (!coarse()) {
      cell_.drop_above(static_cast<double>(incumbent_) - cell_.bound + cell_.margin);
      proved = search_parts(unit, control);
      // Costs lie a grain apart: a gap below that is none, though equal costs may not all have been looked at.
      proved = proved || static_cast<double>(incumbent_) - proved_ < static_cast<double>(cell_.grain);
      if (!proved || !coarse()) break;
      proved = false;
    }
    ceiling = plan_cost(cost, plan_);
  }
  finish(proved ? SMILESS_OPTIMAL : control.end() == Control::End::stopped ? SMILESS_STOPPED : SMILESS_FEASIBLE);
  result.bound = proved ? result.cost : std::min(result.cost, std::ldexp(proved_, -exponent_));
  if (plan_latency(plan_) > cell_.horizon) throw std::logic_error("a plan failed its re-evaluation");
  return result;
}

}  // namespace smiless
