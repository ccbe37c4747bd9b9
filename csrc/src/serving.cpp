#include "smiless/serving.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace smiless {

namespace {

constexpr Time forever = SwitchingPolicy::forever;

// The order of one instant.
enum Phase : int32_t {
  finishes,
  gets_ready,
  reassigns,
  comes,
  starts,
  restores,
  starts_in_time,
  is_announced,
  lets_go
};

Time after(Time zero, Time time) { return time == forever ? forever : zero + time; }

// Queues may grow for longer than times reach.
Time later(Time time, Time by) {
  Time sum = 0;
  if (__builtin_add_overflow(time, by, &sum)) throw std::invalid_argument("times pass 292 years");
  return sum;
}

Time rounded(double time, Time least) {
  if (!(time < 0x1p62)) throw std::invalid_argument("a sampled time passes 146 years");
  return std::max(least, static_cast<Time>(std::floor(time + 0.5)));
}

}  // namespace

std::optional<Time> Meeting::pass(int64_t invocation, Time finish) {
  if (needed_ <= 1) return finish;
  const auto place = static_cast<size_t>(invocation - first_);
  if (place >= open_.size()) open_.resize(place + 1, {INT64_MIN, needed_});
  Open &open = open_[place];
  open.latest = std::max(open.latest, finish);
  if (--open.missing > 0) return {};
  const Time passes = open.latest;
  for (; !open_.empty() && open_.front().missing == 0; ++first_) open_.pop_front();
  return passes;
}

void Agenda::grow(size_t levels) {
  if (levels <= leaves_) return;
  const std::vector<Event> last(node_.begin() + static_cast<std::ptrdiff_t>(leaves_), node_.end());
  while (leaves_ < levels) leaves_ *= 2;
  node_.assign(2 * leaves_, nothing);
  std::copy(last.begin(), last.end(), node_.begin() + static_cast<std::ptrdiff_t>(leaves_));
  for (size_t i = leaves_; --i > 0;) node_[i] = std::min(node_[2 * i], node_[2 * i + 1]);
}

void Agenda::set(size_t level, Time time, int32_t phase) {
  size_t i = leaves_ + level;
  node_[i] = {time, phase, static_cast<int32_t>(level)};
  while ((i /= 2) > 0) {
    const Event &first = std::min(node_[2 * i], node_[2 * i + 1]);
    if (node_[i] == first) return;
    node_[i] = first;
  }
}

Serving::Serving(int32_t function, std::span<const Time> at, int32_t before, bool announced, uint64_t seed, Notes notes)
    : function_(function),
      at_(at),
      source_(before == 0),
      announced_(announced),
      services_(seed, static_cast<uint64_t>(function), Sampled::service),
      initializations_(seed, static_cast<uint64_t>(function), Sampled::cold_start),
      notes_(notes),
      meeting_(before) {}

std::span<const ResidentStay> Serving::schedule(size_t k) const {
  const auto &levels = decision_.levels;
  if (k < levels.size()) return levels[k];
  if (decision_.repeats && !levels.empty()) return levels.back();
  return {};
}

// --- decisions ------------------------------------------------------------------------------------------------------

int32_t Serving::know(const Configuration &configuration) {
  for (size_t c = 0; c < known_.size(); ++c) {
    if (known_[c].configuration.number != configuration.number) continue;
    if (!(known_[c].configuration == configuration))
      throw std::invalid_argument("function " + std::to_string(function_) + ": configuration " +
                                  std::to_string(configuration.number) + " already means something else");
    return static_cast<int32_t>(c);
  }
  const double spread = configuration.latency_spread;
  known_.push_back({configuration, std::sqrt(std::log(1 + spread * spread)), true, {}});
  return static_cast<int32_t>(known_.size() - 1);
}

