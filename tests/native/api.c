/* Drives the C API as a program in C does: random applications against brute force, wrong arguments, interruption.
 * `make sanitize` runs it under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
 *
 * Latencies, releases and slas are quarters of a second and costs are whole dollars, all exact in double, so the
 * answers are compared for equality. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smiless/smiless.h"

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                            \
    }                                                                                     \
  } while (0)

enum { MOST_FUNCTIONS = 6, MOST_MODES = 4, MOST_EDGES = MOST_FUNCTIONS * MOST_FUNCTIONS };

typedef struct {
  int32_t functions, edges;
  int32_t from[MOST_EDGES], to[MOST_EDGES]; /* from < to */
  int64_t offsets[MOST_FUNCTIONS + 1];
  double release[MOST_FUNCTIONS * MOST_MODES], latency[MOST_FUNCTIONS * MOST_MODES], cost[MOST_FUNCTIONS * MOST_MODES];
} instance;

static uint64_t state = 1;

static int32_t draw(int32_t below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int32_t)((state >> 33) % (uint64_t)below);
}

static instance draw_instance(void) {
  instance drawn = {.functions = 1 + draw(MOST_FUNCTIONS)};
  const int32_t density = 1 + draw(4);
  for (int32_t v = 0; v < drawn.functions; ++v)
    for (int32_t u = 0; u < v; ++u)
      if (draw(4) < density) drawn.from[drawn.edges] = u, drawn.to[drawn.edges++] = v;
  for (int32_t v = 0; v < drawn.functions; ++v) {
    drawn.offsets[v + 1] = drawn.offsets[v] + 1 + draw(MOST_MODES);
    for (int64_t i = drawn.offsets[v]; i < drawn.offsets[v + 1]; ++i) {
      drawn.release[i] = draw(3) ? 0 : 0.25 * draw(8);
      drawn.latency[i] = 0.25 * (1 + draw(8));
      drawn.cost[i] = draw(10);
    }
  }
  return drawn;
}

static double longest_path(const instance *in, const int32_t *choice) {
  double finish[MOST_FUNCTIONS], longest = 0;
  for (int32_t v = 0; v < in->functions; ++v) {
    const int64_t mode = in->offsets[v] + choice[v];
    double start = in->release[mode];
    for (int32_t e = 0; e < in->edges; ++e)
      if (in->to[e] == v && finish[in->from[e]] > start) start = finish[in->from[e]];
    finish[v] = start + in->latency[mode];
    if (finish[v] > longest) longest = finish[v];
  }
  return longest;
}

/* The place of a mode in its function by (latency, release, index). */
static int32_t rank_of(const instance *in, int32_t v, int32_t mode) {
  int32_t rank = 0;
  const int64_t first = in->offsets[v], mine = first + mode;
  for (int64_t i = first; i < in->offsets[v + 1]; ++i) {
    const double by_latency = in->latency[i] - in->latency[mine], by_release = in->release[i] - in->release[mine];
    rank += by_latency < 0 || (by_latency == 0 && (by_release < 0 || (by_release == 0 && i < mine)));
  }
  return rank;
}

static int before(const instance *in, const int32_t *one, const int32_t *other) {
  for (int32_t v = 0; v < in->functions; ++v)
    if (one[v] != other[v]) return rank_of(in, v, one[v]) < rank_of(in, v, other[v]);
  return 0;
}

typedef struct {
  int feasible;
  double cost, shortest;
  int32_t choice[MOST_FUNCTIONS];
} answer;

