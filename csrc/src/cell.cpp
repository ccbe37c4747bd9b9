#include "smiless/cell.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace smiless {

void Windows::forward(const Graph &graph, const std::vector<Labels> &labels) {
  earliest.assign(graph.events, 0);
  for (int32_t e : graph.order) {
    for (int32_t k = graph.in_offset[e]; k < graph.in_offset[e + 1]; ++k) {
      const int32_t a = graph.in_arc[k];
      const Time start = earliest[graph.tail[a]];
      Time best = INT64_MAX;
      for (const Label &l : labels[graph.part[a]]) {
        if (start + l.duration >= best) break;  // ascending durations
        best = std::min(best, std::max(start + l.duration, l.not_before));
      }
      earliest[e] = std::max(earliest[e], best);
    }
  }
}

bool Windows::trim(const Graph &graph, std::vector<Labels> &labels, Time horizon) {
  for (bool changed = true; changed;) {
    changed = false;
    for (int32_t a = 0; a < graph.arcs(); ++a)
      if (labels[graph.part[a]].empty()) return false;
    forward(graph, labels);
    if (earliest[Graph::sink] > horizon) return false;
    latest.assign(graph.events, horizon);
    for (size_t i = graph.order.size(); i-- > 0;) {
      const int32_t e = graph.order[i];
      for (int32_t k = graph.out_offset[e]; k < graph.out_offset[e + 1]; ++k) {
        const int32_t a = graph.out_arc[k];
        latest[e] = std::min(latest[e], latest[graph.head[a]] - labels[graph.part[a]].front().duration);
      }
    }
    for (int32_t a = 0; a < graph.arcs(); ++a) {
      auto &list = labels[graph.part[a]];
      const Time first = list.front().duration, end = latest[graph.head[a]];
      const Time room = end - earliest[graph.tail[a]];
      // Only the loss of the shortest label, or of one that set an earliest time, moves a window further.
      const size_t before = list.size();
      bool released = false;
      std::erase_if(list, [&](const Label &l) {
        const bool gone = l.duration > room || l.not_before > end;
        released |= gone && l.duration <= room;
        return gone;
      });
      if (list.size() != before && (list.empty() || released || list.front().duration != first)) changed = true;
    }
  }
  return true;
}

Cell::Cell(const Network &network) : net(network), labels(network.parts.size()), price(network.parts.size()) {
  for (size_t p = 0; p < net.parts.size(); ++p)
    if (net.parts[p].kind == Part::Kind::dummy) labels[p] = {{0, 0, 0, 0.0, 0, 0, 0}};
}

void Cell::set_prices(const Relaxation &relaxation, const std::vector<double> &release_worth) {
  bound = 0;
  margin = 4.0 * (net.functions + 8);
  for (size_t i = 0; i < net.parts.size(); ++i) {
    const Part &part = net.parts[i];
    Price &p = price[i];
    const int32_t id = static_cast<int32_t>(i);
    if (part.kind == Part::Kind::series || part.kind == Part::Kind::parallel) {
      const Price &l = price[part.left], &r = price[part.right];
      const bool series = part.kind == Part::Kind::series;
      p = {series ? l.worth : l.worth + r.worth, l.release_worth + r.release_worth, l.base + r.base,
           series ? l.window + r.window : l.window, r.finish};
      continue;
    }
    p = {relaxation.worth(id), release_worth[i], 0, relaxation.window(id), relaxation.time[part.head]};
    double least = HUGE_VAL;
    for (const Label &l : labels[i]) least = std::min(least, reduced(id, l));
    p.base = least;
    bound += least;
    for (Label &l : labels[i]) l.reduced = reduced(id, l);
    // Worth times time above 2^53 loses bits, and conservation with them.
    margin +=
        std::ldexp(p.worth * static_cast<double>(p.window) + p.release_worth * static_cast<double>(p.finish), -50);
  }
}

