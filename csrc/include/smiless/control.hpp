// Budgets, the stop callback and the time limit of one search.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

#include "smiless/smiless.h"

namespace smiless {

class Control {
 public:
  enum class End : uint8_t { none, budget, stopped };
  smiless_work done{0, 0, 0};

  Control(const smiless_work *budget, double time_limit, smiless_stop stop, void *context)
      : stop_(stop), context_(context), timed_(time_limit > 0) {
    if (budget) budget_ = *budget;
    for (int64_t *b : {&budget_.augmentations, &budget_.labels, &budget_.nodes})
      if (*b <= 0) *b = std::numeric_limits<int64_t>::max();
    // Ten years stand in for any longer limit: the clock counts in integers.
    if (timed_)
      deadline_ =
          Clock::now() + std::chrono::nanoseconds(static_cast<int64_t>((time_limit < 3e8 ? time_limit : 3e8) * 1e9));
  }

  // Count work; true when the search must end. The clock and the callback are asked once per `poll_every` units, a
  // unit being about ten nanoseconds: a label, or a piece of the graph that an augmentation or a node passes through.
  bool augmented(int64_t size) { return ++done.augmentations > budget_.augmentations ? over() : poll(size); }
  bool labeled(int64_t count) {
    done.labels += count;
    return done.labels > budget_.labels ? over() : poll(count);
  }
  bool opened(int64_t size) { return ++done.nodes > budget_.nodes ? over() : poll(32 * size); }
  // Work that no budget counts.
  bool passed(int64_t size) { return poll(size); }
  End end() const { return end_; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int64_t poll_every = 16384;
  smiless_work budget_{0, 0, 0};
  smiless_stop stop_;
  void *context_;
  bool timed_;
  Clock::time_point deadline_{};
  int64_t since_poll_ = 0;
  End end_ = End::none;

  bool over() {
    if (end_ == End::none) end_ = End::budget;
    return true;
  }
  bool poll(int64_t weight) {
    if (end_ != End::none) return true;
    if ((since_poll_ += weight) < poll_every) return false;
    since_poll_ = 0;
    if ((stop_ && stop_(context_)) || (timed_ && Clock::now() >= deadline_)) end_ = End::stopped;
    return end_ != End::none;
  }
};

}  // namespace smiless
