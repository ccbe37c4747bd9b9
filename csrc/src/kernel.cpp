#include "smiless/kernel.hpp"

#include <algorithm>
#include <numeric>

namespace smiless {

KernelLabels::KernelLabels(const Network &net)
    : graph_(net.kernel), slot_(net.kernel.events, -1), by_reduced_(net.kernel.arcs()) {
  // An event is open from when its clock is known until its last arc has a label.
  std::vector<int32_t> last(graph_.events, 0);
  for (int32_t a = 0; a < graph_.arcs(); ++a)
    last[graph_.tail[a]] = std::max(last[graph_.tail[a]], graph_.position[graph_.head[a]]);
  std::vector<int32_t> spare;
  for (int32_t e : graph_.order) {
    closes_offset_.push_back(static_cast<int32_t>(closes_.size()));
    for (int32_t k = graph_.in_offset[e]; k < graph_.in_offset[e + 1]; ++k) arc_.push_back(graph_.in_arc[k]);
    if (spare.empty()) spare.push_back(width_++);
    slot_[e] = spare.back();
    spare.pop_back();
    for (int32_t other : graph_.order) {
      if (other == Graph::sink || last[other] != graph_.position[e] || slot_[other] < 0) continue;
      closes_.push_back(other);
      spare.push_back(slot_[other]);
    }
  }
  closes_offset_.push_back(static_cast<int32_t>(closes_.size()));
}

// Drop states that another one equals or beats at every open clock and in (cost, ranks).
void KernelLabels::thin_out() {
  // A bounded look at the cheapest survivors catches nearly all; what it misses only costs time.
  constexpr size_t looks = 48;
  sequence_.resize(now_.size());
  std::iota(sequence_.begin(), sequence_.end(), 0);
  for (size_t s = 0; s < now_.size(); ++s) {
    now_[s].clock = 0;  // a key to sort by: the clocks as they are might not add up within an int64
    for (int32_t w = 0; w < width_; ++w) now_[s].clock += clocks_[s * width_ + w] >> 12;
  }
  std::sort(sequence_.begin(), sequence_.end(), [&](int32_t a, int32_t b) {
    if (now_[a].cost != now_[b].cost) return now_[a].cost < now_[b].cost;
    return now_[a].clock != now_[b].clock ? now_[a].clock < now_[b].clock : a < b;
  });
  kept_.clear();
  for (int32_t s : sequence_) {
    const Time *mine = &clocks_[s * width_];
    bool beaten = false;
    for (size_t i = 0; i < kept_.size() && i < looks && !beaten; ++i) {
      const int32_t k = kept_[i];
      const Time *other = &clocks_[k * width_];
      beaten = true;
      for (int32_t w = 0; w < width_ && beaten; ++w) beaten = other[w] <= mine[w];
      if (beaten && now_[k].cost == now_[s].cost) beaten = !(now_[s].key < now_[k].key);
    }
    if (!beaten) kept_.push_back(s);
  }
  std::sort(kept_.begin(), kept_.end());
  keep_rows(now_, clocks_);
  for (State &state : now_) state.clock = 0;
}

// Keep the states of least reduced cost.
void KernelLabels::cut(std::vector<State> &rows, std::vector<Time> &clocks, size_t most) {
  kept_.resize(rows.size());
  std::iota(kept_.begin(), kept_.end(), 0);
  std::nth_element(kept_.begin(), kept_.begin() + static_cast<int64_t>(most), kept_.end(), [&](int32_t a, int32_t b) {
    return rows[a].reduced != rows[b].reduced ? rows[a].reduced < rows[b].reduced : a < b;
  });
  kept_.resize(most);
  std::sort(kept_.begin(), kept_.end());
  keep_rows(rows, clocks);
}

void KernelLabels::keep_rows(std::vector<State> &rows, std::vector<Time> &clocks) {
  for (size_t i = 0; i < kept_.size(); ++i) {
    rows[i] = rows[kept_[i]];
    std::copy_n(clocks.begin() + kept_[i] * width_, width_, clocks.begin() + static_cast<int64_t>(i) * width_);
  }
  rows.resize(kept_.size());
  clocks.resize(kept_.size() * width_);
}

KernelLabels::Result KernelLabels::search(Cell &cell, const Windows &windows, double limit, size_t most,
                                          Control &control, std::optional<KernelPlan> &best) {
  for (int32_t a = 0; a < graph_.arcs(); ++a) {
    const Labels &list = cell.labels[graph_.part[a]];
    auto &sorted = by_reduced_[a];
    sorted.resize(list.size());
    std::iota(sorted.begin(), sorted.end(), 0);
    std::sort(sorted.begin(), sorted.end(), [&](int32_t i, int32_t j) {
      return list[i].reduced != list[j].reduced ? list[i].reduced < list[j].reduced : i < j;
    });
  }
  now_.assign(1, {0, 0, 0, 0, -1, 0});
  clocks_.assign(width_, 0);
  steps_.clear();
  size_t depth = 0;
  bool crowded = false;
  for (size_t at = 0; at < graph_.order.size(); ++at) {
    const int32_t e = graph_.order[at];
    double weight = 0;  // of the arcs into e that have their label
    for (int32_t k = graph_.in_offset[e]; k < graph_.in_offset[e + 1]; ++k, ++depth) {
      const int32_t a = graph_.in_arc[k], part = graph_.part[a], tail = slot_[graph_.tail[a]];
      const Labels &list = cell.labels[part];
      const Cell::Price &price = cell.price[part];
      weight += price.worth + price.release_worth;
      next_.clear(), next_clocks_.clear();
      for (size_t s = 0; s < now_.size(); ++s) {
        const State &from = now_[s];
        const Time start = graph_.tail[a] == Graph::source ? 0 : clocks_[s * width_ + tail];
        int64_t seen = 0;
        for (int32_t i : by_reduced_[a]) {
          const Label &l = list[i];
          ++seen;
          if (from.reduced + l.reduced > limit) break;
          const Time clock = std::max({from.clock, start + l.duration, l.not_before});
          if (clock > windows.latest[e]) continue;
          const double pull = from.pull + price.worth * static_cast<double>(start + l.duration - price.finish) +
                              price.release_worth * static_cast<double>(l.not_before - price.finish);
          // What the arcs so far must wait for this event at least.
          const double wait = weight * static_cast<double>(clock - price.finish) - pull;
          if (from.reduced + l.reduced + wait > limit) continue;
          next_.push_back({from.cost + l.cost, from.reduced + l.reduced, pull, clock,
                           static_cast<int32_t>(steps_.size()), from.key | l.key});
          steps_.push_back({from.step, i});
          next_clocks_.insert(next_clocks_.end(), clocks_.begin() + static_cast<int64_t>(s) * width_,
                              clocks_.begin() + static_cast<int64_t>(s + 1) * width_);
        }
        if (control.labeled(seen)) return Result::ended;
        if (next_.size() > 64 * most + 65536) cut(next_, next_clocks_, 8 * most), crowded = true;
      }
      now_.swap(next_), clocks_.swap(next_clocks_);
      if (now_.size() > 8 * most) cut(now_, clocks_, 8 * most), crowded = true;
    }
    const Time finish = e == Graph::source ? 0 : cell.price[graph_.part[graph_.in_arc[graph_.in_offset[e]]]].finish;
    for (size_t s = 0; s < now_.size(); ++s) {
      State &state = now_[s];
      state.reduced += weight * static_cast<double>(state.clock - finish) - state.pull;
      clocks_[s * width_ + slot_[e]] = state.clock;
      for (int32_t c = closes_offset_[at]; c < closes_offset_[at + 1]; ++c) clocks_[s * width_ + slot_[closes_[c]]] = 0;
      if (e == Graph::sink) clocks_[s * width_ + slot_[e]] = 0;
      state.clock = 0, state.pull = 0;
    }
    thin_out();
    if (now_.size() > most) cut(now_, clocks_, most), crowded = true;
  }
  best.reset();
  const Result result = crowded ? Result::crowded : Result::complete;
  if (now_.empty()) return result;
  size_t top = 0;
  for (size_t s = 1; s < now_.size(); ++s)
    if (now_[s].cost < now_[top].cost || (now_[s].cost == now_[top].cost && now_[s].key < now_[top].key)) top = s;
  best = KernelPlan{now_[top].cost, std::vector<int32_t>(graph_.arcs())};
  int32_t step = now_[top].step;
  for (size_t i = depth; i-- > 0; step = steps_[step].parent) best->label[arc_[i]] = steps_[step].label;
  return result;
}

void reclaim_slack(const Graph &graph, const std::vector<Labels> &labels, Time horizon, std::vector<int32_t> &choice,
                   Control &control) {
  std::vector<Time> early(graph.events), late(graph.events);
  for (;;) {
    std::fill(early.begin(), early.end(), 0);
    for (int32_t e : graph.order)
      for (int32_t k = graph.in_offset[e]; k < graph.in_offset[e + 1]; ++k) {
        const int32_t a = graph.in_arc[k];
        const Label &l = labels[graph.part[a]][choice[a]];
        early[e] = std::max({early[e], early[graph.tail[a]] + l.duration, l.not_before});
      }
    std::fill(late.begin(), late.end(), horizon);
    for (size_t i = graph.order.size(); i-- > 0;) {
      const int32_t e = graph.order[i];
      for (int32_t k = graph.out_offset[e]; k < graph.out_offset[e + 1]; ++k) {
        const int32_t a = graph.out_arc[k];
        late[e] = std::min(late[e], late[graph.head[a]] - labels[graph.part[a]][choice[a]].duration);
      }
    }
    Money most = 0;
    int32_t arc = -1, label = -1;
    for (int32_t a = 0; a < graph.arcs(); ++a) {
      const Labels &list = labels[graph.part[a]];
      const Time end = late[graph.head[a]], room = end - early[graph.tail[a]];
      for (size_t i = 0; i < list.size() && list[i].duration <= room; ++i) {
        const Money saved = list[choice[a]].cost - list[i].cost;
        if (saved > most && list[i].not_before <= end) most = saved, arc = a, label = static_cast<int32_t>(i);
      }
    }
    if (arc < 0) return;
    choice[arc] = label;
    if (control.passed(4 * graph.arcs())) return;
  }
}

}  // namespace smiless
