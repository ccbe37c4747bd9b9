// One function of a simulation: its instances, the requests that they serve or that wait for them, and the decision
// that it is under.
#pragma once

#include <bit>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include "smiless/replay.hpp"
#include "smiless/sampling.hpp"

namespace smiless {

// What an instance runs on. The caller's number means the same in every decision of a function.
struct Configuration {
  int32_t number = 0;
  double price = 0;              // dollars per second
  std::vector<Time> latency{1};  // of a batch of 1, 2, ... requests: as many as may share one
  Time cold_start = 0;           // as planned
  // Actual initializations are normal with this mean and deviation (nanoseconds; a mean of 0: as planned), actual
  // services lognormal about their latency with this coefficient of variation.
  double cold_mean = 0, cold_deviation = 0, latency_spread = 0;
  bool operator==(const Configuration &) const = default;
};

// At a time, instances start until `count` are there; one that has not served by `until` is let go.
struct TimedStart {
  Time start, until;
  int64_t count;
};

// What a function does from now on.
struct Decision {
  Configuration configuration;
  Readiness readiness = Readiness::on_request;
  std::vector<std::vector<ResidentStay>> levels;  // schedules, as in a replay
  bool repeats = false;                           // the last of them holds for all further levels
  bool from_finish = false;                       // they count from the end of a service, not from its arrival
  std::optional<Time> granted;  // an instance of an older configuration serves if it takes no longer for one request
  int64_t replicas = 0;         // so many are not let go
  int64_t most = INT64_MAX;     // and no more may be there
  std::vector<TimedStart> starts;
};

struct Request {
  Time comes;
  int64_t invocation;
  auto operator<=>(const Request &) const = default;
};

struct ServedRequest {
  int64_t function, invocation, comes, begins, finishes, serial, batch, cold;
};

struct EndedInstance {
  int64_t function, serial, configuration, level, starts, ready, ends;
};

// Where what has happened is noted for the caller; null where nobody wants to know.
struct Notes {
  std::vector<ServedRequest> *requests = nullptr;
  std::vector<EndedInstance> *instances = nullptr;
};

struct Bill {
  __int128 initializing = 0, busy = 0, idle = 0;
};

struct Observed {
  int64_t initializing = 0, idle = 0, busy = 0;  // instances
  int64_t queued = 0, under_way = 0;             // requests in the queue; all that have come and not finished
  int64_t requests = 0, cold_starts = 0;         // so far
  __int128 concurrency = 0;                      // requests under way, integrated since the last observation
};

// Where the functions before one meet: an invocation passes when the last of them has finished it.
class Meeting {
 public:
  explicit Meeting(int32_t needed) : needed_(needed) {}
  std::optional<Time> pass(int64_t invocation, Time finish);

 private:
  struct Open {
    Time latest;
    int32_t missing;
  };
  int32_t needed_;
  int64_t first_ = 0;  // invocation of open_[0]
  std::deque<Open> open_;
};

// What comes next of each level, the first of all at hand: a tournament.
class Agenda {
 public:
  struct Event {
    Time time;
    int32_t phase, level;
    auto operator<=>(const Event &) const = default;
  };
  static constexpr Event nothing{SwitchingPolicy::forever, INT32_MAX, 0};

  const Event &first() const { return node_[1]; }
  void grow(size_t levels);
  void set(size_t level, Time time, int32_t phase);

 private:
  size_t leaves_ = 1;
  std::vector<Event> node_{nothing, nothing};
};

// A set of levels that gives the lowest.
class Lowest {
 public:
  static constexpr size_t none = SIZE_MAX;
  void insert(size_t k) {
    if (k / 64 >= words_.size()) words_.resize(k / 64 + 1);
    words_[k / 64] |= uint64_t{1} << k % 64;
    if (k / 64 < from_) from_ = k / 64;
  }
  void erase(size_t k) {
    if (k / 64 < words_.size()) words_[k / 64] &= ~(uint64_t{1} << k % 64);
  }
  void clear() { words_.clear(), from_ = 0; }
  size_t lowest() {
    for (; from_ < words_.size(); ++from_)
      if (words_[from_]) return from_ * 64 + static_cast<size_t>(std::countr_zero(words_[from_]));
    return none;
  }

 private:
  std::vector<uint64_t> words_;
  size_t from_ = 0;  // the words before are empty
};

class Serving {
 public:
  // A function whose requests come with the arrivals has none before it.
  Serving(int32_t function, std::span<const Time> at, int32_t before, bool announced, uint64_t seed, Notes notes);

  bool decided() const { return current_ >= 0; }
  const Decision &decision() const { return decision_; }
  const Configuration &configuration() const { return known_[current_].configuration; }
  // std::invalid_argument where the configuration's number already means something else.
  void decide(Decision decision, Time now);
  // When work comes, after the arrival, if nothing is late.
  void set_on_time(Time on_time, Time now);