static answer brute_force(const instance *in, double sla) {
  answer best = {.cost = INFINITY, .shortest = INFINITY};
  int32_t choice[MOST_FUNCTIONS] = {0};
  for (int32_t v = 0; v >= 0;) {
    double cost = 0;
    for (int32_t u = 0; u < in->functions; ++u) cost += in->cost[in->offsets[u] + choice[u]];
    const double latency = longest_path(in, choice);
    if (latency < best.shortest) best.shortest = latency;
    if (latency <= sla && (cost < best.cost || (cost == best.cost && before(in, choice, best.choice)))) {
      best.feasible = 1, best.cost = cost;
      memcpy(best.choice, choice, sizeof choice);
    }
    for (v = in->functions - 1; v >= 0; --v) { /* count on */
      if (++choice[v] < in->offsets[v + 1] - in->offsets[v]) break;
      choice[v] = 0;
    }
  }
  return best;
}

static void check_against_brute_force(void) {
  const instance in = draw_instance();
  smiless_search *search = NULL;
  CHECK(smiless_search_new(in.functions, in.edges, in.from, in.to, &search) == SMILESS_OK);
  CHECK(smiless_search_set_modes(search, in.offsets, in.release, in.latency) == SMILESS_OK);
  for (int32_t repeat = 0; repeat < 4; ++repeat) {
    const double sla = 0.25 * (1 + draw(8 * in.functions));
    const answer best = brute_force(&in, sla);
    int32_t choice[MOST_FUNCTIONS];
    smiless_result result;
    CHECK(smiless_search_solve(search, in.cost, sla, NULL, 0, NULL, NULL, choice, &result) == SMILESS_OK);
    CHECK(result.shortest_latency == best.shortest);
    CHECK(result.latency == longest_path(&in, choice));
    if (best.feasible) {
      CHECK(result.outcome == SMILESS_OPTIMAL);
      CHECK(result.cost == best.cost && result.bound == best.cost);
      CHECK(memcmp(choice, best.choice, sizeof(int32_t) * (size_t)in.functions) == 0);
    } else {
      CHECK(result.outcome == SMILESS_INFEASIBLE && result.latency == best.shortest);
    }
  }
  smiless_search_free(search);
}

static void check_refused(smiless_status status, smiless_search *search) {
  CHECK(status == SMILESS_INVALID);
  const char *message = smiless_search_message(search);
  CHECK(strlen(message) > 0 && strchr(message, '\n') == NULL);
}

static void check_wrong_graphs(void) {
  static const struct {
    int32_t functions, edges, from[2], to[2];
  } wrong[] = {
      {2, 2, {0, 1}, {1, 0}}, {2, 1, {0}, {2}}, {2, 1, {-1}, {1}},
      {2, 1, {1}, {1}},       {0, 0, {0}, {0}}, {-1, 0, {0}, {0}},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    smiless_search *search = NULL;
    const smiless_status status =
        smiless_search_new(wrong[i].functions, wrong[i].edges, wrong[i].from, wrong[i].to, &search);
    check_refused(status, search);
    smiless_search_free(search);
  }
}

static void check_wrong_numbers(void) {
  const int32_t from[] = {0}, to[] = {1};
  const int64_t offsets[] = {0, 1, 3}, falling[] = {0, 2, 1}, empty[] = {0, 0, 1};
  const double fine[] = {0, 0, 0}, latency[] = {1, 1, 2}, cost[] = {1, 5, 1};
  const double wrong[][3] = {{0, NAN, 0}, {0, INFINITY, 0}, {-1, 0, 0}, {0, 1e300, 0}};
  smiless_search *search = NULL;
  int32_t choice[2];
  smiless_result result;
  CHECK(smiless_search_new(2, 1, from, to, &search) == SMILESS_OK);
  check_refused(smiless_search_set_modes(search, falling, fine, latency), search);
  check_refused(smiless_search_set_modes(search, empty, fine, latency), search);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    check_refused(smiless_search_set_modes(search, offsets, wrong[i], latency), search);
    check_refused(smiless_search_set_modes(search, offsets, fine, wrong[i]), search);
  }
  CHECK(smiless_search_set_modes(search, offsets, fine, latency) == SMILESS_OK);
  check_refused(smiless_search_solve(search, cost, NAN, NULL, 0, NULL, NULL, choice, &result), search);
  check_refused(smiless_search_solve(search, wrong[0], 3, NULL, 0, NULL, NULL, choice, &result), search);
  CHECK(smiless_search_solve(search, cost, 3, NULL, 0, NULL, NULL, choice, &result) == SMILESS_OK);
  CHECK(result.outcome == SMILESS_OPTIMAL && result.cost == 2 && choice[0] == 0 && choice[1] == 1);
  const double all_but_the_cheapest[] = {1, 5, INFINITY};
  CHECK(smiless_search_solve(search, all_but_the_cheapest, 3, NULL, 0, NULL, NULL, choice, &result) == SMILESS_OK);
  CHECK(result.outcome == SMILESS_OPTIMAL && result.cost == 6 && choice[1] == 0);
  smiless_search_free(search);
}

