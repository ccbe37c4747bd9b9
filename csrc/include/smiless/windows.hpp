// When an instance should exist between two services: the optimal switching policy over elapsed time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "smiless/relaxation.hpp"

namespace smiless {

// The time X from one arrival to the next: atoms in ascending order, what is spread evenly between them, and what lies
// beyond the last one. All probabilities together sum to 1.
struct Gaps {
  std::span<const Time> at;        // nanoseconds
  std::span<const double> mass;    // P(X == at[k])
  std::span<const double> spread;  // P(at[k - 1] < X < at[k]), from 0 on for k = 0
  double tail_mass = 0;            // P(X > last atom)
  double tail_excess = 0;          // E[X - last atom | X > last atom], seconds
};

// What an arrival costs beside time when it must wait for longer than `tolerated`: seconds of residency that one
// would pay to avoid it, per atom, for what is spread before each atom, and for the tail.
struct Misses {
  std::span<const double> price, spread_price;
  double tail_price = 0;
  Time tolerated = 0;
  // For bounds: seconds of residency that an arrival costs by every second of its own cold start, unless it comes up to
  // `grace` before the start of an initialization. Arrivals that come then, or during it, are never missed.
  double absence_price = 0;
  Time grace = 0;
};

// One stay of an instance, nanoseconds after the arrival that it served last. A stay that bridges from the service
// before it has start == ready.
struct ResidentStay {
  Time start, ready, until;
};

// What is expected of a policy: seconds of residency and priced misses and absences, and the probability that an
// arrival waits for longer than tolerated, whatever its price.
struct Expected {
  double value = 0, misses = 0;
};

// Backward recursion over elapsed time, weighted by the probability that is still to come. A warm instance stays or is
// let go at an atom; an absent one waits or starts, and then is ready at an atom. Where nothing is spread between the
// atoms no other time is better: later would miss an atom and earlier would idle. An arrival during initialization pays
// for the rest of it.
class SwitchingPolicy {
 public:
  static constexpr Time forever = INT64_MAX;

  // Solve for a cold start; O(atoms). Ties leave things as they are. The spans must outlive what follows.
  void solve(const Gaps &gaps, Time cold_start, const Misses &misses);
  // From the end of a service of `busy` nanoseconds until the next one begins, when the instance stays for `keep` at
  // least. Arrivals before the end of service are left out.
  Expected value(Time busy, Time keep) const;
  // What the policy does after that service: the stays, and per atom how long an arrival waits.
  void follow(Time busy, Time keep, std::vector<ResidentStay> &stays, std::span<Time> wait) const;

 private:
  struct Choice {
    Expected expected;
    int32_t start;  // atom to be ready at, or none
  };
  static constexpr int32_t none = -1;
  Gaps gaps_;
  Misses misses_;
  Time cold_start_ = 0;
  std::vector<double> left_;             // left_[k] = P(X >= atom k)
  std::vector<double> passed_, priced_;  // P(X <= atom k - 1), and the same with every arrival counted at its price
  std::vector<Expected> warm_, absent_;  // just after atom k - 1
  std::vector<int32_t> begin_;           // first atom whose start lies after atom k - 1, or at it
  std::vector<int32_t> punctual_;        // first atom that waits no longer than tolerated for what is ready at atom k
  std::vector<int32_t> window_;          // atoms that may be the best to be ready at, best last
  std::vector<char> stays_;
  std::vector<int32_t> starts_;
  int32_t atoms() const { return static_cast<int32_t>(gaps_.at.size()); }
  Time before(int32_t k) const { return k > 0 ? gaps_.at[k - 1] : 0; }
  // P(from < X < atom k), for `from` between atom k - 1 and atom k.
  double between(int32_t k, Time from) const;
  // Warm at `from`, between atom k - 1 and atom k, and until atom k at least.
  Expected staying(int32_t k, Time from) const;
  // Absent at `from`, and to be ready at atom `ready` >= k.
  Expected starting(int32_t k, Time from, int32_t ready) const;
  // The better of waiting for atom k and starting before it, not earlier than `from`, when absent.
  Choice absent_at(int32_t k, Time from) const;
  // The first atom that an instance can be ready at that starts at `from` or later, between atom k - 1 and atom k.
  int32_t reached(int32_t k, Time from) const;
  // Absent at `from` and until atom k.
  Choice waiting(int32_t k, Time from) const;
  // Absent at `from`, and to be ready at atom `ready` whatever happens before: a cold start is paid.
  Expected started(int32_t k, Time from, int32_t ready) const;
  Choice graced_at(int32_t k, int32_t &next, size_t &first);
  // Warm at `now`, beyond the last atom, for as long as it takes.
  double staying_on(Time now) const;
};

// What becomes of an arrival: the seconds that an instance was there for it, services not included, and its wait.
struct Met {
  double residency;
  Time wait;
};
// An arrival `gap` after the one that the stays follow, which are in ascending order. It starts what is not there, and
// what comes later is not started any more.
Met meet(std::span<const ResidentStay> stays, Time gap, Time cold_start);

}  // namespace smiless
