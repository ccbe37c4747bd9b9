#include "smiless/graph.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace smiless {

void Graph::index() {
  const int32_t m = arcs();
  auto group = [&](const std::vector<int32_t> &end, std::vector<int32_t> &offset, std::vector<int32_t> &list) {
    offset.assign(events + 1, 0);
    for (int32_t e : end) ++offset[e + 1];
    std::partial_sum(offset.begin(), offset.end(), offset.begin());
    std::vector<int32_t> next(offset.begin(), offset.end() - 1);
    list.resize(m);
    for (int32_t a = 0; a < m; ++a) list[next[end[a]]++] = a;
  };
  group(head, in_offset, in_arc);
  group(tail, out_offset, out_arc);

  // Of the events that are ready, take the one that leaves the fewest events open: the label search of the
  // kernel carries one clock per open event.
  std::vector<int32_t> waiting(events), unused(events);
  for (int32_t e = 0; e < events; ++e) {
    waiting[e] = in_offset[e + 1] - in_offset[e];
    unused[e] = out_offset[e + 1] - out_offset[e];
  }
  std::vector<int32_t> ready{source};
  order.clear();
  while (!ready.empty()) {
    size_t best = 0;
    int32_t best_growth = INT32_MAX;
    for (size_t i = 0; i < ready.size() && i < 64; ++i) {
      const int32_t e = ready[i];
      int32_t growth = unused[e] > 0 ? 1 : 0;
      for (int32_t k = in_offset[e]; k < in_offset[e + 1]; ++k) growth -= unused[tail[in_arc[k]]] == 1;
      if (growth < best_growth) best_growth = growth, best = i;
    }
    const int32_t e = ready[best];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(best));
    order.push_back(e);
    for (int32_t k = in_offset[e]; k < in_offset[e + 1]; ++k) --unused[tail[in_arc[k]]];
    for (int32_t k = out_offset[e]; k < out_offset[e + 1]; ++k)
      if (--waiting[head[out_arc[k]]] == 0) ready.push_back(head[out_arc[k]]);
  }
  position.assign(events, 0);
  for (size_t i = 0; i < order.size(); ++i) position[order[i]] = static_cast<int32_t>(i);
}

namespace {

using Lists = std::vector<std::vector<int32_t>>;

// Topological order of the functions; empty on a cycle.
std::vector<int32_t> function_order(const Lists &successors) {
  const size_t n = successors.size();
  std::vector<int32_t> waiting(n, 0), order;
  for (const auto &list : successors)
    for (int32_t v : list) ++waiting[v];
  for (size_t v = 0; v < n; ++v)
    if (waiting[v] == 0) order.push_back(static_cast<int32_t>(v));
  for (size_t i = 0; i < order.size(); ++i)
    for (int32_t v : successors[order[i]])
      if (--waiting[v] == 0) order.push_back(v);
  if (order.size() != n) order.clear();
  return order;
}

// Drop every edge that a longer path implies.
void reduce_transitively(Lists &successors, const std::vector<int32_t> &order) {
  const size_t n = successors.size(), words = (n + 63) / 64;
  std::vector<uint64_t> reach(n * words, 0);
  std::vector<size_t> place(n);
  for (size_t i = 0; i < n; ++i) place[order[i]] = i;
  for (size_t i = n; i-- > 0;) {
    const int32_t u = order[i];
    uint64_t *mine = &reach[u * words];
    auto &list = successors[u];
    // Nearest first: whatever an earlier successor reaches is implied.
    std::sort(list.begin(), list.end(), [&](int32_t a, int32_t b) { return place[a] < place[b]; });
    std::vector<int32_t> kept;
    for (int32_t v : list) {
      if (mine[v / 64] >> (v % 64) & 1) continue;
      kept.push_back(v);
      for (size_t w = 0; w < words; ++w) mine[w] |= reach[v * words + w];
      mine[v / 64] |= uint64_t{1} << (v % 64);
    }
    std::sort(kept.begin(), kept.end());
    list = std::move(kept);
  }
}

// Contract every dummy arc that is the only way out of its tail or the only way into its head: the two events
// then always can happen at the same time. Arcs with function < 0 are dummies.
struct Draft {
  std::vector<int32_t> tail, head, function;
  std::vector<int32_t> merged;  // union-find over events

  int32_t find(int32_t e) {
    while (merged[e] != e) e = merged[e] = merged[merged[e]];
    return e;
  }