static int32_t stop_at_once(void *calls) {
  ++*(int32_t *)calls;
  return 1;
}

/* A dense layered application is hard enough to be asked whether to stop; what is left is still a plan. */
static void check_interruption(void) {
  enum { LAYERS = 10, WIDTH = 4, FUNCTIONS = LAYERS * WIDTH, MODES = 20 };
  static int32_t from[LAYERS * WIDTH * WIDTH], to[LAYERS * WIDTH * WIDTH], choice[FUNCTIONS];
  static int64_t offsets[FUNCTIONS + 1];
  static double release[FUNCTIONS * MODES], latency[FUNCTIONS * MODES], cost[FUNCTIONS * MODES];
  int32_t edges = 0, calls = 0;
  for (int32_t v = 0; v < FUNCTIONS; ++v) {
    for (int32_t u = 0; u < WIDTH && v >= WIDTH; ++u)
      if (draw(4) || u == v % WIDTH) from[edges] = (v / WIDTH - 1) * WIDTH + u, to[edges++] = v;
    offsets[v + 1] = offsets[v] + MODES;
    for (int64_t i = offsets[v]; i < offsets[v + 1]; ++i) {
      latency[i] = 0.001 * (1 + draw(1000));
      cost[i] = 1 / latency[i] + 0.01 * draw(100);
    }
  }
  smiless_search *search = NULL;
  smiless_result result;
  CHECK(smiless_search_new(FUNCTIONS, edges, from, to, &search) == SMILESS_OK);
  CHECK(smiless_search_set_modes(search, offsets, release, latency) == SMILESS_OK);
  const double sla = LAYERS * 0.3;
  CHECK(smiless_search_solve(search, cost, sla, NULL, 60, stop_at_once, &calls, choice, &result) == SMILESS_OK);
  CHECK(calls > 0 && result.outcome == SMILESS_STOPPED);
  CHECK(result.latency <= sla && result.bound <= result.cost);
  const smiless_work budget = {.labels = 1, .nodes = 1};
  CHECK(smiless_search_solve(search, cost, sla, &budget, 60, NULL, NULL, choice, &result) == SMILESS_OK);
  CHECK(result.outcome == SMILESS_FEASIBLE);
  CHECK(result.latency <= sla && result.bound <= result.cost);
  smiless_search_free(search);
}

