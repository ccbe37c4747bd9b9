// The C boundary: no exception and no C++ type passes it.
#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "smiless/levels.hpp"
#include "smiless/replay.hpp"
#include "smiless/search.hpp"
#include "smiless/smiless.h"
#include "smiless/windows.hpp"

struct smiless_search {
  std::optional<smiless::Search> search;
  std::string message;
};

struct smiless_windows {
  std::vector<smiless::Time> at;
  std::vector<double> mass, spread, price, spread_price;
  smiless::Gaps gaps;
  smiless::SwitchingPolicy policy;
  std::vector<smiless::ResidentStay> stays;
  bool solved = false;
  std::string message;
};

struct smiless_replay {
  smiless::Precedence precedence;
  std::vector<smiless::Played> functions;
  bool compiled = false, set = false;
  std::string message;
};

namespace {

template <class Handle, class Work>
smiless_status guarded(Handle *handle, const Work &work) {
  const auto say = [&](const char *what) {
    try {
      handle->message = what;
    } catch (...) {  // out of memory while saying so: the status is enough
    }
  };
  try {
    work();
    return SMILESS_OK;
  } catch (const std::invalid_argument &error) {
    say(error.what());
    return SMILESS_INVALID;
  } catch (const std::bad_alloc &) {
    say("out of memory");
    return SMILESS_NO_MEMORY;
  } catch (const std::exception &error) {
    say(error.what());
    return SMILESS_INTERNAL;
  } catch (...) {  // such as what a stop callback throws
    say("an exception of an unknown type");
    return SMILESS_INTERNAL;
  }
}

// Twice this still fits an int64_t.
constexpr int64_t longest_gap = INT64_MAX / 2;

// Three of these add up within an int64_t: an arrival, all that can follow it, and a stay or the first arrival.
constexpr int64_t longest_replayed = INT64_MAX / 4;

void check_edges(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to) {
  if (functions < 1) throw std::invalid_argument("an application needs at least one function");
  if (edges < 0) throw std::invalid_argument("the number of edges must be >= 0");
  for (int32_t e = 0; e < edges; ++e) {
    for (int32_t end : {from[e], to[e]})
      if (end < 0 || end >= functions)
        throw std::invalid_argument("edge " + std::to_string(e) + ": there is no function " + std::to_string(end));
  }
}

std::vector<smiless::ResidentStay> checked_schedule(const smiless_stay *stays, int64_t first, int64_t last) {
  if (first < 0 || last < first) throw std::invalid_argument("stay_offsets must be in ascending order");
  std::vector<smiless::ResidentStay> schedule;
  for (int64_t s = first; s < last; ++s) {
    const smiless_stay &stay = stays[s];
    if (stay.start < 0 || stay.ready < stay.start || stay.until < stay.ready || stay.ready > longest_replayed ||
        (stay.until > longest_replayed && stay.until != INT64_MAX))
      throw std::invalid_argument("stay " + std::to_string(s) + " must start, be ready and end in this order");
    if (s > first && (stay.start < stays[s - 1].start || stay.until < stays[s - 1].until))
      throw std::invalid_argument("stay " + std::to_string(s) + " must not come before the one before it");
    schedule.push_back({stay.start, stay.ready, stay.until});
  }
  return schedule;
}

int64_t narrowed(__int128 nanoseconds) {
  if (nanoseconds > INT64_MAX) throw std::invalid_argument("a function is billed for more than 292 years");
  return static_cast<int64_t>(nanoseconds);
}

}  // namespace

int32_t smiless_abi_version(void) { return SMILESS_ABI_VERSION; }

smiless_status smiless_search_new(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to,
                                  smiless_search **out) {
  *out = new (std::nothrow) smiless_search;
  if (!*out) return SMILESS_NO_MEMORY;
  return guarded(*out, [&] {
    check_edges(functions, edges, from, to);
    smiless::Network network;
    if (!smiless::build_network(functions, edges, from, to, network))
      throw std::invalid_argument("the edges form a cycle");
    (*out)->search.emplace(std::move(network));
  });
}

