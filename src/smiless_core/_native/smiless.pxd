# The C API, as declared in csrc/include/smiless/smiless.h.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t

cdef extern from "smiless/smiless.h" nogil:
    ctypedef enum smiless_status:
        SMILESS_OK
        SMILESS_INVALID
        SMILESS_NO_MEMORY
        SMILESS_INTERNAL

    ctypedef struct smiless_work:
        int64_t augmentations
        int64_t labels
        int64_t nodes

    ctypedef struct smiless_result:
        int32_t outcome
        double cost
        double bound
        double latency
        double shortest_latency
        smiless_work work

    ctypedef int32_t (*smiless_stop)(void *context) noexcept nogil

    ctypedef struct smiless_search

    ctypedef struct smiless_windows

    ctypedef struct smiless_stay:
        int64_t start
        int64_t ready
        int64_t until

    int32_t smiless_abi_version()
    smiless_status smiless_search_new(
        int32_t functions, int32_t edges, const int32_t *origin, const int32_t *to, smiless_search **out
    )
    void smiless_search_free(smiless_search *search)
    const char *smiless_search_message(const smiless_search *search)
    smiless_status smiless_search_set_modes(
        smiless_search *search, const int64_t *offsets, const double *release, const double *latency
    )
    smiless_status smiless_search_set_width(smiless_search *search, int64_t width)
    smiless_status smiless_search_solve(
        smiless_search *search, const double *cost, double sla, const smiless_work *budget, double time_limit,
        smiless_stop stop, void *context, int32_t *choice, smiless_result *result
    )

    smiless_status smiless_windows_new(smiless_windows **out)
    void smiless_windows_free(smiless_windows *windows)
    const char *smiless_windows_message(const smiless_windows *windows)
    smiless_status smiless_windows_set_gaps(
        smiless_windows *windows, int32_t atoms, const int64_t *at, const double *mass, const double *spread,
        double tail_mass, double tail_excess
    )
    smiless_status smiless_windows_solve(
        smiless_windows *windows, int64_t cold_start, const double *price, const double *spread_price,
        double tail_price, int64_t tolerated, double absence_price, int64_t grace
    )
    smiless_status smiless_windows_values(
        const smiless_windows *windows, int64_t count, const int64_t *busy, int64_t keep, double *value,
        double *misses
    )
    smiless_status smiless_windows_follow(
        smiless_windows *windows, int64_t busy, int64_t keep, int32_t room, smiless_stay *stays, int32_t *count,
        int64_t *wait
    )
    smiless_status smiless_levels(int64_t count, const int64_t *at, int64_t busy, int32_t *level, int64_t *gap) nogil

    enum:
        SMILESS_CHAIN_EXPERTS
        SMILESS_CHAIN_CLASSES
        SMILESS_CHAIN_HISTOGRAMS

    ctypedef struct smiless_chains

    ctypedef struct smiless_chain_known:
        double weight[SMILESS_CHAIN_EXPERTS]
        double gaps
        double after[SMILESS_CHAIN_CLASSES]
        int32_t last
        double time

    smiless_status smiless_chains_new(
        int32_t count, double finest, double ratio, double longest, double decay, smiless_chains **out
    )
    void smiless_chains_free(smiless_chains *chains)
    const char *smiless_chains_message(const smiless_chains *chains)
    smiless_status smiless_chains_grid(const smiless_chains *chains, int32_t *bins, double *edges)
    smiless_status smiless_chains_observe(smiless_chains *chains, int32_t chain, double began, double gap)
    smiless_status smiless_chains_forecast(smiless_chains *chains, int32_t chain, double *probability)
    smiless_status smiless_chains_forecast_to(smiless_chains *chains, int32_t chain, smiless_windows *windows)
    smiless_status smiless_chains_read(
        smiless_chains *chains, int32_t chain, smiless_chain_known *known, float *histograms
    )
    smiless_status smiless_chains_write(
        smiless_chains *chains, int32_t chain, const smiless_chain_known *known, const float *histograms
    )
    smiless_status smiless_chains_replay(
        smiless_chains *chains, int32_t chain, smiless_windows *windows, int64_t began, int64_t gaps,
        const int64_t *gap, int64_t cold_start, int64_t tolerated, int32_t prices, const double *price,
        smiless_stop stop, void *context, double *residency, int64_t *missed, double *stated, double *position, int64_t *done
    )

    ctypedef struct smiless_replay

    ctypedef struct smiless_tally:
        int64_t initializing
        int64_t busy
        int64_t idle
        int64_t cold_starts
        int64_t waited
        int64_t met_busy
        int64_t replicas

    smiless_status smiless_replay_new(
        int32_t functions, int32_t edges, const int32_t *origin, const int32_t *to, smiless_replay **out
    )
    void smiless_replay_free(smiless_replay *replay)
    const char *smiless_replay_message(const smiless_replay *replay)
    smiless_status smiless_replay_set_functions(
        smiless_replay *replay, const int64_t *latency, const int64_t *cold_start, const int8_t *readiness,
        const int64_t *level_offsets, const int64_t *stay_offsets, const smiless_stay *stays
    )
    smiless_status smiless_replay_run(
        smiless_replay *replay, int64_t arrivals, const int64_t *at, int32_t announced, const int64_t *warm,
        const int64_t *horizon, smiless_stop stop, void *context, int64_t *response, uint8_t *cause,
        smiless_tally *tally, int64_t *end, int32_t *complete
    )

    ctypedef struct smiless_simulation

    ctypedef struct smiless_timed_start:
        int64_t start
        int64_t until
        int64_t count

    ctypedef struct smiless_decision:
        int32_t configuration
        int32_t batch
        double price
        const int64_t *latency
        int64_t cold_start
        double cold_mean
        double cold_deviation
        double latency_spread
        int64_t granted
        int64_t replicas
        int64_t most_replicas
        int32_t readiness
        int32_t repeats
        int32_t from_finish
        int32_t levels
        int32_t starts
        const int64_t *stay_offsets
        const smiless_stay *stays
        const smiless_timed_start *timed_starts

    ctypedef struct smiless_observation:
        int64_t initializing

    ctypedef struct smiless_bill:
        int64_t configuration
        double price
        int64_t initializing
        int64_t busy
        int64_t idle

    ctypedef struct smiless_served:
        int64_t function

    ctypedef struct smiless_ended:
        int64_t function

    smiless_status smiless_simulation_new(
        int32_t applications, const int32_t *functions, int32_t edges, const int32_t *origin, const int32_t *to,
        const int64_t *arrivals, const int64_t *at, const uint8_t *announced, uint64_t seed, const int64_t *start,
        int32_t notes, int64_t *response, smiless_simulation **out
    )
    void smiless_simulation_free(smiless_simulation *simulation)
    const char *smiless_simulation_message(const smiless_simulation *simulation)
    smiless_status smiless_simulation_decide(
        smiless_simulation *simulation, int32_t function, const smiless_decision *decision
    )
    smiless_status smiless_simulation_advance(
        smiless_simulation *simulation, int64_t until, int32_t no_further, smiless_stop stop, void *context,
        int64_t *reached, int32_t *complete
    )
    smiless_status smiless_simulation_finish(
        smiless_simulation *simulation, const int64_t *horizon, smiless_stop stop, void *context, int64_t *end,
        int32_t *complete
    )
    smiless_status smiless_simulation_observe(
        smiless_simulation *simulation, smiless_observation *functions, int64_t *arrived
    )
    smiless_status smiless_simulation_bill(
        smiless_simulation *simulation, int32_t function, int32_t room, smiless_bill *bill, int32_t *count
    )
    smiless_status smiless_simulation_noted(
        const smiless_simulation *simulation, int64_t *requests, int64_t *instances
    )
    smiless_status smiless_simulation_drain(
        smiless_simulation *simulation, smiless_served *requests, smiless_ended *instances
    )