/* Arrivals that are always 10 s apart, and a cold start of 2 s: it is ready just then, if a miss costs anything. */
static void check_windows(void) {
  const int64_t second = 1000000000, at[] = {10 * second, 100 * second}, unordered[] = {second, second};
  const double mass[] = {0.5, 0.5}, price[] = {1e6, 1e6}, negative[] = {0.5, -0.5};
  smiless_windows *windows = NULL;
  smiless_stay stays[4];
  int64_t wait[2], busy = second;
  int32_t count = -1;
  double value = -1;
  smiless_windows_free(NULL);
  CHECK(smiless_windows_new(&windows) == SMILESS_OK);
  CHECK(smiless_windows_set_gaps(windows, 2, unordered, mass, NULL, 0, 0) == SMILESS_INVALID);
  CHECK(strlen(smiless_windows_message(windows)) > 0);
  CHECK(smiless_windows_set_gaps(windows, 2, at, negative, NULL, 0, 0) == SMILESS_INVALID);
  CHECK(smiless_windows_set_gaps(windows, 2, at, mass, NULL, NAN, 0) == SMILESS_INVALID);
  CHECK(smiless_windows_set_gaps(windows, 2, at, mass, NULL, 0, 0) == SMILESS_OK);
  CHECK(smiless_windows_values(windows, 1, &busy, 0, &value, NULL) == SMILESS_INVALID);
  CHECK(smiless_windows_follow(windows, busy, 0, 4, stays, &count, wait) == SMILESS_INVALID);
  CHECK(smiless_windows_solve(windows, -1, price, NULL, 1e6, 0, 0, 0) == SMILESS_INVALID);
  CHECK(smiless_windows_solve(windows, 2 * second, negative, NULL, 1e6, 0, 0, 0) == SMILESS_INVALID);
  CHECK(smiless_windows_solve(windows, 2 * second, price, NULL, 1e6, -1, 0, 0) == SMILESS_INVALID);
  CHECK(smiless_windows_solve(windows, 2 * second, price, NULL, 1e6, 0, 0, 0) == SMILESS_OK);
  CHECK(smiless_windows_values(windows, 1, &busy, 0, &value, NULL) == SMILESS_OK);
  CHECK(fabs(value - 3) < 1e-9); /* two cold starts if the first one is in vain, else one */
  CHECK(smiless_windows_follow(windows, busy, 0, 1, stays, &count, wait) == SMILESS_INVALID);
  CHECK(smiless_windows_follow(windows, busy, 0, 4, stays, &count, wait) == SMILESS_OK);
  CHECK(count == 2 && stays[0].start == 8 * second && stays[0].ready == 10 * second && stays[0].until == 10 * second);
  CHECK(stays[1].start == 98 * second && wait[0] == 0 && wait[1] == 0);
  smiless_windows_free(windows);
}

