/* smiless.h - the C API of smiless-core.
 *
 * Arrays in, arrays out: no globals, no I/O, and no C++ type or exception crosses this boundary.
 * Every function that can fail returns a smiless_status; smiless_search_message() then says why in one line.
 * A handle may move between threads but must not be used by two threads at once; distinct handles are independent.
 */
#ifndef SMILESS_SMILESS_H
#define SMILESS_SMILESS_H

#include <stdint.h>

#if defined(__GNUC__)
#define SMILESS_API __attribute__((visibility("default")))
#else
#define SMILESS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SMILESS_ABI_VERSION 1

typedef enum smiless_status {
  SMILESS_OK = 0,
  SMILESS_INVALID = 1, /* an argument is out of its domain */
  SMILESS_NO_MEMORY = 2,
  SMILESS_INTERNAL = 3 /* a defect of the library: the result failed its own check */
} smiless_status;

/* What a search can say about its answer. */
typedef enum smiless_outcome {
  SMILESS_OPTIMAL = 0,    /* `choice` is proved to be of least cost */
  SMILESS_FEASIBLE = 1,   /* the work budget ended the search: `choice` meets the sla, `bound` is proved */
  SMILESS_INFEASIBLE = 2, /* no choice meets the sla: `choice` is one of the shortest latency */
  SMILESS_STOPPED = 3     /* the stop callback or the time limit ended the search: as SMILESS_FEASIBLE */
} smiless_outcome;

/* Work done so far or allowed. Counts, not seconds, so that results repeat. */
typedef struct smiless_work {
  int64_t augmentations; /* flow augmentations of the relaxation */
  int64_t labels;        /* partial assignments looked at */
  int64_t nodes;         /* branch-and-bound nodes */
} smiless_work;

typedef struct smiless_result {
  int32_t outcome;         /* smiless_outcome */
  double cost;             /* summed cost of `choice`, re-evaluated in double */
  double bound;            /* proved lower bound on the cost; equal to `cost` when optimal */
  double latency;          /* end-to-end latency of `choice`, seconds */
  double shortest_latency; /* shortest latency that any choice reaches, seconds */
  smiless_work work;
} smiless_result;

/* Returns non-zero to end the search. Called every few hundred microseconds from the calling thread. */
typedef int32_t (*smiless_stop)(void *context);

/* A compiled application with the memory that its searches reuse. */
typedef struct smiless_search smiless_search;

SMILESS_API int32_t smiless_abi_version(void);

/* Compile a DAG: edge i runs from[i] -> to[i], functions are 0 .. functions - 1. On failure *out is still a
 * handle (unless SMILESS_NO_MEMORY), good for smiless_search_message and smiless_search_free only. */
SMILESS_API smiless_status smiless_search_new(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to,
                                              smiless_search **out);
SMILESS_API void smiless_search_free(smiless_search *search);
SMILESS_API const char *smiless_search_message(const smiless_search *search);

/* Set the modes: those of function v are offsets[v] .. offsets[v + 1] - 1, each with a release (seconds after
 * the arrival before which it cannot begin) and a latency (seconds). The arrays are copied. */
SMILESS_API smiless_status smiless_search_set_modes(smiless_search *search, const int64_t *offsets,
                                                    const double *release, const double *latency);

/* How many partial plans may stand side by side where series and parallel joins do not reduce the application any
 * further, before branch and bound takes over; 0 leaves all of it to branch and bound. The cost of the
 * answer is the same, the work is not. */
SMILESS_API smiless_status smiless_search_set_width(smiless_search *search, int64_t width);

/* Choose one mode per function, of least summed cost, such that the longest path takes at most `sla` seconds.
 * cost[i] is that of mode i in dollars per invocation; +inf leaves the mode out. `budget` may be NULL, as may
 * any of its fields be <= 0 (no limit); so may `stop`; time_limit <= 0 is none. choice[v] receives an index
 * within the modes of v. Equal costs are settled by the lexicographically least vector of ranks, a mode's
 * rank being its place in its function by (latency, release, index); with more than 16 functions or 256 modes of one,
 * and where branch and bound finishes the search, by the order of the search, which repeats. */
SMILESS_API smiless_status smiless_search_solve(smiless_search *search, const double *cost, double sla,
                                                const smiless_work *budget, double time_limit, smiless_stop stop,
                                                void *context, int32_t *choice, smiless_result *result);

