#include "smiless/relaxation.hpp"

#include <algorithm>
#include <cmath>

namespace smiless {

Relaxation::Relaxation(const Graph &graph)
    : time(graph.events, 0),
      flow(graph.arcs(), 0),
      supply(graph.events, 0),
      graph_(graph),
      hulls_(graph.arcs()),
      excess_(graph.events),
      distance_(graph.events),
      via_(graph.events),
      settled_(graph.events) {}

void Relaxation::reset(Time horizon, double unit) {
  horizon_ = horizon;
  unit_ = unit;
  std::fill(time.begin(), time.end(), 0);
  std::fill(flow.begin(), flow.end(), 0);
  std::fill(supply.begin(), supply.end(), 0);
}

void Relaxation::finish_hull(Hull &hull) {
  hull.slopes.clear();
  for (size_t k = 0; k + 1 < hull.points.size(); ++k) {
    const Point &a = hull.points[k], &b = hull.points[k + 1];
    const double slope = static_cast<double>(a.cost - b.cost) / static_cast<double>(b.duration - a.duration) / unit_;
    // Rounded and capped slopes only cost the bound some sharpness; they must not rise.
    int64_t rounded = slope < static_cast<double>(steepest) ? std::max<int64_t>(std::llround(slope), 0) : steepest;
    if (!hull.slopes.empty()) rounded = std::min(rounded, hull.slopes.back());
    hull.slopes.push_back(rounded);
  }
}

int32_t Relaxation::rising(const Hull &hull, int64_t f) const {
  int32_t k = 0;
  while (k < static_cast<int32_t>(hull.slopes.size()) && hull.slopes[k] > f) ++k;
  return k;
}

int32_t Relaxation::falling(const Hull &hull, int64_t f) const {
  int32_t k = 0;
  while (k < static_cast<int32_t>(hull.slopes.size()) && hull.slopes[k] >= f) ++k;
  return k;
}

double Relaxation::hull_cost(int32_t arc) const {
  const auto &points = hulls_[arc].points;
  const Time d = window(arc);
  size_t k = 0;
  while (k + 1 < points.size() && points[k + 1].duration <= d) ++k;
  const Point &a = points[k];
  if (k + 1 == points.size() || d <= a.duration) return static_cast<double>(a.cost);
  const Point &b = points[k + 1];
  return static_cast<double>(a.cost) - static_cast<double>(a.cost - b.cost) * static_cast<double>(d - a.duration) /
                                           static_cast<double>(b.duration - a.duration);
}

// Make every window at least as long as the arc's shortest duration. Windows that are fine already stay.
void Relaxation::repair_times() {
  time[Graph::source] = 0;
  bool fresh = true;
  for (Time t : time) fresh = fresh && t == 0;
  if (fresh) {
    // Stretch the fastest schedule over the horizon: close to the answer on every topology tried.
    for (int32_t e : graph_.order)
      for (int32_t k = graph_.in_offset[e]; k < graph_.in_offset[e + 1]; ++k) {
        const int32_t a = graph_.in_arc[k];
        time[e] = std::max(time[e], time[graph_.tail[a]] + hulls_[a].points[0].duration);
      }
    const Time fastest = time[Graph::sink];
    if (fastest > 0) {
      const double ratio = static_cast<double>(horizon_) / static_cast<double>(fastest);
      for (Time &t : time) t = static_cast<Time>(static_cast<double>(t) * ratio * (1 - 1e-15));
    }
  }
  time[Graph::sink] = horizon_;
  for (int32_t e : graph_.order)
    for (int32_t k = graph_.in_offset[e]; k < graph_.in_offset[e + 1]; ++k) {
      const int32_t a = graph_.in_arc[k];
      time[e] = std::max(time[e], time[graph_.tail[a]] + hulls_[a].points[0].duration);
    }
  time[Graph::sink] = horizon_;
  for (size_t i = graph_.order.size(); i-- > 0;) {
    const int32_t e = graph_.order[i];
    for (int32_t k = graph_.out_offset[e]; k < graph_.out_offset[e + 1]; ++k) {
      const int32_t a = graph_.out_arc[k];
      time[e] = std::min(time[e], time[graph_.head[a]] - hulls_[a].points[0].duration);
    }
  }
  time[Graph::source] = 0;
}

// Move every flow into the interval that its window allows, and collect what that leaves at the events.
void Relaxation::repair_flows() {
  excess_ = supply;
  for (int32_t a = 0; a < graph_.arcs(); ++a) {
    const Hull &hull = hulls_[a];
    const Time d = window(a);
    size_t k = 0;  // the last point that fits into the window
    while (k + 1 < hull.points.size() && hull.points[k + 1].duration <= d) ++k;
    const int64_t least = k < hull.slopes.size() ? hull.slopes[k] : 0;
    const int64_t most = d > hull.points[k].duration ? least : k > 0 ? hull.slopes[k - 1] : unbounded;
    flow[a] = std::clamp(flow[a], least, most);
    excess_[graph_.head[a]] += flow[a];
    excess_[graph_.tail[a]] -= flow[a];
  }
  excess_[Graph::source] = excess_[Graph::sink] = 0;
}

// Send flow along one shortest path of the residual network: from the events with excess to those with a deficit
// or to the ground (source and sink, whose times are fixed); or from the ground to the deficits.
bool Relaxation::augment(bool from_ground) {
  constexpr Time far = INT64_MAX;
  std::fill(distance_.begin(), distance_.end(), far);
  std::fill(settled_.begin(), settled_.end(), 0);
  heap_.clear(), reached_.clear();
  const auto grounded = [](int32_t e) { return e == Graph::source || e == Graph::sink; };
  const auto later = [](const auto &a, const auto &b) { return a > b; };
  for (int32_t e = 0; e < graph_.events; ++e) {
    if (from_ground ? !grounded(e) : excess_[e] <= 0) continue;
    distance_[e] = 0, via_[e] = INT32_MAX;
    heap_.emplace_back(0, e);
  }
  std::make_heap(heap_.begin(), heap_.end(), later);
  int32_t target = -1;
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const auto [near, e] = heap_.back();
    heap_.pop_back();
    if (settled_[e]) continue;
    settled_[e] = 1;
    reached_.push_back(e);
    if (excess_[e] < 0 || (!from_ground && grounded(e))) {
      target = e;
      break;
    }
    const auto reach = [&](int32_t other, Time step, int32_t via) {
      if (settled_[other] || near + step >= distance_[other]) return;
      distance_[other] = near + step, via_[other] = via;
      heap_.emplace_back(near + step, other);
      std::push_heap(heap_.begin(), heap_.end(), later);
    };
    for (int32_t k = graph_.out_offset[e]; k < graph_.out_offset[e + 1]; ++k) {
      const int32_t a = graph_.out_arc[k];
      const Hull &hull = hulls_[a];
      reach(graph_.head[a], window(a) - hull.points[rising(hull, flow[a])].duration, a);
    }
    for (int32_t k = graph_.in_offset[e]; k < graph_.in_offset[e + 1]; ++k) {
      const int32_t a = graph_.in_arc[k];
      if (flow[a] == 0) continue;
      const Hull &hull = hulls_[a];
      reach(graph_.tail[a], hull.points[falling(hull, flow[a])].duration - window(a), ~a);
    }
  }
  if (target < 0) return false;
  for (int32_t e : reached_) time[e] += distance_[target] - distance_[e];
  int64_t amount = excess_[target] < 0 ? -excess_[target] : unbounded;
  int32_t e = target;
  while (via_[e] != INT32_MAX) {
    const bool forward = via_[e] >= 0;
    const int32_t a = forward ? via_[e] : ~via_[e];
    const Hull &hull = hulls_[a];
    if (forward) {
      const int32_t k = rising(hull, flow[a]);
      if (k > 0) amount = std::min(amount, hull.slopes[k - 1] - flow[a]);
      e = graph_.tail[a];
    } else {
      const int32_t k = falling(hull, flow[a]);
      amount = std::min(amount, flow[a] - (k < static_cast<int32_t>(hull.slopes.size()) ? hull.slopes[k] : 0));
      e = graph_.head[a];
    }
  }
  if (!from_ground) amount = std::min(amount, excess_[e]);
  if (!grounded(e)) excess_[e] -= amount;
  if (!grounded(target)) excess_[target] += amount;
  for (e = target; via_[e] != INT32_MAX;) {
    const bool forward = via_[e] >= 0;
    const int32_t a = forward ? via_[e] : ~via_[e];
    flow[a] += forward ? amount : -amount;
    e = forward ? graph_.tail[a] : graph_.head[a];
  }
  return true;
}

bool Relaxation::solve(Control &control) {
  repair_times();
  repair_flows();
  bool complete = true;
  const auto pending = [&](bool surplus) {
    for (int64_t x : excess_)
      if (surplus ? x > 0 : x < 0) return true;
    return false;
  };
  while (complete && pending(true)) complete = augment(false) && !control.augmented(graph_.arcs());
  while (complete && pending(false)) complete = augment(true) && !control.augmented(graph_.arcs());
  const Time shift = time[Graph::source];
  for (Time &t : time) t -= shift;
  // Cut short, the flow is not conserved and proves nothing: none at all always does.
  if (!complete) {
    std::fill(flow.begin(), flow.end(), 0);
    std::fill(supply.begin(), supply.end(), 0);
  }
  return complete;
}

}  // namespace smiless