/* A -> B, both kept for 9 s after a service or started again for 20 s; the second arrival finds B let go already. */
static void check_replay(void) {
  enum { ARRIVALS = 200000 };
  const int64_t second = 1000000000, latency[] = {second, second}, cold_start[] = {2 * second, 2 * second};
  const int64_t levels[] = {0, 1, 2}, stays[] = {0, 2, 4}, warm[] = {1, 1}, at[] = {0, 9 * second};
  const int64_t early = 11 * second, late = 20 * second, unordered[] = {1, 0};
  const int32_t from[] = {0}, to[] = {1};
  const int8_t prewarmed[] = {SMILESS_PREWARMED, SMILESS_PREWARMED}, wrong[] = {SMILESS_PREWARMED, 3};
  const smiless_stay kept = {second, second, 9 * second}, again = {18 * second, 20 * second, INT64_MAX};
  const smiless_stay schedule[] = {kept, again, kept, again}, backward[] = {again, kept, kept, again};
  static int64_t many[ARRIVALS], response[ARRIVALS];
  static uint8_t cause[ARRIVALS];
  smiless_replay *replay = NULL;
  smiless_tally tally[2];
  int64_t end = 0;
  int32_t complete = 0, calls = 0;
  smiless_replay_free(NULL);
  CHECK(smiless_replay_new(2, 1, to, to, &replay) == SMILESS_INVALID);
  CHECK(strlen(smiless_replay_message(replay)) > 0);
  CHECK(smiless_replay_set_functions(replay, latency, cold_start, prewarmed, levels, stays, schedule) ==
        SMILESS_INVALID);
  smiless_replay_free(replay);
  CHECK(smiless_replay_new(2, 1, from, to, &replay) == SMILESS_OK);
  CHECK(smiless_replay_run(replay, 2, at, 0, NULL, NULL, NULL, NULL, response, cause, tally, &end, &complete) ==
        SMILESS_INVALID);
  CHECK(smiless_replay_set_functions(replay, latency, cold_start, wrong, levels, stays, schedule) == SMILESS_INVALID);
  CHECK(smiless_replay_set_functions(replay, latency, cold_start, prewarmed, levels, stays, backward) ==
        SMILESS_INVALID);
  CHECK(smiless_replay_set_functions(replay, latency, cold_start, prewarmed, levels, stays, schedule) == SMILESS_OK);
  CHECK(smiless_replay_run(replay, 2, unordered, 0, NULL, NULL, NULL, NULL, response, cause, tally, &end, &complete) ==
        SMILESS_INVALID);
  CHECK(smiless_replay_run(replay, 2, at, 0, warm, &early, NULL, NULL, response, cause, tally, &end, &complete) ==
        SMILESS_INVALID);
  CHECK(smiless_replay_run(replay, 2, at, 0, warm, NULL, NULL, NULL, response, cause, tally, &end, &complete) ==
        SMILESS_OK);
  CHECK(complete && end == 13 * second && response[0] == 2 * second && response[1] == 4 * second);
  CHECK(cause[0] == SMILESS_NO_WAIT && cause[1] == SMILESS_TOO_LATE);
  CHECK(tally[0].initializing == 0 && tally[0].busy == 2 * second && tally[0].idle == 11 * second);
  CHECK(tally[1].initializing == 2 * second && tally[1].busy == 2 * second && tally[1].idle == 8 * second);
  CHECK(tally[1].cold_starts == 1 && tally[1].waited == 1 && tally[1].met_busy == 0 && tally[1].replicas == 1);
  CHECK(smiless_replay_run(replay, 2, at, 1, warm, &late, NULL, NULL, response, cause, tally, &end, &complete) ==
        SMILESS_OK);
  CHECK(complete && end == late && response[1] == 2 * second && cause[1] == SMILESS_NO_WAIT);
  for (int32_t i = 0; i < ARRIVALS; ++i) many[i] = i * second;
  CHECK(smiless_replay_run(replay, ARRIVALS, many, 0, NULL, NULL, stop_at_once, &calls, response, cause, tally, &end,
                           &complete) == SMILESS_OK);
  CHECK(!complete && calls == 1);
  smiless_replay_free(replay);
}