void Cell::drop_above(double limit) {
  for (size_t i = 0; i < static_cast<size_t>(net.network.arcs()); ++i)
    std::erase_if(labels[i], [&](const Label &l) { return l.reduced > limit; });
}

void Cell::expand(int32_t part, int32_t label, std::vector<int32_t> &modes) const {
  const Part &p = net.parts[part];
  const Label &l = labels[part][label];
  if (p.kind == Part::Kind::function) {
    modes[p.left] = l.left;
  } else if (p.kind != Part::Kind::dummy) {
    expand(p.left, l.left, modes);
    expand(p.right, l.right, modes);
  }
}

// Sort pairs_ and keep those that no other one equals or beats in duration, not_before and (cost, ranks).
void Cell::keep_undominated(Labels &out) {
  std::sort(pairs_.begin(), pairs_.end(), [](const Label &a, const Label &b) {
    if (a.duration != b.duration) return a.duration < b.duration;
    if (a.not_before != b.not_before) return a.not_before < b.not_before;
    if (a.cost != b.cost) return a.cost < b.cost;
    return a.left != b.left ? a.left < b.left : a.right < b.right;
  });
  out.clear();
  stairs_.clear();  // kept labels by ascending not_before and descending (cost, ranks)
  const auto better = [&](const Label &a, const Label &b) {
    return a.cost != b.cost ? a.cost < b.cost : a.key < b.key;
  };
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const Label &l = pairs_[i];
    const auto above = std::upper_bound(stairs_.begin(), stairs_.end(), l.not_before,
                                        [&](Time t, int32_t step) { return t < out[step].not_before; });
    if (above != stairs_.begin()) {
      const Label &step = out[*(above - 1)];
      if (step.cost < l.cost || (step.cost == l.cost && !(l.key < step.key))) continue;
    }
    // Steps that the new label beats: those that wait at least as long and cost at least as much.
    auto first = above;
    if (first != stairs_.begin() && out[*(first - 1)].not_before == l.not_before) --first;
    auto last = above;
    while (last != stairs_.end() && better(l, out[*last])) ++last;
    const int32_t id = static_cast<int32_t>(out.size());
    out.push_back(l);
    stairs_.insert(stairs_.erase(first, last), id);
  }
}

bool Cell::join(int32_t p, double limit, Control &control) {
  const Part &part = net.parts[p];
  const Labels &a = labels[part.left], &b = labels[part.right];
  const bool series = part.kind == Part::Kind::series;
  const Time start = windows.earliest[part.tail], end = windows.latest[part.head];
  pairs_.clear();
  // The reduced cost of a join is at least the sum of its pieces': look at the right one's in that order.
  by_reduced_.resize(b.size());
  std::iota(by_reduced_.begin(), by_reduced_.end(), 0);
  std::sort(by_reduced_.begin(), by_reduced_.end(),
            [&](int32_t i, int32_t j) { return b[i].reduced != b[j].reduced ? b[i].reduced < b[j].reduced : i < j; });
  size_t most = 65536;
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t seen = 0;
    for (int32_t j : by_reduced_) {
      ++seen;
      if (a[i].reduced + b[j].reduced > limit) break;
      Label l{series ? a[i].duration + b[j].duration : std::max(a[i].duration, b[j].duration),
              std::max(series ? a[i].not_before + b[j].duration : a[i].not_before, b[j].not_before),
              a[i].cost + b[j].cost,
              0,
              static_cast<int32_t>(i),
              j,
              a[i].key | b[j].key};
      l.not_before = std::max(l.not_before, start + l.duration);
      if (l.not_before > end) continue;
      l.reduced = reduced(p, l);
      if (l.reduced <= limit) pairs_.push_back(l);
    }
    if (control.labeled(seen)) return false;
    // Most pairs are dominated: drop those before they fill the memory.
    if (pairs_.size() > most) {
      keep_undominated(labels[p]);
      pairs_.assign(labels[p].begin(), labels[p].end());
      most = std::max(most, 2 * pairs_.size());
    }
  }
  keep_undominated(labels[p]);
  return true;
}

}  // namespace smiless
