// Recorded arrivals of one application, met by given schedules: what is billed, and how long every response takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "smiless/control.hpp"
#include "smiless/windows.hpp"

namespace smiless {

enum class Readiness : int8_t { prewarmed, on_arrival, on_request };

// Why a request of a prewarmed function waits, by what the first level of the function is doing.
enum class Cause : uint8_t {
  none = 0,
  too_early = 1,  // it initializes, or its first stay is yet to start
  too_late = 2,   // it was let go, and a later stay is yet to start
  overlap = 3,    // it works or initializes for another request
  cold_tail = 4,  // no stay is left
};

// One function: nanoseconds, and the schedule of each level. A request takes the lowest level that can serve it;
// levels beyond those given have no schedule and end with their service.
struct Played {
  Time latency = 0, cold_start = 0;
  Readiness readiness = Readiness::prewarmed;
  std::vector<std::vector<ResidentStay>> levels;
};

// What must finish before what, and an order of the functions that respects it: always the lowest index that can come.
struct Precedence {
  std::vector<std::vector<int32_t>> before;
  std::vector<int32_t> followers;  // per function, how many wait for it
  std::vector<int32_t> order;
  // Edges must be in range; false on a cycle.
  bool build(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to);
};

struct Recorded {
  std::span<const Time> at;       // ascending, at least one
  bool announced;                 // whether every function learns of an invocation when it arrives
  std::span<const int64_t> warm;  // per function, levels that are there from the first arrival until they first serve
  std::optional<Time> horizon;    // where billing ends; the last finish unless given
};

// The arrival that the schedule of an instance counts from when the service of an invocation begins: its own, or the
// latest one whose work would be on time at that moment, `on_time` after it.
inline Time counted_from(std::span<const Time> at, int64_t invocation, Time begins, Time on_time) {
  const Time latest = begins - on_time;
  auto low = static_cast<size_t>(invocation), step = size_t{1};
  for (; low + step < at.size() && at[low + step] <= latest; step *= 2) low += step;
  const auto first = at.begin() + static_cast<std::ptrdiff_t>(low + 1);
  const auto last = at.begin() + static_cast<std::ptrdiff_t>(std::min(low + step, at.size()));
  return *(std::upper_bound(first, last, latest) - 1);
}

// What one function's instances did. Nanoseconds may add up to more than 64 bits hold.
struct Tally {
  __int128 initializing = 0, busy = 0, idle = 0;
  int64_t cold_starts = 0;  // initializations begun
  int64_t waited = 0;       // requests that did not start at once
  int64_t met_busy = 0;     // requests that came while an instance of their function was serving
  int64_t replicas = 0;     // levels ever used
};

// Replay all arrivals; false when control ended it. At one instant things happen in this order: finish, ready, arrival,
// request, start of a scheduled initialization, let go; ties by function, and then by invocation or level. The zero of
// a schedule's clock is the arrival served, or, where the service begins late, the latest arrival that could have been
// served on time at that moment. `horizon` receives where
// billing ended; std::invalid_argument if the one given is before the last finish.
bool replay(const Precedence &precedence, std::span<const Played> functions, const Recorded &recorded, Control &control,
            std::span<Time> response, std::span<Cause> cause, std::span<Tally> tally, Time &horizon);

}  // namespace smiless