/* A -> B: one instance each at most, batches of two on B, and a new configuration of A halfway. */
static void check_simulation(void) {
  enum { ARRIVALS = 200000 };
  const int64_t arrivals[] = {0, 3}, at[] = {0, 1, 500}, unordered[] = {1, 0, 2}, all[] = {0, ARRIVALS}, late = 1;
  const int64_t slow[] = {10}, fast[] = {5}, together[] = {20, 30}, offsets[] = {0, 1}, horizon = 1000;
  const int32_t functions[] = {0, 2}, two[] = {0, 1, 2}, from[] = {0}, to[] = {1};
  const smiless_stay kept = {10, 10, INT64_MAX}, backward = {10, 10, 5};
  const smiless_timed_start never = {5, 4, 1};
  const smiless_decision a = {.batch = 1,
                              .price = 1,
                              .latency = slow,
                              .cold_start = 100,
                              .granted = -1,
                              .most_replicas = 1,
                              .readiness = SMILESS_PREWARMED,
                              .levels = 1,
                              .stay_offsets = offsets,
                              .stays = &kept};
  smiless_decision b = {.configuration = 7,
                        .batch = 2,
                        .price = 2,
                        .latency = together,
                        .granted = -1,
                        .most_replicas = 1,
                        .readiness = SMILESS_ON_REQUEST};
  static int64_t many[ARRIVALS], response[ARRIVALS];
  int64_t arrived = 0, end = 0, requests = 0, instances = 0;
  int32_t complete = 0, count = 0, calls = 0;
  int64_t reached = 0;
  smiless_simulation *simulation = NULL;
  smiless_observation seen[2];
  smiless_bill bill[2];
  smiless_served served[6];
  smiless_ended ended[8];
  smiless_simulation_free(NULL);
  CHECK(smiless_simulation_new(1, functions, 1, from, to, arrivals, unordered, NULL, 0, NULL, 0, response,
                               &simulation) == SMILESS_INVALID);
  CHECK(strlen(smiless_simulation_message(simulation)) > 0);
  CHECK(smiless_simulation_advance(simulation, 1, 0, NULL, NULL, &reached, &complete) == SMILESS_INVALID);
  CHECK(smiless_simulation_noted(simulation, &requests, &instances) == SMILESS_INVALID);
  smiless_simulation_free(simulation);
  CHECK(smiless_simulation_new(1, functions, 1, from, to, arrivals, at, NULL, 0, &late, 0, response, &simulation) ==
        SMILESS_INVALID);
  smiless_simulation_free(simulation);
  CHECK(smiless_simulation_new(1, functions, 1, from, from, arrivals, at, NULL, 0, NULL, 4, response, &simulation) ==
        SMILESS_INVALID);
  smiless_simulation_free(simulation);
  const int64_t halves[] = {0, 3, 3};
  CHECK(smiless_simulation_new(2, two, 1, from, to, halves, at, NULL, 0, NULL, 0, response, &simulation) ==
        SMILESS_INVALID);
  smiless_simulation_free(simulation);

  CHECK(smiless_simulation_new(1, functions, 1, from, to, arrivals, at, NULL, 0, NULL,
                               SMILESS_NOTE_REQUESTS | SMILESS_NOTE_INSTANCES, response, &simulation) == SMILESS_OK);
  CHECK(smiless_simulation_decide(simulation, 0, &a) == SMILESS_OK);
  CHECK(smiless_simulation_advance(simulation, 1, 0, NULL, NULL, &reached, &complete) ==
        SMILESS_INVALID); /* B is undecided */
  CHECK(smiless_simulation_decide(simulation, 2, &b) == SMILESS_INVALID);
  b.levels = 1, b.stay_offsets = offsets, b.stays = &kept;
  CHECK(smiless_simulation_decide(simulation, 1, &b) == SMILESS_INVALID);
  b.readiness = SMILESS_PREWARMED, b.stays = &backward;
  CHECK(smiless_simulation_decide(simulation, 1, &b) == SMILESS_INVALID);
  b.readiness = SMILESS_ON_REQUEST, b.levels = 0, b.starts = 1, b.timed_starts = &never;
  CHECK(smiless_simulation_decide(simulation, 1, &b) == SMILESS_INVALID);
  b.starts = 0, b.replicas = 2;
  CHECK(smiless_simulation_decide(simulation, 1, &b) == SMILESS_INVALID);
  b.replicas = 0;
  CHECK(smiless_simulation_decide(simulation, 1, &b) == SMILESS_OK);
  b.price = 3;
  CHECK(smiless_simulation_decide(simulation, 1, &b) == SMILESS_INVALID);
  CHECK(smiless_simulation_advance(simulation, 200, 0, NULL, NULL, &reached, &complete) == SMILESS_OK && complete);
  CHECK(smiless_simulation_advance(simulation, 199, 0, NULL, NULL, &reached, &complete) == SMILESS_INVALID);
  CHECK(response[0] == 130 && response[1] == 149 && response[2] == -1);
  CHECK(smiless_simulation_observe(simulation, seen, &arrived) == SMILESS_OK);
  CHECK(arrived == 2 && seen[0].idle == 1 && seen[1].idle == 0 && seen[1].requests == 2);
  CHECK(seen[0].concurrency == 110 + 119 && seen[1].concurrency == 20 + 30);
  smiless_decision faster = a;
  faster.configuration = 1, faster.latency = fast, faster.granted = 9; /* so the older one is let go */
  CHECK(smiless_simulation_decide(simulation, 0, &faster) == SMILESS_OK);
  CHECK(smiless_simulation_finish(simulation, &horizon, NULL, NULL, &end, &complete) == SMILESS_OK && complete);
  CHECK(end == horizon && response[2] == 125);
  CHECK(smiless_simulation_bill(simulation, 0, 2, bill, &count) == SMILESS_OK && count == 2);
  CHECK(bill[0].configuration == 0 && bill[0].initializing == 100 && bill[0].busy == 20 && bill[0].idle == 80);
  CHECK(bill[1].configuration == 1 && bill[1].initializing == 100 && bill[1].busy == 5 && bill[1].idle == 395);
  CHECK(smiless_simulation_bill(simulation, 1, 0, NULL, &count) == SMILESS_OK && count == 1);
  CHECK(smiless_simulation_noted(simulation, &requests, &instances) == SMILESS_OK && requests == 6 && instances == 4);
  CHECK(smiless_simulation_drain(simulation, served, ended) == SMILESS_OK);
  CHECK(served[0].function == 0 && served[0].comes == 0 && served[0].begins == 100 && served[0].finishes == 110);
  CHECK(served[0].cold && !served[1].cold && ended[0].ends == 150 && ended[0].function == 1);
  CHECK(smiless_simulation_noted(simulation, &requests, &instances) == SMILESS_OK && requests == 0 && instances == 0);
  CHECK(smiless_simulation_advance(simulation, 2000, 0, NULL, NULL, &reached, &complete) == SMILESS_INVALID);
  smiless_simulation_free(simulation);

  for (int32_t i = 0; i < ARRIVALS; ++i) many[i] = 7 * i;
  CHECK(smiless_simulation_new(1, functions, 1, from, to, all, many, NULL, 0, NULL, 0, response, &simulation) ==
        SMILESS_OK);
  b.price = 2;
  CHECK(smiless_simulation_decide(simulation, 0, &a) == SMILESS_OK);
  CHECK(smiless_simulation_decide(simulation, 1, &b) == SMILESS_OK);
  CHECK(smiless_simulation_finish(simulation, NULL, stop_at_once, &calls, &end, &complete) == SMILESS_OK);
  CHECK(!complete && calls == 1);
  CHECK(smiless_simulation_decide(simulation, 0, &a) == SMILESS_INVALID);
  CHECK(smiless_simulation_finish(simulation, NULL, NULL, NULL, &end, &complete) == SMILESS_OK && complete);
  CHECK(smiless_simulation_observe(simulation, seen, &arrived) == SMILESS_OK && arrived == ARRIVALS);
  CHECK(seen[0].requests == ARRIVALS && seen[1].requests == ARRIVALS && seen[1].under_way == 0);
  smiless_simulation_free(simulation);
}

