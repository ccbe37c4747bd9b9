// The C boundary: no exception and no C++ type passes it.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "boundary.hpp"
#include "smiless/levels.hpp"
#include "smiless/replay.hpp"
#include "smiless/search.hpp"
#include "smiless/simulation.hpp"
#include "smiless/smiless.h"

struct smiless_search {
  std::optional<smiless::Search> search;
  std::string message;
};

struct smiless_simulation {
  std::optional<smiless::Simulation> simulation;
  std::vector<uint8_t> announced;  // per function
  std::string message;
};

struct smiless_replay {
  smiless::Precedence precedence;
  std::vector<smiless::Played> functions;
  bool compiled = false, set = false;
  std::string message;
};

namespace {

using smiless::guarded;
using smiless::longest_gap;

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

smiless::Simulation &begun(smiless_simulation *simulation) {
  if (!simulation->simulation) throw std::invalid_argument("the simulation was not created");
  return *simulation->simulation;
}

void check_deviation(double value, const char *name) {
  if (!(value >= 0) || value > static_cast<double>(longest_replayed))
    throw std::invalid_argument(std::string(name) + " must be finite and >= 0");
}

smiless::Configuration checked_configuration(const smiless_decision &decision) {
  if (decision.batch < 1) throw std::invalid_argument("batch must be >= 1");
  if (!(decision.price >= 0) || !std::isfinite(decision.price))
    throw std::invalid_argument("price must be finite and >= 0");
  for (int32_t b = 0; b < decision.batch; ++b)
    if (decision.latency[b] < 1 || decision.latency[b] > longest_replayed)
      throw std::invalid_argument("latency[" + std::to_string(b) + "] must be 1 ns to 73 years");
  if (decision.cold_start < 0 || decision.cold_start > longest_replayed)
    throw std::invalid_argument("cold_start must be 0 to 73 years");
  check_deviation(decision.cold_mean, "cold_mean");
  check_deviation(decision.cold_deviation, "cold_deviation");
  check_deviation(decision.latency_spread, "latency_spread");
  if (decision.cold_deviation > 0 && decision.cold_mean == 0)
    throw std::invalid_argument("cold_deviation needs a cold_mean");
  return {decision.configuration, decision.price,     {decision.latency, decision.latency + decision.batch},
          decision.cold_start,    decision.cold_mean, decision.cold_deviation,
          decision.latency_spread};
}

smiless::Decision checked_decision(const smiless_decision &decision, bool announced) {
  smiless::Decision checked;
  checked.configuration = checked_configuration(decision);
  if (decision.readiness < SMILESS_PREWARMED || decision.readiness > SMILESS_ON_REQUEST)
    throw std::invalid_argument("there is no such readiness");
  checked.readiness = static_cast<smiless::Readiness>(decision.readiness);
  if (checked.readiness == smiless::Readiness::on_arrival && !announced)
    throw std::invalid_argument("on_arrival needs announced arrivals");
  if (decision.levels < 0 || decision.starts < 0) throw std::invalid_argument("levels and starts must be >= 0");
  if (decision.levels > 0 && checked.readiness != smiless::Readiness::prewarmed)
    throw std::invalid_argument("only a prewarmed function has schedules");
  for (int32_t k = 0; k < decision.levels; ++k)
    checked.levels.push_back(checked_schedule(decision.stays, decision.stay_offsets[k], decision.stay_offsets[k + 1]));
  checked.repeats = decision.repeats != 0;
  checked.from_finish = decision.from_finish != 0;
  if (decision.granted >= 0) checked.granted = decision.granted;
  if (decision.replicas < 0 || decision.most_replicas < 0 || decision.most_replicas > INT32_MAX ||
      decision.replicas > (decision.most_replicas ? decision.most_replicas : INT32_MAX))
    throw std::invalid_argument("replicas must be 0 to most_replicas");
  checked.replicas = decision.replicas;
  if (decision.most_replicas > 0) checked.most = decision.most_replicas;
  for (int32_t i = 0; i < decision.starts; ++i) {
    const smiless_timed_start &timed = decision.timed_starts[i];
    if (timed.start < -longest_replayed || timed.start > longest_replayed || timed.until < timed.start ||
        timed.count < 0 || timed.count > INT32_MAX)
      throw std::invalid_argument("timed_starts[" + std::to_string(i) + "] must start and end in this order");
    checked.starts.push_back({timed.start, timed.until, timed.count});
  }
  return checked;
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

smiless_status smiless_simulation_new(int32_t applications, const int32_t *functions, int32_t edges,
                                      const int32_t *from, const int32_t *to, const int64_t *arrivals,
                                      const int64_t *at, const uint8_t *announced, uint64_t seed, const int64_t *start,
                                      int32_t notes, int64_t *response, smiless_simulation **out) {
  *out = new (std::nothrow) smiless_simulation;
  if (!*out) return SMILESS_NO_MEMORY;
  return guarded(*out, [&] {
    if (applications < 1) throw std::invalid_argument("there must be at least one application");
    if (notes < 0 || notes > (SMILESS_NOTE_REQUESTS | SMILESS_NOTE_INSTANCES))
      throw std::invalid_argument("there are no such notes");
    std::vector<smiless::Application> served;
    std::vector<uint8_t> &learns = (*out)->announced;
    std::vector<int32_t> home;
    int64_t first = longest_replayed;
    if (functions[0] != 0 || arrivals[0] != 0) throw std::invalid_argument("functions and arrivals must begin with 0");
    for (int32_t a = 0; a < applications; ++a) {
      const std::string name = "application " + std::to_string(a);
      if (functions[a + 1] <= functions[a]) throw std::invalid_argument(name + " needs at least one function");
      if (arrivals[a + 1] < arrivals[a]) throw std::invalid_argument("arrivals must be in ascending order");
      for (int64_t i = arrivals[a]; i < arrivals[a + 1]; ++i)
        if (at[i] < -longest_replayed || at[i] > longest_replayed || (i > arrivals[a] && at[i] < at[i - 1]))
          throw std::invalid_argument("at[" + std::to_string(i) + "] must be in ascending order, within 73 years of 0");
      if (arrivals[a + 1] > arrivals[a]) first = std::min(first, at[arrivals[a]]);
      const bool knows = announced && announced[a];
      home.resize(functions[a + 1], a);
      learns.resize(functions[a + 1], knows);
      served.push_back({functions[a],
                        functions[a + 1],
                        {at + arrivals[a], static_cast<size_t>(arrivals[a + 1] - arrivals[a])},
                        knows,
                        response + arrivals[a]});
    }
    const bool none = arrivals[applications] == 0;
    if (start && (*start < -longest_replayed || *start > longest_replayed || (!none && *start > first)))
      throw std::invalid_argument("start must be within 73 years of 0, and not after the first arrival");
    const int32_t count = functions[applications];
    check_edges(count, edges, from, to);
    for (int32_t e = 0; e < edges; ++e)
      if (home[from[e]] != home[to[e]])
        throw std::invalid_argument("edge " + std::to_string(e) + " leaves its application");
    smiless::Precedence precedence;
    if (!precedence.build(count, edges, from, to)) throw std::invalid_argument("the edges form a cycle");
    (*out)->simulation.emplace(precedence, std::move(served), seed,
                               start  ? *start
                               : none ? 0
                                      : first,
                               (notes & SMILESS_NOTE_REQUESTS) != 0, (notes & SMILESS_NOTE_INSTANCES) != 0);
  });
}

void smiless_simulation_free(smiless_simulation *simulation) { delete simulation; }

const char *smiless_simulation_message(const smiless_simulation *simulation) { return simulation->message.c_str(); }

smiless_status smiless_simulation_decide(smiless_simulation *simulation, int32_t function,
                                         const smiless_decision *decision) {
  return guarded(simulation, [&] {
    smiless::Simulation &running = begun(simulation);
    if (function < 0 || static_cast<size_t>(function) >= running.functions())
      throw std::invalid_argument("there is no function " + std::to_string(function));
    running.decide(function, checked_decision(*decision, simulation->announced[function]));
  });
}

smiless_status smiless_simulation_advance(smiless_simulation *simulation, int64_t until, int32_t no_further,
                                          smiless_stop stop, void *context, int64_t *reached, int32_t *complete) {
  return guarded(simulation, [&] {
    if (until > longest_gap) throw std::invalid_argument("until must be within 146 years of 0");
    smiless::Control control(nullptr, 0, stop, context);
    *complete = begun(simulation).advance(until, no_further != 0, control);
    *reached = begun(simulation).now();
  });
}

smiless_status smiless_simulation_finish(smiless_simulation *simulation, const int64_t *horizon, smiless_stop stop,
                                         void *context, int64_t *end, int32_t *complete) {
  return guarded(simulation, [&] {
    if (horizon && *horizon >= longest_gap) throw std::invalid_argument("the horizon must be within 146 years of 0");
    smiless::Control control(nullptr, 0, stop, context);
    *complete = begun(simulation).finish(horizon ? std::optional(*horizon) : std::nullopt, control);
    *end = begun(simulation).now();
  });
}

smiless_status smiless_simulation_observe(smiless_simulation *simulation, smiless_observation *functions,
                                          int64_t *arrived) {
  return guarded(simulation, [&] {
    smiless::Simulation &running = begun(simulation);
    for (size_t f = 0; f < running.functions(); ++f) {
      const smiless::Observed seen = running.observe(static_cast<int32_t>(f));
      functions[f] = {seen.initializing, seen.idle,     seen.busy,        seen.queued,
                      seen.under_way,    seen.requests, seen.cold_starts, narrowed(seen.concurrency)};
    }
    for (size_t a = 0; a < running.applications(); ++a) arrived[a] = running.arrived(a);
  });
}

smiless_status smiless_simulation_bill(smiless_simulation *simulation, int32_t function, int32_t room,
                                       smiless_bill *bill, int32_t *count) {
  return guarded(simulation, [&] {
    smiless::Simulation &running = begun(simulation);
    if (function < 0 || static_cast<size_t>(function) >= running.functions())
      throw std::invalid_argument("there is no function " + std::to_string(function));
    std::vector<std::pair<const smiless::Configuration *, smiless::Bill>> rows;
    running.bill(function, rows);
    *count = static_cast<int32_t>(rows.size());
    for (int32_t c = 0; c < std::min(room, *count); ++c) {
      const auto &[configuration, spent] = rows[c];
      bill[c] = {configuration->number, configuration->price, narrowed(spent.initializing), narrowed(spent.busy),
                 narrowed(spent.idle)};
    }
  });
}

smiless_status smiless_simulation_noted(const smiless_simulation *simulation, int64_t *requests, int64_t *instances) {
  if (!simulation->simulation) return SMILESS_INVALID;
  *requests = simulation->simulation->noted_requests();
  *instances = simulation->simulation->noted_instances();
  return SMILESS_OK;
}

smiless_status smiless_simulation_drain(smiless_simulation *simulation, smiless_served *requests,
                                        smiless_ended *instances) {
  return guarded(simulation, [&] {
    for (const smiless::ServedRequest &one : begun(simulation).drain_requests())
      *requests++ = {one.function, one.invocation, one.comes, one.begins,
                     one.finishes, one.serial,     one.batch, one.cold};
    for (const smiless::EndedInstance &one : begun(simulation).drain_instances())
      *instances++ = {one.function, one.serial, one.configuration, one.level, one.starts, one.ready, one.ends};
  });
}