void Serving::decide(Decision decision, Time now) {
  current_ = know(decision.configuration);
  decision_ = std::move(decision);
  decided_ = now;
  renewed_ = true;
  const Time granted = decision_.granted.value_or(configuration().latency[0]);
  for (Known &known : known_) known.usable = known.configuration.latency[0] <= granted;
  known_[current_].usable = true;
  idle_.clear(), idle_older_.clear(), joinable_ = {};
  of_current_ = std::count_if(levels_.begin(), levels_.end(), [this](const Level &level) {
    return level.state != Level::State::absent && level.configuration == current_;
  });
  for (size_t k = 0; k < levels_.size(); ++k) {
    Level &level = levels_[k];
    if (level.state == Level::State::absent) {
      await(k, now, 0);
    } else if (level.state != Level::State::busy && level.requests.empty()) {
      if (!known_[level.configuration].usable) {
        --spare_;
        end(k, now);
        await(k, now, 0);
        continue;
      }
      // What its let-go goes on with is the schedule from the beginning.
      if (level.own_until >= now)
        level.stay = -1, level.next = level.own_until;
      else if (!covers(k, now, 0))
        level.stay = -1, level.next = now;
      if (level.state == Level::State::idle) (level.configuration == current_ ? idle_ : idle_older_).insert(k);
      set_event(k);
    }
    if (level.state == Level::State::initializing && may_join(level)) joinable_.push({planned(level), k, level.serial});
  }
  std::stable_sort(decision_.starts.begin(), decision_.starts.end(),
                   [](const TimedStart &one, const TimedStart &other) { return one.start < other.start; });
  timed_ = 0;
  reassign_ = queue_.empty() ? forever : now;
  floor_ = now;
  set_aside();
}

void Serving::set_on_time(Time on_time, Time now) {
  on_time_ = on_time;
  if (!promises()) return;
  decided_ = now;
  lead_ = std::max(Time{0}, on_time - configuration().cold_start);
  // What has been announced is so once for a decision; the rest may be due sooner than was known before.
  if (std::exchange(renewed_, false)) expected_ = std::lower_bound(at_.begin(), at_.end(), now - lead_) - at_.begin();
  set_aside();
}

// Find what is next that no level has on its own agenda.
void Serving::set_aside() {
  const auto place = [](Time time, Phase phase) { return Agenda::Event{time, phase, 0}; };
  aside_ = std::min(place(reassign_, reassigns), place(floor_, restores));
  if (timed_ < decision_.starts.size())
    aside_ = std::min(aside_, place(std::max(decided_, decision_.starts[timed_].start), starts_in_time));
  if (promises() && expected_ < static_cast<int64_t>(at_.size()))
    aside_ = std::min(aside_, place(std::max(decided_, at_[expected_] + lead_), is_announced));
}

void Serving::on_aside(Agenda::Event event) {
  const Time now = event.time;
  if (event.phase == reassigns) {
    reassign_ = forever;
    while (!queue_.empty() && assign(queue_.front(), now)) queue_.pop_front();
  } else if (event.phase == starts_in_time) {
    const TimedStart &timed = decision_.starts[timed_++];
    while (timed.until > now && of_current_ < timed.count && room()) {
      const size_t k = free_level();
      levels_[k].stay = -1;
      launch_spare(k, now, timed.until);
      levels_[k].own_until = timed.until;
    }
  } else {
    if (event.phase == restores)
      floor_ = forever;
    else
      ++expected_;
    const auto few = [this] { return of_current_ < decision_.replicas; };
    while (room() && (few() || (promises() && spare_ < expected_ - come_))) {
      const size_t k = free_level();
      levels_[k].stay = -1;
      launch_spare(k, now, forever);  // until it has served, or the next decision
    }
  }
  set_aside();
}

// --- instances ------------------------------------------------------------------------------------------------------

Time Serving::planned(const Level &level) const {
  return later(level.starts, known_[level.configuration].configuration.cold_start);
}

void Serving::set_event(size_t k) {
  const Level &level = levels_[k];
  switch (level.state) {
    case Level::State::absent:
      return agenda_.set(k, level.next, starts);
    case Level::State::initializing:
      if (level.requests.empty() && level.next < level.ready) return agenda_.set(k, level.next, lets_go);
      return agenda_.set(k, level.ready, gets_ready);
    case Level::State::idle:
      return agenda_.set(k, level.next, lets_go);
    case Level::State::busy:
      return agenda_.set(k, level.next, finishes);
  }
}