/* When an instance should exist between two services, for a distribution of the time X from one arrival to the next:
 * atoms in ascending order (nanoseconds) with their probabilities, the probabilities that are spread evenly from the
 * atom before (or 0) to each, and what lies beyond the last one: a probability and the mean time (seconds) from the
 * last atom. Handles and messages are as for smiless_search. */
typedef struct smiless_windows smiless_windows;

/* One stay of an instance, nanoseconds after the arrival that it served last: it starts, is ready, and is let go
 * (INT64_MAX: never). start == ready where the stay goes on from the service. */
typedef struct smiless_stay {
  int64_t start, ready, until;
} smiless_stay;

SMILESS_API smiless_status smiless_windows_new(smiless_windows **out);
SMILESS_API void smiless_windows_free(smiless_windows *windows);
SMILESS_API const char *smiless_windows_message(const smiless_windows *windows);

/* Set the distribution; the arrays are copied. `spread` may be NULL: nothing between the atoms. */
SMILESS_API smiless_status smiless_windows_set_gaps(smiless_windows *windows, int32_t atoms, const int64_t *at,
                                                    const double *mass, const double *spread, double tail_mass,
                                                    double tail_excess);

/* Find the optimal switching policy for a cold start (nanoseconds): least expected residency plus misses. An arrival
 * at atom i that waits for longer than `tolerated` costs price[i] seconds of residency, one of what is spread before it
 * spread_price[i] (NULL: the same), one beyond the last atom tail_price. Instances are let go, and become ready, at
 * atoms only: where nothing is spread between them that is optimal.
 *
 * With an absence_price above 0 the values are lower bounds for another question: every second of its own cold start
 * costs an arrival that much, unless it comes up to `grace` nanoseconds before the start of an initialization, and no
 * arrival is missed that comes then or during it. Such a policy cannot be followed. */
SMILESS_API smiless_status smiless_windows_solve(smiless_windows *windows, int64_t cold_start, const double *price,
                                                 const double *spread_price, double tail_price, int64_t tolerated,
                                                 double absence_price, int64_t grace);

/* Expected seconds from the end of a service of busy[i] nanoseconds to the next one: residency, initialisation, and
 * priced misses, when the instance stays for at least `keep` nanoseconds; and in misses[i], unless that is NULL, the
 * probability of a wait for longer than tolerated, whatever its price. Arrivals before busy[i] are left out. */
SMILESS_API smiless_status smiless_windows_values(const smiless_windows *windows, int64_t count, const int64_t *busy,
                                                  int64_t keep, double *value, double *misses);

/* What the policy does after that service. Writes up to `room` stays (a policy has at most atoms + 2) and their
 * number, and per atom how long an arrival there waits. */
SMILESS_API smiless_status smiless_windows_follow(smiless_windows *windows, int64_t busy, int64_t keep, int32_t room,
                                                  smiless_stay *stays, int32_t *count, int64_t *wait);

/* Which instance serves each arrival, when each takes `busy` nanoseconds and the first free one serves, in the order of
 * their numbers: level[i] from 0, and gap[i], the nanoseconds since the arrival that this level served before (-1:
 * none). `at` is in ascending order. */
SMILESS_API smiless_status smiless_levels(int64_t count, const int64_t *at, int64_t busy, int32_t *level, int64_t *gap);

/* Forecasts of the next gap for many applications at once: a chain of histograms each, of increasing sharpness, that
 * forget, mixed by how well each has forecast so far. They share one grid: bins from 0 on that are `finest` seconds
 * wide at first and `ratio` of where they begin later, up to `longest` seconds or a little more, and one for what is
 * beyond. A gap fades by `decay` with every further one. Handles and messages are as for smiless_search. */
typedef struct smiless_chains smiless_chains;

#define SMILESS_CHAIN_EXPERTS 9
#define SMILESS_CHAIN_CLASSES 2
#define SMILESS_CHAIN_HISTOGRAMS 10

/* What a chain knows beside its histograms: the weights of its experts, which add up to 1; how many gaps it has seen,
 * faded, and how many that followed one of each class; the class of the last one, negative if there is none; and when
 * that ended, seconds in its hour. */
