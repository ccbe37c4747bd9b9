// Applications served between decisions: a caller advances to a time, looks at the past, changes what functions do, and
// advances again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "smiless/serving.hpp"

namespace smiless {

// The functions first .. last - 1 are its own; no edge leaves them.
struct Application {
  int32_t first, last;
  std::span<const Time> at;  // arrivals, ascending; not known to any function before they come
  bool announced;            // whether every function learns of an invocation when it arrives
  Time *response;            // per invocation; receives -1, and what it was when it has finished
};

// At one instant things happen to a function in this order: finish, ready, queued requests after a decision, requests,
// scheduled starts, the floor, timed starts, announced starts, let go; ties by level, and by invocation. Every service
// takes a nanosecond at least, so functions act on each other by nothing but past finishes, and each is advanced for
// itself, after those before it.
class Simulation {
 public:
  // Arrivals and responses must outlive it; the precedence is that of all functions. It begins at `start`, which no
  // arrival is before.
  Simulation(const Precedence &precedence, std::vector<Application> applications, uint64_t seed, Time start,
             bool notes_requests, bool notes_instances);
  Simulation(const Simulation &) = delete;

  Time now() const { return now_; }
  size_t functions() const { return servings_.size(); }
  size_t applications() const { return applications_.size(); }
  // What a function does from now on, whatever else happens at this instant. std::invalid_argument where a
  // configuration's number already means something else.
  void decide(int32_t function, Decision decision);
  // Let happen all that comes before `until`, or with `no_further` of that what comes before the last finish, if all
  // requests have finished by then; false when control ended it, which only another advance can mend.
  bool advance(Time until, bool no_further, Control &control);
  // Let happen all up to and including the horizon, by default the last finish; nothing happens after it.
  bool finish(std::optional<Time> horizon, Control &control);

  int64_t arrived(size_t application) const { return applications_[application].cursor; }
  Observed observe(int32_t function) { return servings_[function].observe(now_); }
  void bill(int32_t function, std::vector<std::pair<const Configuration *, Bill>> &rows) const {
    servings_[function].bill(now_, rows);
  }
  // What was noted since the last time, in the order of finishes and of ends, then by function and by invocation or
  // instance.
  std::vector<ServedRequest> drain_requests();
  std::vector<EndedInstance> drain_instances();
  int64_t noted_requests() const { return static_cast<int64_t>(requests_.size()); }
  int64_t noted_instances() const { return static_cast<int64_t>(instances_.size()); }

 private:
  struct Course {  // of an application
    Application application;
    std::vector<int32_t> order;
    Meeting ends;        // where the functions that nothing follows meet
    int64_t cursor = 0;  // the first arrival that is not before what has been reached
    Time reached;
  };
  std::vector<Course> applications_;
  std::vector<Serving> servings_;
  std::vector<std::vector<int32_t>> after_;
  std::vector<std::vector<int32_t>> before_;
  std::vector<Request> finished_;
  std::vector<ServedRequest> requests_;
  std::vector<EndedInstance> instances_;
  Time now_;
  bool stale_ = true;  // what is on time
  bool torn_ = false;  // an advance, by control
  Time torn_until_ = 0;
  bool over_ = false;

  void refresh();
  bool pass(Course &course, Time limit, bool all_served, Control &control);
  bool reach(Course &course, Time until, Control &control);
  bool serve_all(Time until, Control &control);
  Time last_finish() const;
};

}  // namespace smiless