// Account for the present state up to now.
void Serving::spend(Level &level, Time now) {
  Bill &bill = known_[level.configuration].bill;
  (level.state == Level::State::initializing ? bill.initializing
   : level.state == Level::State::busy       ? bill.busy
                                             : bill.idle) += now - level.since;
  level.since = now;
}

// Whether the schedule, from one of its stays on, has the instance stay that is there.
bool Serving::covers(size_t k, Time now, int32_t stay) {
  Level &level = levels_[k];
  const std::span<const ResidentStay> stays = schedule(k);
  const auto count = static_cast<int32_t>(stays.size());
  if (zero(level) == unknown) stay = count;
  while (stay < count && after(zero(level), stays[stay].until) < now) ++stay;
  level.stay = stay;
  if (stay == count || !(keeps(stays[stay]) || zero(level) + stays[stay].start <= now)) return false;
  level.next = after(zero(level), stays[stay].until);
  return true;
}

// Go on with the schedule, from one of its stays on, where no instance is there.
void Serving::await(size_t k, Time now, int32_t stay) {
  Level &level = levels_[k];
  const std::span<const ResidentStay> stays = schedule(k);
  const auto count = static_cast<int32_t>(stays.size());
  if (zero(level) == unknown) stay = count;
  for (; stay < count; ++stay) {
    const Time start = zero(level) + stays[stay].start, until = after(zero(level), stays[stay].until);
    if (until >= now && !keeps(stays[stay]) && (start >= now || until > now)) break;
  }
  level.stay = stay;
  level.next = stay < count ? std::max(now, zero(level) + stays[stay].start) : forever;
  set_event(k);
}

size_t Serving::free_level() {
  if (const size_t k = absent_.lowest(); k != none) return k;
  levels_.emplace_back();
  agenda_.grow(levels_.size());
  return levels_.size() - 1;
}

// Begin to initialize; whose it will be, and until when, is the caller's to say.
void Serving::launch(size_t k, Time now) {
  Level &level = levels_[k];
  const Configuration &on = configuration();
  Time takes = on.cold_start;
  if (on.cold_mean > 0) takes = rounded(on.cold_mean + on.cold_deviation * initializations_[cold_starts_], 0);
  level.state = Level::State::initializing;
  level.configuration = current_;
  level.since = level.starts = now;
  level.ready = later(now, takes);
  level.serial = cold_starts_++;
  absent_.erase(k);
  ++there_, ++of_current_;
}

// For nobody yet.
void Serving::launch_spare(size_t k, Time now, Time until) {
  launch(k, now);
  levels_[k].next = until;
  ++spare_;
  joinable_.push({planned(levels_[k]), k, levels_[k].serial});
  set_event(k);
}

void Serving::rest(size_t k, Time now) {
  Level &level = levels_[k];
  level.state = Level::State::idle;
  level.since = now;
  (level.configuration == current_ ? idle_ : idle_older_).insert(k);
  set_event(k);
}

// It is the caller's to say what its level does then.
void Serving::end(size_t k, Time now) {
  Level &level = levels_[k];
  spend(level, now);
  if (notes_.instances)
    notes_.instances->push_back({function_, level.serial, known_[level.configuration].configuration.number,
                                 static_cast<int64_t>(k), level.starts, level.ready, now});
  --there_;
  if (level.configuration == current_) {
    --of_current_;
  } else {  // the floor did not count it, but it may have been in the way
    floor_ = now;
    set_aside();
  }
  level.state = Level::State::absent;
  level.own_until = unknown;
  level.requests.clear();
  absent_.insert(k);
}

bool Serving::held(const Level &level) const {
  return level.configuration == current_ && of_current_ <= decision_.replicas;
}

