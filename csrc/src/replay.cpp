#include "smiless/replay.hpp"

#include <algorithm>
#include <compare>
#include <deque>
#include <functional>
#include <limits>
#include <queue>
#include <stdexcept>

namespace smiless {

namespace {

constexpr Time forever = SwitchingPolicy::forever;
constexpr Time never_yet = std::numeric_limits<Time>::min();

Time after(Time zero, Time time) { return time == forever ? forever : zero + time; }

// Place in the order of one instant. A function of latency zero passes a request on within the instant, so requests do
// not always come to the next one in the order of invocations. What can happen next comes lowest first: a request by
// (function, invocation), after the requests a start by (functions + function, level). So of two requests that one
// comes first whose highest turn is lower, its own and those of all that it had to wait for in this instant.
struct Turn {
  int32_t place;
  int64_t tie;
  auto operator<=>(const Turn &) const = default;
};
constexpr Turn before_requests{-1, 0}, after_all{std::numeric_limits<int32_t>::max(), 0};

struct Moment {
  Time time;
  Turn turn;
  auto operator<=>(const Moment &) const = default;
};

struct Request {
  Moment comes;
  int64_t invocation;
  Moment begins;  // its service, as far as that was announced
  auto operator<=>(const Request &) const = default;
};

template <class Item>
using LeastFirst = std::priority_queue<Item, std::vector<Item>, std::greater<>>;

// A place for an instance. It is `taken` from when it is promised to a request until the service ends; what that time
// is spent on is accounted for at once.
struct Level {
  enum class State : uint8_t { absent, starting, idle, taken };
  State state = State::absent;
  int32_t stay = 0;     // the stay of its schedule that is under way, or the next one
  Time since = 0;       // when the present state began
  Time next = forever;  // absent: when it starts; starting or idle: when it is let go; taken: when the service ends
  Time ready = 0;       // starting: when it can serve
  Time base = 0;        // zero of its schedule's clock
  // Of what it is promised to: the arrival of the last invocation, the last time at which work comes, and the turn in
  // which the last service begins.
  Time announced = 0, assigned = never_yet;
  Turn turn = before_requests;
};

// What a function has to know of one that comes before it.
struct Earlier {
  const Time *finish;
  const Turn *turn;  // of the finish; null where it never is at the instant of the request
};

// The instances of one function. Functions act on each other by nothing but when their services end, so each is
// replayed for all invocations before the next one is.
class Instances {
 public:
  Instances(const Recorded &recorded, const Played &played, int32_t index, Time on_time, std::span<Cause> cause)
      : recorded_(recorded),
        played_(played),
        index_(index),
        functions_(static_cast<int32_t>(recorded.warm.size())),
        on_time_(on_time),
        cause_(cause) {
    const auto warm = static_cast<size_t>(recorded.warm[index]);
    levels_.resize(std::max(played.levels.size(), warm));
    for (size_t k = 0; k < levels_.size(); ++k) {
      levels_[k].stay = static_cast<int32_t>(schedule(k).size());
      if (k < warm) levels_[k].state = Level::State::idle, levels_[k].since = recorded.at[0];
    }
    tally.replicas = recorded.warm[index];
  }

  // Serve all invocations. finish[i] receives when that is done; it may be where `before` has it from.
  bool serve(std::span<const Earlier> before, std::vector<Time> &finish, std::vector<Turn> &turn, Control &control);
  // Account for what is left at the end.
  void close(Moment end);

  Tally tally;

 private:
  const Recorded &recorded_;
  const Played &played_;
  int32_t index_, functions_;
  Time on_time_;  // when work comes, after the arrival, if nothing is late
  std::span<Cause> cause_;
  std::vector<Level> levels_;          // those with a schedule, or warm from the beginning
  std::deque<Time> beyond_;            // ends of service of further levels, ascending
  std::vector<Time> promised_beyond_;  // ends of the last promise of further levels
  LeastFirst<Moment> beginnings_;      // of services, to come
  Time begun_ = never_yet;             // the latest one that there was