  void contract() {
    for (bool changed = true; changed;) {
      // A dummy beside another arc between the same events says nothing new.
      std::set<std::pair<int32_t, int32_t>> joined;
      for (size_t a = 0; a < tail.size(); ++a)
        if (function[a] >= 0) joined.emplace(find(tail[a]), find(head[a]));
      std::vector<int32_t> in(merged.size(), 0), out(merged.size(), 0);
      size_t kept = 0;
      for (size_t a = 0; a < tail.size(); ++a) {
        const int32_t x = find(tail[a]), y = find(head[a]);
        if (function[a] < 0 && (x == y || !joined.emplace(x, y).second)) continue;
        tail[kept] = x, head[kept] = y, function[kept] = function[a];
        ++out[x], ++in[y], ++kept;
      }
      tail.resize(kept), head.resize(kept), function.resize(kept);
      // The degrees hold for events that this pass has not merged yet.
      changed = false;
      std::vector<char> touched(merged.size(), 0);
      for (size_t a = 0; a < kept; ++a) {
        const int32_t x = tail[a], y = head[a];
        if (function[a] >= 0 || touched[x] || touched[y] || (out[x] != 1 && in[y] != 1)) continue;
        merged[std::max(x, y)] = std::min(x, y);
        touched[x] = touched[y] = 1;
        changed = true;
      }
    }
  }
};

// Join parts in series and in parallel as long as any two can be.
void reduce_series_parallel(Network &net) {
  const Graph &g = net.network;
  std::vector<std::vector<int32_t>> in(g.events), out(g.events);
  for (int32_t a = 0; a < g.arcs(); ++a) out[g.tail[a]].push_back(a), in[g.head[a]].push_back(a);
  std::vector<char> live(g.arcs(), 1);

  auto join = [&](Part::Kind kind, int32_t a, int32_t b) {
    const Part p{kind, a, b, net.parts[a].tail, net.parts[b].head};
    const int32_t id = static_cast<int32_t>(net.parts.size());
    std::erase_if(out[p.tail], [&](int32_t q) { return q == a || q == b; });
    std::erase_if(in[p.head], [&](int32_t q) { return q == a || q == b; });
    out[p.tail].push_back(id), in[p.head].push_back(id);
    live[a] = live[b] = 0;
    live.push_back(1);
    net.parts.push_back(p);
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (int32_t e : g.order) {
      for (size_t i = 0; i < out[e].size(); ++i) {
        for (size_t j = i + 1; j < out[e].size(); ++j) {
          if (net.parts[out[e][i]].head != net.parts[out[e][j]].head) continue;
          join(Part::Kind::parallel, out[e][i], out[e][j]);
          changed = true, i = 0, j = 0;
        }
      }
      if (e != Graph::source && e != Graph::sink && in[e].size() == 1 && out[e].size() == 1) {
        const int32_t a = in[e][0], b = out[e][0];
        join(Part::Kind::series, a, b);
        in[e].clear(), out[e].clear();
        changed = true;
      }
    }
  }
  net.kernel.events = g.events;
  for (int32_t e : g.order) {
    for (int32_t p : out[e]) {
      net.kernel.tail.push_back(net.parts[p].tail);
      net.kernel.head.push_back(net.parts[p].head);
      net.kernel.part.push_back(p);
    }
  }
  // Keep the numbers of the events dense: those inside a join are gone.
  std::vector<int32_t> number(g.events, -1);
  number[Graph::source] = Graph::source, number[Graph::sink] = Graph::sink;
  int32_t next = 2;
  for (auto *ends : {&net.kernel.tail, &net.kernel.head}) {
    for (int32_t &e : *ends) {
      if (number[e] < 0) number[e] = next++;
      e = number[e];
    }
  }
  net.kernel.events = next;
  net.kernel.index();
}

}  // namespace

bool build_network(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to, Network &net) {
  Lists successors(functions), predecessors(functions);
  for (int32_t e = 0; e < edges; ++e) successors[from[e]].push_back(to[e]);
  for (auto &list : successors) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  const auto order = function_order(successors);
  if (order.empty()) return false;
  reduce_transitively(successors, order);
  for (int32_t u = 0; u < functions; ++u)
    for (int32_t v : successors[u]) predecessors[v].push_back(u);

  // Functions with the same predecessors share their start, those with the same successors their end.
  Draft draft;
  int32_t events = 2;
  std::map<std::vector<int32_t>, int32_t> starts{{{}, Graph::source}}, ends{{{}, Graph::sink}};
  std::vector<int32_t> start(functions), end(functions);
  for (int32_t v = 0; v < functions; ++v) {
    auto [at, fresh] = starts.emplace(predecessors[v], events);
    events += fresh;
    start[v] = at->second;
    auto [at_end, fresh_end] = ends.emplace(successors[v], events);
    events += fresh_end;
    end[v] = at_end->second;
    draft.tail.push_back(start[v]), draft.head.push_back(end[v]), draft.function.push_back(v);
  }
  for (int32_t u = 0; u < functions; ++u)
    for (int32_t v : successors[u])
      draft.tail.push_back(end[u]), draft.head.push_back(start[v]), draft.function.push_back(-1);
  draft.merged.resize(events);
  std::iota(draft.merged.begin(), draft.merged.end(), 0);
  draft.contract();

  net.functions = functions;
  std::vector<int32_t> number(events, -1);
  number[Graph::source] = Graph::source, number[Graph::sink] = Graph::sink;
  int32_t next = 2;
  Graph &g = net.network;
  for (size_t a = 0; a < draft.tail.size(); ++a) {
    for (int32_t e : {draft.tail[a], draft.head[a]})
      if (number[e] < 0) number[e] = next++;
    const int32_t x = number[draft.tail[a]], y = number[draft.head[a]], v = draft.function[a];
    g.tail.push_back(x), g.head.push_back(y), g.part.push_back(static_cast<int32_t>(a));
    net.parts.push_back({v >= 0 ? Part::Kind::function : Part::Kind::dummy, v, -1, x, y});
  }
  g.events = next;
  g.index();
  reduce_series_parallel(net);
  return true;
}

}  // namespace smiless