void smiless_search_free(smiless_search *search) { delete search; }

const char *smiless_search_message(const smiless_search *search) { return search->message.c_str(); }

smiless_status smiless_search_set_modes(smiless_search *search, const int64_t *offsets, const double *release,
                                        const double *latency) {
  return guarded(search, [&] {
    if (!search->search) throw std::invalid_argument("the search was not created");
    search->search->set_modes(offsets, release, latency);
  });
}

smiless_status smiless_search_set_width(smiless_search *search, int64_t width) {
  return guarded(search, [&] {
    if (!search->search) throw std::invalid_argument("the search was not created");
    if (width < 0 || width > 1000000) throw std::invalid_argument("width must be 0 to 1000000");
    search->search->width = static_cast<size_t>(width);
  });
}

smiless_status smiless_search_solve(smiless_search *search, const double *cost, double sla, const smiless_work *budget,
                                    double time_limit, smiless_stop stop, void *context, int32_t *choice,
                                    smiless_result *result) {
  return guarded(search, [&] {
    if (!search->search) throw std::invalid_argument("the search was not created");
    smiless::Control control(budget, time_limit, stop, context);
    *result = search->search->solve(cost, sla, control, choice);
  });
}

smiless_status smiless_windows_new(smiless_windows **out) {
  *out = new (std::nothrow) smiless_windows;
  return *out ? SMILESS_OK : SMILESS_NO_MEMORY;
}

void smiless_windows_free(smiless_windows *windows) { delete windows; }

const char *smiless_windows_message(const smiless_windows *windows) { return windows->message.c_str(); }

smiless_status smiless_windows_set_gaps(smiless_windows *windows, int32_t atoms, const int64_t *at, const double *mass,
                                        const double *spread, double tail_mass, double tail_excess) {
  return guarded(windows, [&] {
    if (atoms < 0) throw std::invalid_argument("the number of atoms must be >= 0");
    for (int32_t i = 0; i < atoms; ++i) {
      if (at[i] < 0 || at[i] > longest_gap || (i > 0 && at[i] <= at[i - 1]))
        throw std::invalid_argument("at[" + std::to_string(i) + "] must be in ascending order, 0 to 146 years");
      if (!(mass[i] >= 0) || !std::isfinite(mass[i]))
        throw std::invalid_argument("mass[" + std::to_string(i) + "] must be finite and >= 0");
      if (spread && (!(spread[i] >= 0) || !std::isfinite(spread[i])))
        throw std::invalid_argument("spread[" + std::to_string(i) + "] must be finite and >= 0");
    }
    if (!(tail_mass >= 0) || !(tail_excess >= 0) || !std::isfinite(tail_mass) || !std::isfinite(tail_excess))
      throw std::invalid_argument("the tail must have a finite mass and a finite mean excess, both >= 0");
    windows->solved = false;
    windows->at.assign(at, at + atoms);
    windows->mass.assign(mass, mass + atoms);
    if (spread)
      windows->spread.assign(spread, spread + atoms);
    else
      windows->spread.assign(atoms, 0.0);
    windows->gaps = {windows->at, windows->mass, windows->spread, tail_mass, tail_excess};
  });
}

