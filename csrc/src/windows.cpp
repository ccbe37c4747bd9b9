#include "smiless/windows.hpp"

#include <algorithm>

namespace smiless {

namespace {
double seconds(Time t) { return static_cast<double>(t) * 1e-9; }
}  // namespace

double SwitchingPolicy::between(int32_t k, Time from) const {
  if (gaps_.spread[k] == 0) return 0;
  const Time width = gaps_.at[k] - before(k);
  return gaps_.spread[k] * (static_cast<double>(gaps_.at[k] - from) / static_cast<double>(width));
}

Expected SwitchingPolicy::staying(int32_t k, Time from) const {
  const double time = seconds(gaps_.at[k] - from);
  return {time * (left_[k] + between(k, from) / 2) + warm_[k + 1].value, warm_[k + 1].misses};
}

// Whatever happens, one cold start is paid.
Expected SwitchingPolicy::starting(int32_t k, Time from, int32_t ready) const {
  const double rest = between(k, from);
  Expected expected = started(k, from, ready);
  if (cold_start_ <= misses_.tolerated) return expected;
  const Time late = gaps_.at[ready] - misses_.tolerated;  // arrivals before this wait for too long
  if (late <= from) return expected;
  const int32_t m = std::max(punctual_[ready], k);
  // All up to atom m - 1, and what is spread from there to `late`, but for what came before `from`.
  const double last = gaps_.spread[m] - between(m, late), first = gaps_.spread[k] - rest;
  expected.misses += passed_[m] - passed_[k] + last - first;
  expected.value += priced_[m] - priced_[k] + misses_.spread_price[m] * last - misses_.spread_price[k] * first;
  return expected;
}

SwitchingPolicy::Choice SwitchingPolicy::waiting(int32_t k, Time from) const {
  const double spread = between(k, from), come = gaps_.mass[k] + spread;
  Choice choice{absent_[k + 1], none};
  choice.expected.value += come * seconds(cold_start_) * (1 + misses_.absence_price);
  if (cold_start_ > misses_.tolerated) {
    choice.expected.value += gaps_.mass[k] * misses_.price[k] + spread * misses_.spread_price[k];
    choice.expected.misses += come;
  }
  return choice;
}

SwitchingPolicy::Choice SwitchingPolicy::absent_at(int32_t k, Time from) const {
  Choice best = waiting(k, from);
  const bool graced = misses_.absence_price > 0;
  const Time lead = graced ? cold_start_ + misses_.grace : cold_start_;
  // Atoms that are reached by a start at `from` or later, and before atom k, or within its grace.
  for (int32_t j = std::max(reached(k, from), k); j < atoms(); ++j) {
    const bool beyond = gaps_.at[j] - lead >= gaps_.at[k];
    if (beyond && !graced) break;
    const Expected expected = graced ? started(k, from, j) : starting(k, from, j);
    if (expected.value < best.expected.value) best = {expected, j};
    if (beyond) break;  // as in graced_at
  }
  return best;
}

int32_t SwitchingPolicy::reached(int32_t k, Time from) const {
  int32_t j = begin_[k];
  while (j < atoms() && gaps_.at[j] - cold_start_ < from) ++j;
  return j;
}

Expected SwitchingPolicy::started(int32_t k, Time from, int32_t ready) const {
  Expected expected = warm_[ready + 1];
  expected.value += (left_[k] + between(k, from)) * seconds(cold_start_);
  return expected;
}

double SwitchingPolicy::staying_on(Time now) const {
  const double gone = seconds(std::max<Time>(now - before(atoms()), 0));
  return gaps_.tail_mass * std::max(gaps_.tail_excess - gone, 0.0);
}

// As absent_at just after atom k - 1, for k in descending order: the best of the atoms in reach by a sliding minimum.
SwitchingPolicy::Choice SwitchingPolicy::graced_at(int32_t k, int32_t &next, size_t &first) {
  const int32_t low = std::max(begin_[k], k);
  while (next > low) {
    --next;
    while (window_.size() > first && warm_[next + 1].value <= warm_[window_.back() + 1].value) window_.pop_back();
    window_.push_back(next);
  }
  // An instance may start just in time for atom k to come within its grace, and then be ready in the cell of the next
  // atom in the window: as if it were there at that atom only.
  while (first < window_.size() && window_[first] > 0 &&
         gaps_.at[window_[first] - 1] - cold_start_ - misses_.grace >= gaps_.at[k])
    ++first;
  Choice best = waiting(k, before(k));
  if (first < window_.size()) {
    const Expected expected = started(k, before(k), window_[first]);
    if (expected.value < best.expected.value) best = {expected, window_[first]};
  }
  return best;
}

void SwitchingPolicy::solve(const Gaps &gaps, Time cold_start, const Misses &misses) {
  gaps_ = gaps, misses_ = misses, cold_start_ = cold_start;
  const int32_t n = atoms();
  left_.resize(n + 1), passed_.resize(n + 1), priced_.resize(n + 1), warm_.resize(n + 1), absent_.resize(n + 1);
  stays_.assign(n + 1, 0), starts_.assign(n + 1, none), begin_.resize(n + 1), punctual_.resize(n);
  passed_[0] = priced_[0] = 0;
  for (int32_t k = 0; k < n; ++k) {
    passed_[k + 1] = passed_[k] + gaps.mass[k] + gaps.spread[k];
    priced_[k + 1] = priced_[k] + gaps.mass[k] * misses.price[k] + gaps.spread[k] * misses.spread_price[k];
  }
  left_[n] = gaps.tail_mass;
  for (int32_t k = n; k-- > 0;) left_[k] = left_[k + 1] + gaps.mass[k] + (k + 1 < n ? gaps.spread[k + 1] : 0.0);
  for (int32_t k = 0, j = 0; k <= n; ++k) {
    while (j < n && gaps.at[j] - cold_start < before(k)) ++j;
    begin_[k] = j;
  }
  for (int32_t k = 0, j = 0; k < n; ++k) {
    while (gaps.at[j] < gaps.at[k] - misses.tolerated) ++j;
    punctual_[k] = j;
  }
  const double missed = cold_start > misses.tolerated ? gaps.tail_mass : 0.0;
  absent_[n] = {gaps.tail_mass * seconds(cold_start) * (1 + misses.absence_price) + missed * misses.tail_price, missed};
  warm_[n] = {staying_on(before(n)), 0};
  stays_[n] = warm_[n].value <= absent_[n].value;
  if (!stays_[n]) warm_[n] = absent_[n];
  window_.clear();
  size_t first = 0;  // of the window: atoms leave it at this end
  for (int32_t k = n, next = n; k-- > 0;) {
    const Choice choice = misses.absence_price > 0 ? graced_at(k, next, first) : absent_at(k, before(k));
    absent_[k] = choice.expected, starts_[k] = choice.start;
    warm_[k] = staying(k, before(k));
    stays_[k] = warm_[k].value <= absent_[k].value;
    if (!stays_[k]) warm_[k] = absent_[k];
  }
}

Expected SwitchingPolicy::value(Time busy, Time keep) const {
  const int32_t n = atoms();
  Time now = busy;
  auto k = static_cast<int32_t>(std::lower_bound(gaps_.at.begin(), gaps_.at.end(), busy) - gaps_.at.begin());
  double sum = 0;
  const Time until = busy + keep;
  for (; k < n && gaps_.at[k] <= until; now = gaps_.at[k++])
    sum += seconds(gaps_.at[k] - now) * (left_[k] + between(k, now) / 2);
  if (now < until) {
    if (k == n) {
      sum += staying_on(now) - staying_on(until);
    } else {
      const double rest = between(k, until), met = between(k, now) - rest;
      sum += seconds(until - now) * (left_[k] + rest + met / 2);
    }
    now = until;
  }
  if (k == n) {
    // Beyond the last atom: the tail's mean excess is counted from there.
    const double on = staying_on(now);
    if (on <= absent_[n].value) return {sum + on, 0};
    return {sum + absent_[n].value, absent_[n].misses};
  }
  const Expected stay = staying(k, now), leave = absent_at(k, now).expected;
  const Expected &best = stay.value <= leave.value ? stay : leave;
  return {sum + best.value, best.misses};
}

void SwitchingPolicy::follow(Time busy, Time keep, std::vector<ResidentStay> &stays, std::span<Time> wait) const {
  const int32_t n = atoms();
  stays.clear();
  auto k = static_cast<int32_t>(std::lower_bound(gaps_.at.begin(), gaps_.at.end(), busy) - gaps_.at.begin());
  for (int32_t i = 0; i < k; ++i) wait[i] = cold_start_;
  Time now = busy;
  bool warm = true;
  stays.push_back({busy, busy, busy});
  for (; k < n && gaps_.at[k] <= busy + keep; ++k) wait[k] = 0, now = gaps_.at[k];
  now = std::max(now, busy + keep);
  stays.back().until = now;
  bool first = true;
  while (k < n) {
    const Time from = first ? now : before(k);
    if (warm) {
      if (first ? staying(k, from).value <= absent_at(k, from).expected.value : stays_[k] != 0) {
        wait[k] = 0;
        stays.back().until = gaps_.at[k++];
        first = false;
        continue;
      }
      warm = false;
    }
    const int32_t ready = first ? absent_at(k, from).start : starts_[k];
    first = false;
    if (ready == none) {
      wait[k++] = cold_start_;
      continue;
    }
    stays.push_back({gaps_.at[ready] - cold_start_, gaps_.at[ready], gaps_.at[ready]});
    for (; k < ready; ++k) wait[k] = gaps_.at[ready] - gaps_.at[k];
    wait[k++] = 0;
    warm = true;
  }
  if (warm && gaps_.tail_mass > 0 && staying_on(first ? now : before(n)) <= absent_[n].value)
    stays.back().until = forever;
  // A service that nothing follows is no stay.
  if (stays.front().until == busy && (keep == 0) &&
      (n == 0 || !std::binary_search(gaps_.at.begin(), gaps_.at.end(), busy)))
    stays.erase(stays.begin());
}

Met meet(std::span<const ResidentStay> stays, Time gap, Time cold_start) {
  if (gap == 0) return {0, 0};  // at the very end of the service that it follows
  double residency = 0;
  for (const ResidentStay &stay : stays) {
    if (stay.start >= gap && stay.ready > gap) break;
    if (stay.ready > gap) return {residency + seconds(stay.ready - stay.start), stay.ready - gap};
    if (gap <= stay.until) return {residency + seconds(gap - stay.start), 0};
    residency += seconds(stay.until - stay.start);
  }
  return {residency + seconds(cold_start), cold_start};
}

}  // namespace smiless