typedef struct smiless_chain_known {
  double weight[SMILESS_CHAIN_EXPERTS];
  double gaps;
  double after[SMILESS_CHAIN_CLASSES];
  int32_t last;
  double time;
} smiless_chain_known;

SMILESS_API smiless_status smiless_chains_new(int32_t count, double finest, double ratio, double longest, double decay,
                                              smiless_chains **out);
SMILESS_API void smiless_chains_free(smiless_chains *chains);
SMILESS_API const char *smiless_chains_message(const smiless_chains *chains);

/* The number of bins but the one beyond all others, and their bins + 1 edges, seconds (NULL: not asked for). */
SMILESS_API smiless_status smiless_chains_grid(const smiless_chains *chains, int32_t *bins, double *edges);

/* Learn of a gap of `chain`, seconds, at least 0, and when it began: seconds, from the beginning of any hour. */
SMILESS_API smiless_status smiless_chains_observe(smiless_chains *chains, int32_t chain, double began, double gap);

/* The forecast: the probability of each bin, and of what is beyond (bins + 1 values); or as the distribution that
 * `windows` plans for, evenly spread within bins. */
SMILESS_API smiless_status smiless_chains_forecast(smiless_chains *chains, int32_t chain, double *probability);
SMILESS_API smiless_status smiless_chains_forecast_to(smiless_chains *chains, int32_t chain, smiless_windows *windows);

/* Take out and put back what a chain knows: SMILESS_CHAIN_HISTOGRAMS times bins + 1 values, and the rest. */
SMILESS_API smiless_status smiless_chains_read(smiless_chains *chains, int32_t chain, smiless_chain_known *known,
                                               float *histograms);
SMILESS_API smiless_status smiless_chains_write(smiless_chains *chains, int32_t chain, const smiless_chain_known *known,
                                                const float *histograms);

/* What each price of a miss (seconds of residency) would have led to: before every gap (nanoseconds) the instance of a
 * function is planned for the forecast by the switching policy with that price, services taking no time; then the gap
 * comes, is paid for and learnt. The first one begins at `began`, from the beginning of any hour; if it is negative,
 * where the last one ended. Adds up, per price: seconds of residency, arrivals that waited for longer than tolerated,
 * and the probability of that as it was stated; and writes for each gap the forecast probability that it is no longer
 * (NULL: not asked for). Without complete, `stop` has ended it; `done` tells how many gaps are learnt. */
SMILESS_API smiless_status smiless_chains_replay(smiless_chains *chains, int32_t chain, smiless_windows *windows,
                                                 int64_t began, int64_t gaps, const int64_t *gap, int64_t cold_start,
                                                 int64_t tolerated, int32_t prices, const double *price,
                                                 smiless_stop stop, void *context, double *residency, int64_t *missed,
                                                 double *stated, double *position, int64_t *done);

/* Recorded arrivals of one application, met by given schedules. Times are nanoseconds within 73 years of 0. Handles and
 * messages are as for smiless_search. */
typedef struct smiless_replay smiless_replay;

typedef enum smiless_readiness {
  SMILESS_PREWARMED = 0,  /* on a schedule */
  SMILESS_ON_ARRIVAL = 1, /* when the invocation is announced, or just early enough for the request */
  SMILESS_ON_REQUEST = 2  /* when the request comes */
} smiless_readiness;

/* Why an invocation waited: of the first prewarmed function, in topological order, whose request did not start at once,
 * what the first level was doing. Waits for the other two kinds of readiness are planned and have no cause. */
typedef enum smiless_cause {
  SMILESS_NO_WAIT = 0,
  SMILESS_TOO_EARLY = 1, /* initializing, or absent with its first stay yet to start */
  SMILESS_TOO_LATE = 2,  /* let go, with a later stay yet to start */
  SMILESS_OVERLAP = 3,   /* serving or initializing for another request */
  SMILESS_COLD_TAIL = 4  /* absent with no stay left, or without a schedule */
} smiless_cause;

/* What the instances of one function did. */
typedef struct smiless_tally {
  int64_t initializing, busy, idle; /* nanoseconds */
  int64_t cold_starts;              /* initializations begun */
  int64_t waited;                   /* requests that did not start at once */
  int64_t met_busy;                 /* requests that came while an instance of the function was serving */
  int64_t replicas;                 /* levels ever used */
} smiless_tally;