smiless_status smiless_windows_solve(smiless_windows *windows, int64_t cold_start, const double *price,
                                     const double *spread_price, double tail_price, int64_t tolerated,
                                     double absence_price, int64_t grace) {
  return guarded(windows, [&] {
    if (cold_start < 0 || cold_start > longest_gap) throw std::invalid_argument("cold_start must be 0 to 146 years");
    if (tolerated < 0 || tolerated > longest_gap) throw std::invalid_argument("tolerated must be 0 to 146 years");
    const size_t atoms = windows->at.size();
    for (size_t i = 0; i < atoms; ++i)
      if (!(price[i] >= 0) || !std::isfinite(price[i]))
        throw std::invalid_argument("price[" + std::to_string(i) + "] must be finite and >= 0");
    for (size_t i = 0; spread_price && i < atoms; ++i)
      if (!(spread_price[i] >= 0) || !std::isfinite(spread_price[i]))
        throw std::invalid_argument("spread_price[" + std::to_string(i) + "] must be finite and >= 0");
    if (!(tail_price >= 0) || !std::isfinite(tail_price))
      throw std::invalid_argument("tail_price must be finite and >= 0");
    if (!(absence_price >= 0) || !std::isfinite(absence_price))
      throw std::invalid_argument("absence_price must be finite and >= 0");
    if (grace < 0 || grace > longest_gap) throw std::invalid_argument("grace must be 0 to 146 years");
    windows->price.assign(price, price + atoms);
    windows->spread_price.assign(spread_price ? spread_price : price, (spread_price ? spread_price : price) + atoms);
    windows->policy.solve(windows->gaps, cold_start,
                          {windows->price, windows->spread_price, tail_price, tolerated, absence_price, grace});
    windows->solved = true;
  });
}

smiless_status smiless_windows_values(const smiless_windows *windows, int64_t count, const int64_t *busy, int64_t keep,
                                      double *value, double *misses) {
  if (!windows->solved || keep < 0 || keep > longest_gap) return SMILESS_INVALID;
  for (int64_t i = 0; i < count; ++i) {
    if (busy[i] < 0 || busy[i] > longest_gap) return SMILESS_INVALID;
    const smiless::Expected expected = windows->policy.value(busy[i], keep);
    value[i] = expected.value;
    if (misses) misses[i] = expected.misses;
  }
  return SMILESS_OK;
}

smiless_status smiless_windows_follow(smiless_windows *windows, int64_t busy, int64_t keep, int32_t room,
                                      smiless_stay *stays, int32_t *count, int64_t *wait) {
  return guarded(windows, [&] {
    if (!windows->solved) throw std::invalid_argument("nothing has been solved");
    if (busy < 0 || busy > longest_gap || keep < 0 || keep > longest_gap)
      throw std::invalid_argument("busy and keep must be 0 to 146 years");
    windows->policy.follow(busy, keep, windows->stays, {wait, windows->at.size()});
    if (windows->stays.size() > static_cast<size_t>(room)) throw std::invalid_argument("no room for the stays");
    *count = static_cast<int32_t>(windows->stays.size());
    for (size_t i = 0; i < windows->stays.size(); ++i)
      stays[i] = {windows->stays[i].start, windows->stays[i].ready, windows->stays[i].until};
  });
}

smiless_status smiless_levels(int64_t count, const int64_t *at, int64_t busy, int32_t *level, int64_t *gap) {
  if (count < 0 || busy < 0) return SMILESS_INVALID;
  for (int64_t i = 1; i < count; ++i)
    if (at[i] < at[i - 1]) return SMILESS_INVALID;
  try {
    smiless::assign_levels({at, static_cast<size_t>(count)}, busy, level, gap);
  } catch (const std::bad_alloc &) {
    return SMILESS_NO_MEMORY;
  }
  return SMILESS_OK;
}

smiless_status smiless_replay_new(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to,
                                  smiless_replay **out) {
  *out = new (std::nothrow) smiless_replay;
  if (!*out) return SMILESS_NO_MEMORY;
  return guarded(*out, [&] {
    check_edges(functions, edges, from, to);
    if (!(*out)->precedence.build(functions, edges, from, to)) throw std::invalid_argument("the edges form a cycle");
    (*out)->functions.resize(functions);
    (*out)->compiled = true;
  });
}

void smiless_replay_free(smiless_replay *replay) { delete replay; }

const char *smiless_replay_message(const smiless_replay *replay) { return replay->message.c_str(); }