// Whether requests have been announced that need all that wait for them.
bool Serving::awaited(Time now) {
  if (!promises()) return false;
  while (arrived_ < static_cast<int64_t>(at_.size()) && at_[arrived_] <= now) ++arrived_;
  return spare_ <= arrived_ - come_;
}

// --- requests -------------------------------------------------------------------------------------------------------

// Serve the requests that it has been given.
void Serving::serve(size_t k, Time now, bool cold) {
  Level &level = levels_[k];
  const Known &known = known_[level.configuration];
  const int64_t first = level.requests.front().invocation;
  int64_t last = first;
  for (const Request &request : level.requests) last = std::max(last, request.invocation);
  Time takes = known.configuration.latency[level.requests.size() - 1];
  if (const double sigma = known.sigma; sigma > 0)
    takes = rounded(static_cast<double>(takes) * std::exp(sigma * services_[first] - sigma * sigma / 2), 1);
  level.state = Level::State::busy;
  level.cold = cold;
  level.since = now;
  level.next = later(now, takes);
  level.served = counted_from(at_, last, now, on_time_);
  level.own_until = unknown;
  set_event(k);
}

bool Serving::serve_queue(size_t k, Time now) {
  if (queue_.empty()) return false;
  Level &level = levels_[k];
  const size_t batch = std::min(queue_.size(), known_[level.configuration].configuration.latency.size());
  const auto last = queue_.begin() + static_cast<std::ptrdiff_t>(batch);
  level.requests.assign(queue_.begin(), last);
  queue_.erase(queue_.begin(), last);
  serve(k, now, false);
  return true;
}

// The level of the one to join. What cannot be joined any more is thrown out when it comes first.
size_t Serving::joinable() {
  for (; !joinable_.empty(); joinable_.pop()) {
    const Level &level = levels_[joinable_.top().level];
    if (level.state == Level::State::initializing && level.serial == joinable_.top().serial && may_join(level))
      return joinable_.top().level;
  }
  return none;
}

// False if it has to queue.
bool Serving::assign(const Request &request, Time now) {
  for (Lowest *idle : {&idle_, &idle_older_}) {
    const size_t k = idle->lowest();
    if (k == none) continue;
    idle->erase(k);
    --spare_;
    spend(levels_[k], now);
    levels_[k].requests.assign(1, request);
    serve(k, now, false);
    return true;
  }
  size_t k = joinable();
  if (k != none && (!room() || planned(levels_[k]) <= later(now, configuration().cold_start))) {
    spare_ -= levels_[k].requests.empty();
  } else {
    if (!room()) return false;
    k = free_level();
    launch(k, now);
    if (configuration().latency.size() > 1) joinable_.push({planned(levels_[k]), k, levels_[k].serial});
  }
  levels_[k].requests.push_back(request);
  set_event(k);
  return true;
}

// --- what happens ---------------------------------------------------------------------------------------------------

void Serving::on_finish(size_t k, Time now, std::vector<Request> &finished) {
  Level &level = levels_[k];
  const auto batch = static_cast<int64_t>(level.requests.size());
  for (const Request &request : level.requests) {
    finished.push_back({now, request.invocation});
    if (notes_.requests)
      notes_.requests->push_back(
          {function_, request.invocation, request.comes, level.since, now, level.serial, batch, level.cold});
  }
  spend(level, now);
  level.finished = now;
  under_way_ -= batch;
  area_ += __int128{now} * batch;
  last_finish_ = now;
  if (serve_queue(k, now)) return;
  level.requests.clear();
  const bool usable = known_[level.configuration].usable;
  const bool stays = usable && covers(k, now, 0);
  if (!stays && !held(level)) {
    const int32_t stay = usable ? level.stay : 0;
    end(k, now);
    return await(k, now, stay);
  }
  if (!stays) level.next = forever;
  ++spare_;
  rest(k, now);
}

void Serving::on_ready(size_t k, Time now) {
  Level &level = levels_[k];
  spend(level, now);
  if (!level.requests.empty()) return serve(k, now, true);
  if (serve_queue(k, now))
    --spare_;
  else
    rest(k, now);
  joinable();
}