static void check_chains(void) {
  enum { GAPS = 300, PRICES = 2 };
  smiless_chains *chains, *other;
  smiless_windows *windows;
  smiless_chain_known known;
  static double edges[4096], probability[4096], again[4096], position[GAPS];
  static float histograms[SMILESS_CHAIN_HISTOGRAMS * 4096];
  static int64_t gap[GAPS];
  int32_t bins, calls = 0;
  int64_t missed[PRICES], done;
  double residency[PRICES], stated[PRICES], sum = 0;
  const double price[PRICES] = {0, 1000};
  CHECK(smiless_windows_new(&windows) == SMILESS_OK);
  CHECK(smiless_chains_new(0, 1, .02, 86400, .99, &chains) == SMILESS_INVALID);
  CHECK(smiless_chains_observe(chains, 0, 0, 1) == SMILESS_INVALID && *smiless_chains_message(chains));
  CHECK(smiless_chains_grid(chains, &bins, NULL) == SMILESS_INVALID);
  smiless_chains_free(chains);
  const double wrong[][4] = {
      {0, .02, 86400, .99}, {1, 2, 86400, .99}, {1, .02, .5, .99}, {1, .02, 86400, 1}, {1, .02, 2e9, .99}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    CHECK(smiless_chains_new(1, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], &chains) == SMILESS_INVALID);
    smiless_chains_free(chains);
  }
  CHECK(smiless_chains_new(2, 1, .02, 86400, .99, &chains) == SMILESS_OK);
  CHECK(smiless_chains_grid(chains, &bins, edges) == SMILESS_OK && bins < 4095 && edges[0] == 0 && edges[1] == 1);
  CHECK(edges[bins] >= 86400 && edges[bins - 1] < 86400);
  CHECK(smiless_chains_observe(chains, 2, 0, 1) == SMILESS_INVALID &&
        smiless_chains_observe(chains, -1, 0, 1) != SMILESS_OK);
  CHECK(smiless_chains_observe(chains, 0, 0, -1) == SMILESS_INVALID);
  CHECK(smiless_chains_observe(chains, 0, 0, NAN) == SMILESS_INVALID);
  for (int32_t i = 0; i < GAPS; ++i) gap[i] = 60000000000LL;
  CHECK(smiless_chains_replay(chains, 1, windows, 7, GAPS, gap, 5000000000LL, 0, PRICES, price, NULL, NULL, residency,
                              missed, stated, position, &done) == SMILESS_OK);
  CHECK(done == GAPS && missed[0] > missed[1] && missed[1] < GAPS / 10 && residency[0] <= residency[1]);
  CHECK(stated[0] > stated[1] && position[GAPS - 1] > 0 && position[GAPS - 1] < 1);
  CHECK(smiless_chains_replay(chains, 1, windows, 7, GAPS, gap, 5, 0, PRICES, price, stop_at_once, &calls, residency,
                              missed, stated, NULL, &done) == SMILESS_OK);
  CHECK(calls == 1 && done == 63);
  CHECK(smiless_chains_forecast(chains, 1, probability) == SMILESS_OK);
  for (int32_t k = 0; k <= bins; ++k) sum += probability[k];
  CHECK(sum > .9999 && sum < 1.0001);
  CHECK(smiless_chains_observe(chains, 1, 1e9, 1e12) == SMILESS_OK); /* beyond all bins */
  CHECK(smiless_chains_read(chains, 1, &known, histograms) == SMILESS_OK && known.last == SMILESS_CHAIN_CLASSES - 1);
  CHECK(smiless_chains_new(1, 1, .02, 86400, .99, &other) == SMILESS_OK);
  CHECK(smiless_chains_write(other, 0, &known, histograms) == SMILESS_OK);
  CHECK(smiless_chains_forecast(chains, 1, probability) == SMILESS_OK);
  CHECK(smiless_chains_forecast(other, 0, again) == SMILESS_OK);
  CHECK(memcmp(probability, again, (size_t)(bins + 1) * sizeof *again) == 0);
  known.weight[0] += 1;
  CHECK(smiless_chains_write(other, 0, &known, histograms) == SMILESS_INVALID);
  known.weight[0] -= 1, known.last = SMILESS_CHAIN_CLASSES;
  CHECK(smiless_chains_write(other, 0, &known, histograms) == SMILESS_INVALID);
  known.last = 0, histograms[7] = -1;
  CHECK(smiless_chains_write(other, 0, &known, histograms) == SMILESS_INVALID);
  CHECK(smiless_chains_forecast_to(chains, 0, windows) == SMILESS_OK);
  smiless_chains_free(other);
  smiless_chains_free(chains);
  smiless_windows_free(windows);
}

int main(void) {
  CHECK(smiless_abi_version() == SMILESS_ABI_VERSION);
  smiless_search_free(NULL);
  check_wrong_graphs();
  check_wrong_numbers();
  for (int32_t i = 0; i < 2000; ++i) check_against_brute_force();
  check_interruption();
  check_windows();
  check_chains();
  check_replay();
  check_simulation();
  puts("the C API holds");
  return 0;
}