/* Compile a DAG, as smiless_search_new does. */
SMILESS_API smiless_status smiless_replay_new(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to,
                                              smiless_replay **out);
SMILESS_API void smiless_replay_free(smiless_replay *replay);
SMILESS_API const char *smiless_replay_message(const smiless_replay *replay);

/* Set what the functions do; the arrays are copied. Function v has the levels level_offsets[v] ..
 * level_offsets[v + 1] - 1, level k the stays stay_offsets[k] .. stay_offsets[k + 1] - 1, in ascending order. Only
 * prewarmed functions (readiness[v] is a smiless_readiness) have levels. A request takes the idle instance of the
 * lowest level, else the one that is ready first of those that initialize for nobody, else a new one in the lowest
 * level that is free; after the service the instance follows the schedule of its level, and without one it ends. */
SMILESS_API smiless_status smiless_replay_set_functions(smiless_replay *replay, const int64_t *latency,
                                                        const int64_t *cold_start, const int8_t *readiness,
                                                        const int64_t *level_offsets, const int64_t *stay_offsets,
                                                        const smiless_stay *stays);

/* Replay arrivals, in ascending order. `announced`: every function learns of an invocation when it arrives, and
 * promises it an instance. `warm` (NULL: none) is how many levels of each function are idle from the first arrival
 * until they first serve; `horizon` (NULL: the last finish) is where billing ends; `stop` may be NULL. Receives per
 * invocation the response time and its smiless_cause, per function its tally, and where billing ended. When `stop` ends
 * the replay *complete is 0 and the rest is unspecified. */
SMILESS_API smiless_status smiless_replay_run(smiless_replay *replay, int64_t arrivals, const int64_t *at,
                                              int32_t announced, const int64_t *warm, const int64_t *horizon,
                                              smiless_stop stop, void *context, int64_t *response, uint8_t *cause,
                                              smiless_tally *tally, int64_t *end, int32_t *complete);

/* Applications served between decisions: the caller advances to a time, looks at the past, changes what functions do,
 * and advances again. Times are nanoseconds within 73 years of 0. Handles and messages are as for smiless_search.
 *
 * A request takes the idle instance of the lowest level among those of the current configuration, else among those of
 * an older one whose latency is within what is granted; else, of the instances that initialize with room in their batch
 * and a new one, that which is planned to be ready first; else it waits in the queue. What gets ready or finishes takes
 * from the queue. At one instant things happen to a function in this order: finish, ready, queued requests after a
 * decision, requests, scheduled starts, the floor, timed starts, announced starts, let go; ties by level, and by
 * invocation. */
typedef struct smiless_simulation smiless_simulation;

/* At `start`, or at the decision if that is later, instances start until `count` of the current configuration are
 * there; one that has not served by `until` is let go. */
typedef struct smiless_timed_start {
  int64_t start, until, count;
} smiless_timed_start;

/* What a function does from now on. `configuration` is the caller's number: it means the same batch, price, latencies,
 * cold start and deviations in every decision of the function. */
typedef struct smiless_decision {
  int32_t configuration;
  int32_t batch;          /* requests that may share an instance, >= 1 */
  double price;           /* dollars per second */
  const int64_t *latency; /* of 1 .. batch requests, >= 1 */
  int64_t cold_start;     /* as planned */
  /* Actual initializations are normal with this mean and deviation (nanoseconds), as planned if the mean is 0; services
   * are lognormal about their latency with this coefficient of variation. */
  double cold_mean, cold_deviation, latency_spread;
  int64_t granted;       /* latency within which an instance of an older configuration serves; < 0: latency[0] */
  int64_t replicas;      /* so many instances of this configuration are not let go */
  int64_t most_replicas; /* no more are started than this in all; 0: no limit */
  int32_t readiness;     /* smiless_readiness; on_arrival needs announced arrivals */
  int32_t repeats;       /* whether the last schedule holds for all further levels */
  int32_t from_finish;   /* whether schedules count from the end of a service instead of from the arrival served */
  int32_t levels;        /* schedules, as in a replay; only if prewarmed */
  int32_t starts;
  const int64_t *stay_offsets; /* levels + 1; NULL if there are none */
  const smiless_stay *stays;
  const smiless_timed_start *timed_starts;
} smiless_decision;

