#include "smiless/windows.hpp"

#include <algorithm>

namespace smiless {

namespace {
double seconds(Time t) { return static_cast<double>(t) * 1e-9; }
}  // namespace

// Absent just before atom k, starting to be ready at atom `ready` >= k: whatever happens, one cold start is paid.
double SwitchingPolicy::starting(int32_t k, int32_t ready) const {
  const Time late = gaps_.at[ready] - misses_.tolerated;  // arrivals before this wait for too long
  const auto missed =
      static_cast<int32_t>(std::lower_bound(gaps_.at.begin() + k, gaps_.at.begin() + ready, late) - gaps_.at.begin());
  return left_[k] * seconds(cold_start_) + missed_[missed] - missed_[k] + warm_[ready + 1];
}

SwitchingPolicy::Choice SwitchingPolicy::absent_at(int32_t k, Time from) const {
  const double miss = cold_start_ > misses_.tolerated ? misses_.price[k] : 0.0;
  Choice best{gaps_.mass[k] * (seconds(cold_start_) + miss) + absent_[k + 1], none};
  // Atoms that are reached by a start before atom k.
  for (int32_t j = std::max(begin_[k], k); j < atoms() && gaps_.at[j] - cold_start_ < gaps_.at[k]; ++j) {
    if (gaps_.at[j] - cold_start_ < from) continue;
    const double value = starting(k, j);
    if (value < best.value) best = {value, j};
  }
  return best;
}

void SwitchingPolicy::solve(const Gaps &gaps, Time cold_start, const Misses &misses) {
  gaps_ = gaps, misses_ = misses, cold_start_ = cold_start;
  const int32_t n = atoms();
  left_.resize(n + 1), missed_.resize(n + 1), warm_.resize(n + 1), absent_.resize(n + 1);
  stays_.assign(n + 1, 0), starts_.assign(n + 1, none), begin_.resize(n + 1);
  missed_[0] = 0;
  for (int32_t k = 0; k < n; ++k) missed_[k + 1] = missed_[k] + gaps.mass[k] * misses.price[k];
  left_[n] = gaps.tail_mass;
  for (int32_t k = n; k-- > 0;) left_[k] = left_[k + 1] + gaps.mass[k];
  for (int32_t k = 0, j = 0; k <= n; ++k) {
    const Time before = k > 0 ? gaps.at[k - 1] : 0;
    while (j < n && gaps.at[j] - cold_start < before) ++j;
    begin_[k] = j;
  }
  const double tail_miss = cold_start > misses.tolerated ? misses.tail_price : 0.0;
  absent_[n] = gaps.tail_mass * (seconds(cold_start) + tail_miss);
  const double staying = gaps.tail_mass * gaps.tail_excess;
  stays_[n] = staying <= absent_[n];
  warm_[n] = std::min(staying, absent_[n]);
  for (int32_t k = n; k-- > 0;) {
    const Time before = k > 0 ? gaps.at[k - 1] : 0;
    const Choice choice = absent_at(k, before);
    absent_[k] = choice.value, starts_[k] = choice.start;
    const double stay = seconds(gaps.at[k] - before) * left_[k] + warm_[k + 1];
    stays_[k] = stay <= absent_[k];
    warm_[k] = std::min(stay, absent_[k]);
  }
}

double SwitchingPolicy::value(Time busy, Time keep) const {
  const int32_t n = atoms();
  Time now = busy;
  auto k = static_cast<int32_t>(std::lower_bound(gaps_.at.begin(), gaps_.at.end(), busy) - gaps_.at.begin());
  double sum = 0;
  for (const Time until = busy + keep; k < n && gaps_.at[k] <= until; ++k) {
    sum += seconds(gaps_.at[k] - now) * left_[k];
    now = gaps_.at[k];
  }
  if (now < busy + keep) {
    sum += seconds(busy + keep - now) * left_[k];
    now = busy + keep;
  }
  if (k == n) {
    // Beyond the last atom: the tail's mean excess is counted from there.
    const double gone = n > 0 ? seconds(std::max<Time>(now - gaps_.at[n - 1], 0)) : 0.0;
    return sum + std::min(absent_[n], gaps_.tail_mass * std::max(gaps_.tail_excess - gone, 0.0));
  }
  const double stay = seconds(gaps_.at[k] - now) * left_[k] + warm_[k + 1];
  return sum + std::min(stay, absent_at(k, now).value);
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
    const Time before = first ? now : gaps_.at[k - 1];
    if (warm) {
      const double stay = seconds(gaps_.at[k] - before) * left_[k] + warm_[k + 1];
      if (first ? stay <= absent_at(k, before).value : stays_[k] != 0) {
        wait[k] = 0;
        stays.back().until = gaps_.at[k++];
        first = false;
        continue;
      }
      warm = false;
    }
    const int32_t ready = first ? absent_at(k, before).start : starts_[k];
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
  if (warm && gaps_.tail_mass > 0) {
    const Time last = n > 0 ? gaps_.at[n - 1] : 0;
    const double gone = first ? seconds(std::max<Time>(now - last, 0)) : 0.0;
    if (gaps_.tail_mass * std::max(gaps_.tail_excess - gone, 0.0) <= absent_[n]) stays.back().until = forever;
  }
  // A service that nothing follows is no stay.
  if (stays.front().until == busy && (keep == 0) &&
      (n == 0 || !std::binary_search(gaps_.at.begin(), gaps_.at.end(), busy)))
    stays.erase(stays.begin());
}

}  // namespace smiless
