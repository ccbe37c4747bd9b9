#include "smiless/simulation.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace smiless {

namespace {

constexpr Time forever = SwitchingPolicy::forever;

// Arrivals that functions pass on at a time, so that what is on its way stays in the cache.
constexpr int64_t at_a_time = 4096;

// Planned times add up to no more than this, which leaves room to count from.
constexpr Time longest_planned = forever / 4;

Time planned_sum(Time one, Time other) { return std::min(longest_planned, one + other); }

}  // namespace

Simulation::Simulation(const Precedence &precedence, std::vector<Application> applications, uint64_t seed, Time start,
                       bool notes_requests, bool notes_instances)
    : after_(precedence.before.size()), before_(precedence.before), now_(start) {
  const Notes notes{notes_requests ? &requests_ : nullptr, notes_instances ? &instances_ : nullptr};
  for (const Application &one : applications) {
    int32_t last = 0;
    for (int32_t f = one.first; f < one.last; ++f) {
      for (const int32_t u : before_[f]) after_[u].push_back(f);
      last += precedence.followers[f] == 0;
      servings_.emplace_back(f, one.at, static_cast<int32_t>(before_[f].size()), one.announced, seed, notes);
    }
    std::fill_n(one.response, one.at.size(), Time{-1});
    Course course{one, {}, Meeting(last), 0, start};
    for (const int32_t f : precedence.order)
      if (one.first <= f && f < one.last) course.order.push_back(f);
    applications_.push_back(std::move(course));
  }
}

void Simulation::decide(int32_t function, Decision decision) {
  if (over_) throw std::invalid_argument("the simulation is over");
  if (torn_) throw std::invalid_argument("the advance that was stopped has to be finished first");
  servings_[function].decide(std::move(decision), now_);
  stale_ = true;
}

// When work reaches each function, after the arrival, if nothing is late.
void Simulation::refresh() {
  if (!stale_) return;
  std::vector<Time> ends(servings_.size(), 0);
  for (const Course &course : applications_) {
    for (const int32_t f : course.order) {
      Serving &serving = servings_[f];
      if (!serving.decided()) throw std::invalid_argument("function " + std::to_string(f) + " has no decision");
      Time begins = 0;
      for (const int32_t u : before_[f]) begins = std::max(begins, ends[u]);
      serving.set_on_time(begins, now_);
      const Configuration &on = serving.configuration();
      if (serving.decision().readiness == Readiness::on_request) begins = planned_sum(begins, on.cold_start);
      if (serving.decision().readiness == Readiness::on_arrival) begins = std::max(begins, on.cold_start);
      ends[f] = planned_sum(begins, on.latency[0]);
    }
  }
  stale_ = false;
}

bool Simulation::pass(Course &course, Time limit, bool all_served, Control &control) {
  over_ = true;  // if this throws, what is there means nothing any more
  for (const int32_t f : course.order) {
    finished_.clear();
    const bool complete = servings_[f].run(limit, all_served, control, finished_);
    for (const Request &one : finished_) {
      for (const int32_t next : after_[f]) servings_[next].finished_before(one.invocation, one.comes);
      if (!after_[f].empty()) continue;
      if (const auto finish = course.ends.pass(one.invocation, one.comes))
        course.application.response[one.invocation] = *finish - course.application.at[one.invocation];
    }
    if (!complete) {
      over_ = false;
      return false;
    }
  }
  over_ = false;
  return true;
}

bool Simulation::reach(Course &course, Time until, Control &control) {
  const std::span<const Time> at = course.application.at;
  const auto count = static_cast<int64_t>(at.size());
  while (course.reached < until) {
    Time limit = until;
    if (course.cursor + at_a_time < count) limit = std::min(limit, at[course.cursor + at_a_time] + 1);
    if (!pass(course, limit, false, control)) return false;
    course.reached = limit;
    while (course.cursor < count && at[course.cursor] < limit) ++course.cursor;
  }
  return true;
}

// Let happen what comes before `until`, and no more of it to a function than until all its requests are served.
bool Simulation::serve_all(Time until, Control &control) {
  for (Course &course : applications_) {
    const std::span<const Time> at = course.application.at;
    if (!at.empty() && !reach(course, std::min(until, at.back() + 1), control)) return false;
    if (!pass(course, until, true, control)) return false;
  }
  return true;
}

Time Simulation::last_finish() const {
  Time last = now_;
  for (const Serving &serving : servings_) last = std::max(last, serving.last_finish());
  return last;
}

bool Simulation::advance(Time until, bool no_further, Control &control) {
  if (over_) throw std::invalid_argument("the simulation is over");
  if (until < now_ || (torn_ && until < torn_until_)) throw std::invalid_argument("time goes on only");
  if (until == now_) return true;
  refresh();
  torn_ = true;
  torn_until_ = until;
  if (no_further) {
    if (!serve_all(until, control)) return false;
    if (std::all_of(servings_.begin(), servings_.end(), [](const Serving &serving) { return serving.served_all(); }))
      until = std::min(until, last_finish());
  }
  for (Course &course : applications_)
    if (!reach(course, until, control)) return false;
  torn_ = false;
  now_ = until;
  return true;
}

bool Simulation::finish(std::optional<Time> horizon, Control &control) {
  if (horizon) {
    if (!advance(*horizon + 1, false, control)) return false;
    now_ = *horizon;
  } else {
    if (over_) throw std::invalid_argument("the simulation is over");
    refresh();
    torn_ = true;
    torn_until_ = forever;
    if (!serve_all(forever, control)) return false;
    now_ = last_finish();
    for (Course &course : applications_)
      if (!reach(course, now_, control)) return false;
    torn_ = false;
  }
  for (Serving &serving : servings_) serving.close(now_);
  over_ = true;
  return true;
}

std::vector<ServedRequest> Simulation::drain_requests() {
  std::sort(requests_.begin(), requests_.end(), [](const ServedRequest &one, const ServedRequest &other) {
    return std::tie(one.finishes, one.function, one.invocation) <
           std::tie(other.finishes, other.function, other.invocation);
  });
  return std::exchange(requests_, {});
}

std::vector<EndedInstance> Simulation::drain_instances() {
  std::sort(instances_.begin(), instances_.end(), [](const EndedInstance &one, const EndedInstance &other) {
    return std::tie(one.ends, one.function, one.serial) < std::tie(other.ends, other.function, other.serial);
  });
  return std::exchange(instances_, {});
}

}  // namespace smiless