/* What a function is doing, and what it did so far. */
typedef struct smiless_observation {
  int64_t initializing, idle, busy; /* instances */
  int64_t queued, under_way;        /* requests in the queue; all that have come and not finished */
  int64_t requests, cold_starts;    /* so far */
  int64_t concurrency;              /* requests under way times nanoseconds, since the last observation */
} smiless_observation;

/* What the instances of a function were billed under one configuration: nanoseconds. */
typedef struct smiless_bill {
  int64_t configuration;
  double price;
  int64_t initializing, busy, idle;
} smiless_bill;

/* A request that has been served; `serial` is its instance, numbered per function by starts, `batch` how many shared
 * it, and `cold` whether it initialized for them. */
typedef struct smiless_served {
  int64_t function, invocation, comes, begins, finishes, serial, batch, cold;
} smiless_served;

/* An instance that has ended; `ready` is when it was ready, or would have been. */
typedef struct smiless_ended {
  int64_t function, serial, configuration, level, starts, ready, ends;
} smiless_ended;

typedef enum smiless_notes { SMILESS_NOTE_REQUESTS = 1, SMILESS_NOTE_INSTANCES = 2 } smiless_notes;

/* Begin. Application a has the functions functions[a] .. functions[a + 1] - 1 and the arrivals arrivals[a] ..
 * arrivals[a + 1] - 1 of `at`, in ascending order; edges are as in smiless_search_new and stay within an application.
 * `announced` (NULL: none): whether an application's functions learn of an invocation when it arrives; they then start
 * an instance just early enough for it, by planned times. `start` (NULL: the first arrival, or 0) is where time begins,
 * `notes` what smiless_notes are taken. `at` and `response` are not copied: they must outlive the handle. response[i]
 * is -1 until invocation i has finished, and then how long that took. */
SMILESS_API smiless_status smiless_simulation_new(int32_t applications, const int32_t *functions, int32_t edges,
                                                  const int32_t *from, const int32_t *to, const int64_t *arrivals,
                                                  const int64_t *at, const uint8_t *announced, uint64_t seed,
                                                  const int64_t *start, int32_t notes, int64_t *response,
                                                  smiless_simulation **out);
SMILESS_API void smiless_simulation_free(smiless_simulation *simulation);
SMILESS_API const char *smiless_simulation_message(const smiless_simulation *simulation);

/* Decide what a function does from now on; copied. Every function needs a decision before the first advance. */
SMILESS_API smiless_status smiless_simulation_decide(smiless_simulation *simulation, int32_t function,
                                                     const smiless_decision *decision);

/* Let happen all that comes before `until`; with `no_further`, time ends with the last finish if all requests have
 * finished by then. *reached receives where it is. When `stop` (may be NULL) ends it *complete is 0, and only advancing
 * again, no less far, goes on. */
SMILESS_API smiless_status smiless_simulation_advance(smiless_simulation *simulation, int64_t until, int32_t no_further,
                                                      smiless_stop stop, void *context, int64_t *reached,
                                                      int32_t *complete);

/* Let happen all up to and including the horizon (NULL: the last finish, or now if that is later), which *end receives:
 * what is there is billed up to it. */
SMILESS_API smiless_status smiless_simulation_finish(smiless_simulation *simulation, const int64_t *horizon,
                                                     smiless_stop stop, void *context, int64_t *end, int32_t *complete);

/* What can be seen now: per function an observation, per application how many arrivals there were. */
SMILESS_API smiless_status smiless_simulation_observe(smiless_simulation *simulation, smiless_observation *functions,
                                                      int64_t *arrived);

/* What a function was billed up to now, per configuration in the order of their first decisions. Writes up to `room`
 * rows and how many there are. */
SMILESS_API smiless_status smiless_simulation_bill(smiless_simulation *simulation, int32_t function, int32_t room,
                                                   smiless_bill *bill, int32_t *count);

/* How much has been noted, and taking it away: in the order of finishes (ends), functions, invocations (serials). Both
 * arrays must have room for all. */
SMILESS_API smiless_status smiless_simulation_noted(const smiless_simulation *simulation, int64_t *requests,
                                                    int64_t *instances);
SMILESS_API smiless_status smiless_simulation_drain(smiless_simulation *simulation, smiless_served *requests,
                                                    smiless_ended *instances);

#ifdef __cplusplus
}
#endif
#endif