smiless_status smiless_replay_set_functions(smiless_replay *replay, const int64_t *latency, const int64_t *cold_start,
                                            const int8_t *readiness, const int64_t *level_offsets,
                                            const int64_t *stay_offsets, const smiless_stay *stays) {
  return guarded(replay, [&] {
    if (!replay->compiled) throw std::invalid_argument("the replay was not created");
    replay->set = false;
    int64_t longest = 0;
    for (size_t v = 0; v < replay->functions.size(); ++v) {
      const std::string name = "function " + std::to_string(v);
      for (const int64_t time : {latency[v], cold_start[v]}) {
        if (time < 0) throw std::invalid_argument(name + ": latency and cold start must be >= 0");
        if (time > longest_replayed - longest)
          throw std::invalid_argument("latencies and cold starts must add up to at most 73 years");
        longest += time;
      }
      if (readiness[v] < SMILESS_PREWARMED || readiness[v] > SMILESS_ON_REQUEST)
        throw std::invalid_argument(name + ": there is no such readiness");
      if (level_offsets[v] < 0 || level_offsets[v + 1] < level_offsets[v])
        throw std::invalid_argument("level_offsets must be in ascending order");
      if (readiness[v] != SMILESS_PREWARMED && level_offsets[v + 1] > level_offsets[v])
        throw std::invalid_argument(name + ": only a prewarmed function has schedules");
      smiless::Played &played = replay->functions[v];
      played = {latency[v], cold_start[v], static_cast<smiless::Readiness>(readiness[v]), {}};
      for (int64_t k = level_offsets[v]; k < level_offsets[v + 1]; ++k)
        played.levels.push_back(checked_schedule(stays, stay_offsets[k], stay_offsets[k + 1]));
    }
    replay->set = true;
  });
}

smiless_status smiless_replay_run(smiless_replay *replay, int64_t arrivals, const int64_t *at, int32_t announced,
                                  const int64_t *warm, const int64_t *horizon, smiless_stop stop, void *context,
                                  int64_t *response, uint8_t *cause, smiless_tally *tally, int64_t *end,
                                  int32_t *complete) {
  return guarded(replay, [&] {
    if (!replay->set) throw std::invalid_argument("the functions have not been set");
    if (arrivals < 1) throw std::invalid_argument("there must be at least one arrival");
    for (int64_t i = 0; i < arrivals; ++i)
      if (at[i] < -longest_replayed || at[i] > longest_replayed || (i > 0 && at[i] < at[i - 1]))
        throw std::invalid_argument("at[" + std::to_string(i) + "] must be in ascending order, within 73 years of 0");
    if (horizon && *horizon > longest_gap) throw std::invalid_argument("the horizon must be within 146 years of 0");
    const size_t functions = replay->functions.size();
    std::vector<int64_t> levels(functions, 0);
    for (size_t v = 0; v < functions; ++v) {
      if (!announced && replay->functions[v].readiness == smiless::Readiness::on_arrival)
        throw std::invalid_argument("function " + std::to_string(v) + ": on_arrival needs announced arrivals");
      if (warm && (warm[v] < 0 || warm[v] > INT32_MAX))
        throw std::invalid_argument("warm[" + std::to_string(v) + "] must be 0 to 2147483647");
      if (warm) levels[v] = warm[v];
    }
    const auto count = static_cast<size_t>(arrivals);
    std::vector<smiless::Cause> causes(count);
    std::vector<smiless::Tally> tallies(functions);
    smiless::Control control(nullptr, 0, stop, context);
    smiless::Recorded recorded{{at, count}, announced != 0, levels, {}};
    if (horizon) recorded.horizon = *horizon;
    *complete = smiless::replay(replay->precedence, replay->functions, recorded, control, {response, count}, causes,
                                tallies, *end);
    if (!*complete) return;
    std::transform(causes.begin(), causes.end(), cause, [](smiless::Cause one) { return static_cast<uint8_t>(one); });
    for (size_t v = 0; v < functions; ++v) {
      const smiless::Tally &one = tallies[v];
      tally[v] = {narrowed(one.initializing),
                  narrowed(one.busy),
                  narrowed(one.idle),
                  one.cold_starts,
                  one.waited,
                  one.met_busy,
                  one.replicas};
    }
  });
}