void Serving::on_start(size_t k, Time now) {
  Level &level = levels_[k];
  const Time until = after(zero(level), schedule(k)[level.stay].until);
  if (until <= now) {  // it need not come for that, and nothing comes after it
    level.next = forever;
    set_event(k);
  } else if (room()) {
    launch_spare(k, now, until);
  } else {
    await(k, now, level.stay + 1);
  }
}

void Serving::on_let_go(size_t k, Time now) {
  Level &level = levels_[k];
  level.own_until = unknown;
  if (!covers(k, now, level.stay + 1)) {
    if (!held(level) && !awaited(now)) {
      --spare_;
      (level.configuration == current_ ? idle_ : idle_older_).erase(k);
      end(k, now);
      await(k, now, level.stay);
      joinable();
      return;
    }
    level.next = forever;
  }
  set_event(k);
}

bool Serving::run(Time limit, bool all_served, Control &control, std::vector<Request> &finished) {
  if (!std::is_sorted(inbox_.begin() + static_cast<std::ptrdiff_t>(read_), inbox_.end()))
    std::sort(inbox_.begin() + static_cast<std::ptrdiff_t>(read_), inbox_.end());
  for (;;) {
    const bool more = source_ ? come_ < static_cast<int64_t>(at_.size()) : read_ < inbox_.size();
    if (all_served && !more && under_way_ == 0) break;
    Request request{forever, 0};
    if (more) request = source_ ? Request{at_[come_], come_} : inbox_[read_];
    const Agenda::Event event = std::min(agenda_.first(), aside_);
    if (std::min(request.comes, event.time) >= limit) break;
    const auto k = static_cast<size_t>(event.level);
    if (request.comes < event.time || (request.comes == event.time && comes < event.phase)) {
      read_ += !source_;
      ++come_, ++under_way_;
      area_ -= request.comes;
      if (!assign(request, request.comes)) queue_.push_back(request);
    } else if (event.phase == finishes) {
      on_finish(k, event.time, finished);
    } else if (event.phase == gets_ready) {
      on_ready(k, event.time);
    } else if (event.phase == starts) {
      on_start(k, event.time);
    } else if (event.phase == lets_go) {
      on_let_go(k, event.time);
    } else {
      on_aside(event);
    }
    if (control.passed(4)) return false;
  }
  inbox_.clear(), read_ = 0;
  return true;
}

// --- what can be seen -----------------------------------------------------------------------------------------------

Observed Serving::observe(Time now) {
  Observed seen;
  for (const Level &level : levels_) {
    seen.initializing += level.state == Level::State::initializing;
    seen.idle += level.state == Level::State::idle;
    seen.busy += level.state == Level::State::busy;
  }
  seen.queued = static_cast<int64_t>(queue_.size());
  seen.under_way = under_way_;
  seen.requests = come_;
  seen.cold_starts = cold_starts_;
  const __int128 area = area_ + __int128{now} * under_way_;
  seen.concurrency = area - observed_area_;
  observed_area_ = area;
  return seen;
}

void Serving::bill(Time now, std::vector<std::pair<const Configuration *, Bill>> &rows) const {
  rows.clear();
  for (const Known &known : known_) rows.emplace_back(&known.configuration, known.bill);
  for (const Level &level : levels_) {
    if (level.state == Level::State::absent) continue;
    Bill &bill = rows[level.configuration].second;
    (level.state == Level::State::initializing ? bill.initializing
     : level.state == Level::State::busy       ? bill.busy
                                               : bill.idle) += now - level.since;
  }
}

void Serving::close(Time end) {
  if (!notes_.instances) return;
  for (size_t k = 0; k < levels_.size(); ++k) {
    const Level &level = levels_[k];
    if (level.state != Level::State::absent)
      notes_.instances->push_back({function_, level.serial, known_[level.configuration].configuration.number,
                                   static_cast<int64_t>(k), level.starts, level.ready, end});
  }
}

}  // namespace smiless