  void finished_before(int64_t invocation, Time finish) {
    if (const auto comes = meeting_.pass(invocation, finish)) inbox_.push_back({*comes, invocation});
  }
  // Let happen what comes before `limit`, or, of that, what comes until all requests are served. `finished` gets what
  // is served, in the order of time. False when control ended it; it may be called again.
  bool run(Time limit, bool all_served, Control &control, std::vector<Request> &finished);
  Time last_finish() const { return last_finish_; }
  bool served_all() const { return come_ == static_cast<int64_t>(at_.size()) && under_way_ == 0; }

  Observed observe(Time now);
  // What each configuration was billed up to now, in the order of their first decisions.
  void bill(Time now, std::vector<std::pair<const Configuration *, Bill>> &rows) const;
  // Note the instances that are still there.
  void close(Time end);

 private:
  static constexpr size_t none = Lowest::none;
  static constexpr Time unknown = INT64_MIN;
  struct Known {
    Configuration configuration;
    double sigma;  // of the logarithm of a service time
    bool usable;   // under the decision in force
    Bill bill;
  };
  struct Level {
    enum class State : uint8_t { absent, initializing, idle, busy };
    State state = State::absent;
    bool cold = false;                     // it serves those that it initialized for
    int32_t configuration = -1;            // its place in known_
    int32_t stay = 0;                      // of its schedule: under way, or the next one
    Time since = 0;                        // when the present state began
    Time next = SwitchingPolicy::forever;  // absent: start; busy: finish; else: when it is let go
    Time starts = 0, ready = 0;
    Time served = unknown, finished = unknown;  // the arrival served last, and when; zeros of a schedule's clock
    Time own_until = unknown;                   // when a timed start that has not served is let go
    int64_t serial = 0;
    std::vector<Request> requests;  // that it serves, or initializes for
  };
  // One that initializes, with room in its batch.
  struct Joinable {
    Time planned;
    size_t level;
    int64_t serial;
    auto operator<=>(const Joinable &) const = default;
  };

  int32_t function_;
  std::span<const Time> at_;
  bool source_, announced_;
  Normals services_, initializations_;
  Notes notes_;
  Meeting meeting_;
  std::vector<Request> inbox_;  // by time and invocation, from read_ on
  size_t read_ = 0;
  std::vector<Known> known_;
  int32_t current_ = -1;
  Decision decision_;
  Time decided_ = 0, on_time_ = 0, lead_ = 0;
  bool renewed_ = false;  // decided since work's time was set
  std::vector<Level> levels_;
  Agenda agenda_;
  Lowest absent_, idle_, idle_older_;
  std::priority_queue<Joinable, std::vector<Joinable>, std::greater<>> joinable_;
  std::deque<Request> queue_;
  Time reassign_ = SwitchingPolicy::forever, floor_ = SwitchingPolicy::forever;  // when these phases are due
  size_t timed_ = 0;                                                             // the next timed start
  int64_t expected_ = 0, arrived_ = 0;     // arrivals whose announced start is past, and that there were
  Agenda::Event aside_ = Agenda::nothing;  // the next thing that is no level's
  int64_t there_ = 0, of_current_ = 0;     // instances, and those of the current configuration
  int64_t spare_ = 0;                      // idle, or initializing for nobody
  int64_t come_ = 0, under_way_ = 0, cold_starts_ = 0;
  __int128 area_ = 0, observed_area_ = 0;  // requests under way, integrated: less their number times now
  Time last_finish_ = unknown;

  std::span<const ResidentStay> schedule(size_t k) const;
  bool keeps(const ResidentStay &stay) const { return configuration().cold_start > 0 && stay.start == stay.ready; }
  Time zero(const Level &level) const { return decision_.from_finish ? level.finished : level.served; }
  bool promises() const { return announced_ && decision_.readiness != Readiness::on_request; }
  bool room() const { return there_ < decision_.most; }
  bool may_join(const Level &level) const {
    const Known &known = known_[level.configuration];
    return known.usable && level.requests.size() < known.configuration.latency.size();
  }

  int32_t know(const Configuration &configuration);
  Time planned(const Level &level) const;
  void set_event(size_t k);
  void set_aside();
  void spend(Level &level, Time now);
  bool covers(size_t k, Time now, int32_t stay);
  void await(size_t k, Time now, int32_t stay);
  void launch(size_t k, Time now);
  void launch_spare(size_t k, Time now, Time until);
  size_t free_level();
  void rest(size_t k, Time now);
  void end(size_t k, Time now);
  bool held(const Level &level) const;
  bool awaited(Time now);
  void serve(size_t k, Time now, bool cold);
  bool serve_queue(size_t k, Time now);
  size_t joinable();
  bool assign(const Request &request, Time now);
  void on_finish(size_t k, Time now, std::vector<Request> &finished);
  void on_ready(size_t k, Time now);
  void on_start(size_t k, Time now);
  void on_let_go(size_t k, Time now);
  void on_aside(Agenda::Event event);
};

}  // namespace smiless