  std::span<const ResidentStay> schedule(size_t k) const {
    if (k < played_.levels.size()) return played_.levels[k];
    return {};
  }
  bool keeps(const ResidentStay &stay) const { return played_.cold_start > 0 && stay.start == stay.ready; }
  void use(size_t levels) { tally.replicas = std::max(tally.replicas, static_cast<int64_t>(levels)); }

  void follow(size_t k, Time now, int32_t stay);
  void advance(size_t k, Time now, Time before);
  void take(size_t k, int64_t invocation, Time begins);
  Time begin(int64_t invocation, Time now);
  Time begin_beyond(Time now);
  Moment promise(const Request &request);
  size_t start_at(Time start);
  void explain(int64_t invocation);
  void meet(const Request &request);
};

// Go on with the schedule from one of its stays, the instance being there and free.
void Instances::follow(size_t k, Time now, int32_t stay) {
  Level &level = levels_[k];
  const std::span<const ResidentStay> stays = schedule(k);
  const auto count = static_cast<int32_t>(stays.size());
  while (stay < count && after(level.base, stays[stay].until) < now) ++stay;
  level.stay = stay;
  level.since = now;
  level.state = Level::State::absent;
  if (stay == count) {
    level.next = forever;
  } else if (keeps(stays[stay]) || level.base + stays[stay].start <= now) {
    level.state = Level::State::idle;
    level.next = after(level.base, stays[stay].until);
  } else {
    level.next = level.base + stays[stay].start;
  }
}

// Let happen what the schedule has up to now: starts and let-gos before `before` only, as requests have their turn
// first.
void Instances::advance(size_t k, Time now, Time before) {
  Level &level = levels_[k];
  for (;;) {
    switch (level.state) {
      case Level::State::taken:
        if (level.next > now || level.assigned >= now) return;
        follow(k, level.next, 0);
        break;
      case Level::State::absent: {
        if (level.next >= before) return;
        const Time until = after(level.base, schedule(k)[level.stay].until);
        if (until <= level.next) {  // it need not come for that, and nothing comes after it
          level.next = forever;
          return;
        }
        ++tally.cold_starts;
        level.state = Level::State::starting;
        level.since = level.next;
        level.ready = level.next + played_.cold_start;
        level.next = until;
        break;
      }
      case Level::State::starting:
        if (level.ready <= level.next) {
          if (level.ready > now) return;
          tally.initializing += level.ready - level.since;
          level.state = Level::State::idle;
          level.since = level.ready;
        } else {
          if (level.next >= before) return;
          tally.initializing += level.next - level.since;
          follow(k, level.next, level.stay + 1);
          if (level.state == Level::State::idle) level.state = Level::State::starting;
        }
        break;
      case Level::State::idle:
        if (level.next >= before) return;
        tally.idle += level.next - level.since;
        follow(k, level.next, level.stay + 1);
        break;
    }
  }
}

void Instances::take(size_t k, int64_t invocation, Time begins) {
  Level &level = levels_[k];
  level.state = Level::State::taken;
  level.next = begins + played_.latency;
  if (!schedule(k).empty()) level.base = counted_from(recorded_.at, invocation, begins, on_time_);
  use(k + 1);
}

// When the service of a request that comes now begins, nothing having been announced.
Time Instances::begin(int64_t invocation, Time now) {
  if (played_.readiness != Readiness::prewarmed) return begin_beyond(now);
  const size_t none = levels_.size();
  size_t soonest = none, absent = none;
  for (size_t k = 0; k < levels_.size(); ++k) {
    advance(k, now, now);
    const Level &level = levels_[k];
    if (level.state == Level::State::idle) {
      tally.idle += now - level.since;
      take(k, invocation, now);
      return now;
    }
    if (level.state == Level::State::starting && (soonest == none || level.ready < levels_[soonest].ready)) soonest = k;
    if (level.state == Level::State::absent && absent == none) absent = k;
  }
  if (played_.cold_start > 0) explain(invocation);
  if (soonest != none) {
    const Time ready = levels_[soonest].ready;
    ++tally.waited;
    tally.initializing += ready - levels_[soonest].since;
    take(soonest, invocation, ready);
    return ready;
  }
  if (absent == none) return begin_beyond(now);
  const Time ready = now + played_.cold_start;
  ++tally.cold_starts;
  tally.waited += played_.cold_start > 0;
  tally.initializing += played_.cold_start;
  take(absent, invocation, ready);
  return ready;
}

// All these take equally long, so they end in the order in which they begin, and which is which does not matter.
Time Instances::begin_beyond(Time now) {
  const Time ready = now + played_.cold_start;
  ++tally.cold_starts;
  tally.waited += played_.cold_start > 0;
  tally.initializing += played_.cold_start;
  while (!beyond_.empty() && beyond_.front() <= now) beyond_.pop_front();
  beyond_.push_back(ready + played_.latency);
  use(levels_.size() + beyond_.size());
  return ready;
}

// When the service of a request begins that is announced at the arrival: it is promised an instance that is there or
// will be, if that is available before a new one could be.
Moment Instances::promise(const Request &request) {
  const Time now = recorded_.at[request.invocation], comes = request.comes.time;
  const Time start = std::max(now, comes - played_.cold_start), fresh = start + played_.cold_start;
  const size_t none = levels_.size();
  size_t chosen = none;
  Time available = std::max(comes, fresh) + 1;
  for (size_t k = 0; k < levels_.size() && played_.readiness == Readiness::prewarmed; ++k) {
    advance(k, now, now);
    const Level &level = levels_[k];
    if (level.state == Level::State::idle) {
      chosen = k, available = now;
      break;
    }
    Time then = forever;
    if (level.state == Level::State::starting) then = level.ready;
    if (level.state == Level::State::taken && !schedule(k).empty()) {
      const ResidentStay &stay = schedule(k)[0];
      if (keeps(stay) && now <= after(level.announced, stay.until)) then = level.next;
    }
    if (then < available) chosen = k, available = then;
  }
  Moment begins{std::max(comes, chosen == none ? fresh : available), before_requests};
  if (begins.time == comes) begins.turn = request.comes.turn;
  if (begins.time > comes) {
    ++tally.waited;
    if (played_.readiness == Readiness::prewarmed) explain(request.invocation);
  }
  if (chosen != none) {
    const Level &level = levels_[chosen];
    const bool starts = level.state == Level::State::starting, idles = level.state == Level::State::idle;
    if (starts) tally.initializing += level.ready - level.since;
    tally.idle += begins.time - (starts ? level.ready : idles ? level.since : level.next);
  } else {
    ++tally.cold_starts;
    tally.initializing += played_.cold_start;
    tally.idle += begins.time - fresh;
    chosen = start_at(start);
    const Turn starts{functions_ + index_, static_cast<int64_t>(chosen)};
    if (played_.cold_start == 0) begins.turn = std::max(begins.turn, starts);
    if (chosen >= levels_.size()) {
      promised_beyond_[chosen - levels_.size()] = begins.time + played_.latency;
      return begins;
    }
  }
  Level &level = levels_[chosen];
  if (level.assigned == begins.time) begins.turn = std::max(begins.turn, level.turn);
  level.turn = begins.turn;
  level.announced = now;
  level.assigned = std::max(level.assigned, comes);
  take(chosen, request.invocation, begins.time);
  return begins;
}

// The lowest level that is free from `start` on.
size_t Instances::start_at(Time start) {
  for (size_t k = 0; k < levels_.size(); ++k) {
    const Level &level = levels_[k];
    if (level.state == Level::State::taken ? level.next <= start : level.state == Level::State::absent) return k;
  }
  const auto free =
      std::find_if(promised_beyond_.begin(), promised_beyond_.end(), [start](Time end) { return end <= start; });
  const auto k = levels_.size() + static_cast<size_t>(free - promised_beyond_.begin());
  if (free == promised_beyond_.end()) promised_beyond_.push_back(never_yet);
  use(k + 1);
  return k;
}

// The cause of a wait is that of the first function that is late.
void Instances::explain(int64_t invocation) {
  if (cause_[invocation] != Cause::none) return;
  Cause cause = Cause::cold_tail;
  if (const auto stays = schedule(0); !stays.empty()) {
    const Level &first = levels_[0];
    if (first.state == Level::State::taken) cause = Cause::overlap;
    if (first.state == Level::State::starting) cause = Cause::too_early;
    if (first.state == Level::State::absent && first.stay < static_cast<int32_t>(stays.size()))
      cause = first.stay == 0 ? Cause::too_early : Cause::too_late;
  }
  cause_[invocation] = cause;
}

// Count whether a request comes while an instance serves. Only services that began within a latency do; the last one
// that began is among them, if any.
void Instances::meet(const Request &request) {
  if (played_.latency == 0) return;
  for (; !beginnings_.empty() && beginnings_.top() < request.comes; beginnings_.pop())
    begun_ = std::max(begun_, beginnings_.top().time);
  tally.met_busy += begun_ > request.comes.time - played_.latency;
  if (request.begins == request.comes)
    begun_ = request.begins.time;
  else
    beginnings_.push(request.begins);
}

bool Instances::serve(std::span<const Earlier> before, std::vector<Time> &finish, std::vector<Turn> &turn,
                      Control &control) {
  const std::span<const Time> at = recorded_.at;
  const auto count = static_cast<int64_t>(at.size());
  const bool promises = recorded_.announced && played_.readiness != Readiness::on_request;
  const auto serve_at = [&](const Request &request, Moment begins) {
    finish[request.invocation] = begins.time + played_.latency;
    if (!turn.empty()) turn[request.invocation] = begins.turn;
  };
  const auto come = [&](Request request) {
    if (!promises) {
      const Time begins = begin(request.invocation, request.comes.time);
      request.begins = begins == request.comes.time ? request.comes : Moment{begins, before_requests};
      serve_at(request, request.begins);
    }
    meet(request);
    return !control.passed(4 + static_cast<int64_t>(levels_.size()));
  };
  LeastFirst<Request> under_way;  // requests that have yet to come
  for (int64_t i = 0; i < count; ++i) {
    Request request{{at[i], {index_, i}}, i, {}};
    for (const Earlier &one : before) request.comes.time = std::max(request.comes.time, one.finish[i]);
    for (const Earlier &one : before)
      if (one.turn && one.finish[i] == request.comes.time)
        request.comes.turn = std::max(request.comes.turn, one.turn[i]);
    if (promises) {
      request.begins = promise(request);
      serve_at(request, request.begins);
    }
    // No later invocation has a request before its arrival.
    const Time known = i + 1 < count ? at[i + 1] : forever;
    if (under_way.empty() && request.comes.time < known) {
      if (!come(request)) return false;
      continue;
    }
    under_way.push(request);
    for (; !under_way.empty() && under_way.top().comes.time < known; under_way.pop())
      if (!come(under_way.top())) return false;
  }
  return true;
}

void Instances::close(Moment end) {
  for (size_t k = 0; k < levels_.size(); ++k) {
    const bool starts = Turn{functions_ + index_, static_cast<int64_t>(k)} < end.turn;
    advance(k, end.time, end.time + starts);
    const Level &level = levels_[k];
    if (level.state == Level::State::starting) tally.initializing += end.time - level.since;
    if (level.state == Level::State::idle) tally.idle += end.time - level.since;
  }
  tally.busy = __int128{played_.latency} * static_cast<__int128>(recorded_.at.size());
}

// When work reaches each function, after the arrival, if every prewarmed one is ready.
std::vector<Time> on_time_starts(const Precedence &precedence, std::span<const Played> functions) {
  std::vector<Time> starts(functions.size(), 0), ends(functions.size(), 0);
  for (const int32_t v : precedence.order) {
    const Played &one = functions[v];
    for (const int32_t u : precedence.before[v]) starts[v] = std::max(starts[v], ends[u]);
    Time begins = starts[v];
    if (one.readiness == Readiness::on_request) begins += one.cold_start;
    if (one.readiness == Readiness::on_arrival) begins = std::max(begins, one.cold_start);
    ends[v] = begins + one.latency;
  }
  return starts;
}

}  // namespace

bool Precedence::build(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to) {
  before.assign(functions, {});
  followers.assign(functions, 0);
  order.clear();
  std::vector<std::vector<int32_t>> then(functions);
  std::vector<int32_t> missing(functions, 0);
  for (int32_t e = 0; e < edges; ++e) {
    before[to[e]].push_back(from[e]);
    then[from[e]].push_back(to[e]);
    ++followers[from[e]], ++missing[to[e]];
  }
  LeastFirst<int32_t> can_come;
  for (int32_t v = 0; v < functions; ++v)
    if (missing[v] == 0) can_come.push(v);
  while (!can_come.empty()) {
    const int32_t u = can_come.top();
    can_come.pop();
    order.push_back(u);
    for (const int32_t v : then[u])
      if (--missing[v] == 0) can_come.push(v);
  }
  return static_cast<int32_t>(order.size()) == functions;
}

bool replay(const Precedence &precedence, std::span<const Played> functions, const Recorded &recorded, Control &control,
            std::span<Time> response, std::span<Cause> cause, std::span<Tally> tally, Time &horizon) {
  const size_t n = functions.size(), count = recorded.at.size();
  const std::vector<Time> on_time = on_time_starts(precedence, functions);
  std::vector<Instances> instances;
  for (size_t v = 0; v < n; ++v)
    instances.emplace_back(recorded, functions[v], static_cast<int32_t>(v), on_time[v], cause);
  std::fill(response.begin(), response.end(), Time{0});
  std::fill(cause.begin(), cause.end(), Cause::none);
  std::vector<std::vector<Time>> finish(n);
  std::vector<std::vector<Turn>> turn(n);
  std::vector<int32_t> followers = precedence.followers;  // that are yet to be replayed
  Moment last{never_yet, before_requests};                // finish
  for (const int32_t v : precedence.order) {
    // One array serves a whole chain: what an earlier function needs no more is overwritten.
    std::vector<Earlier> before;
    for (const int32_t u : precedence.before[v])
      before.push_back({finish[u].data(), turn[u].empty() ? nullptr : turn[u].data()});
    for (const int32_t u : precedence.before[v])
      if (--followers[u] == 0 && finish[v].empty()) finish[v] = std::move(finish[u]);
    finish[v].resize(count);
    if (functions[v].latency == 0) turn[v].resize(count);
    if (!instances[v].serve(before, finish[v], turn[v], control)) return false;
    for (const int32_t u : precedence.before[v])
      if (followers[u] == 0) finish[u] = {}, turn[u] = {};
    if (followers[v] > 0) continue;
    for (size_t i = 0; i < count; ++i) {
      response[i] = std::max(response[i], finish[v][i] - recorded.at[i]);
      last = std::max(last, Moment{finish[v][i], turn[v].empty() ? before_requests : turn[v][i]});
    }
    finish[v] = {}, turn[v] = {};
  }
  const Moment end = recorded.horizon ? Moment{*recorded.horizon, after_all} : last;
  if (end < last) throw std::invalid_argument("the horizon is before the last finish");
  horizon = end.time;
  for (size_t v = 0; v < n; ++v) {
    instances[v].close(end);
    tally[v] = instances[v].tally;
  }
  return true;
}

}  // namespace smiless
