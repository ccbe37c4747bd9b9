// When an instance should exist between two services: the optimal switching policy over elapsed time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "smiless/relaxation.hpp"

namespace smiless {

// The time X from one arrival to the next: atoms in ascending order, and what lies beyond the last one.
struct Gaps {
  std::span<const Time> at;      // nanoseconds
  std::span<const double> mass;  // probabilities; with tail_mass they sum to 1
  double tail_mass = 0;          // P(X > last atom)
  double tail_excess = 0;        // E[X - last atom | X > last atom], seconds
};

// What an arrival costs beside time when it must wait for longer than `tolerated`: seconds of residency that one
// would pay to avoid it, per atom and for the tail.
struct Misses {
  std::span<const double> price;
  double tail_price = 0;
  Time tolerated = 0;
};

// One stay of an instance, nanoseconds after the arrival that it served last. A stay that bridges from the service
// before it has start == ready.
struct ResidentStay {
  Time start, ready, until;
};

// Backward recursion over elapsed time, values weighted by the mass that is still to come, in expected seconds of
// residency. A warm instance stays or is let go; an absent one waits or starts, and then is ready at an atom: later
// would miss it and earlier would idle. An arrival during initialisation pays for the rest of it.
class SwitchingPolicy {
 public:
  static constexpr Time forever = INT64_MAX;

  // Solve for a cold start; O(atoms). Ties leave things as they are. The spans must outlive what follows.
  void solve(const Gaps &gaps, Time cold_start, const Misses &misses);
  // Expected seconds of residency (and of priced misses) from the end of a service of `busy` nanoseconds until the
  // next one begins; the instance stays for `keep` at least. Arrivals before the end of service are left out.
  double value(Time busy, Time keep) const;
  // What the policy does after that service: the stays, and per atom how long an arrival waits.
  void follow(Time busy, Time keep, std::vector<ResidentStay> &stays, std::span<Time> wait) const;

 private:
  struct Choice {
    double value;
    int32_t start;  // atom to be ready at, or none
  };
  static constexpr int32_t none = -1;
  Gaps gaps_;
  Misses misses_;
  Time cold_start_ = 0;
  std::vector<double> left_;           // left_[k] = P(X >= atom k)
  std::vector<double> missed_;         // prefix sums of mass * price
  std::vector<double> warm_, absent_;  // just after atom k - 1
  std::vector<int32_t> begin_;         // first atom whose start lies after atom k - 1, or at it
  std::vector<char> stays_;
  std::vector<int32_t> starts_;
  int32_t atoms() const { return static_cast<int32_t>(gaps_.at.size()); }
  // The better of waiting for atom k and starting before it, not earlier than `from`, when absent.
  Choice absent_at(int32_t k, Time from) const;
  double starting(int32_t k, int32_t ready) const;
};

}  // namespace smiless
