"""Wrapper of the simulation of ``smiless.h``."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

import numpy as np

from smiless_core._native.failures cimport raise_failure
from smiless_core._native.interruption cimport interrupted, raise_pending
from smiless_core._native.smiless cimport (
    smiless_bill,
    smiless_decision,
    smiless_ended,
    smiless_observation,
    smiless_served,
    smiless_simulation,
    smiless_simulation_advance,
    smiless_simulation_bill,
    smiless_simulation_decide,
    smiless_simulation_drain,
    smiless_simulation_finish,
    smiless_simulation_free,
    smiless_simulation_message,
    smiless_simulation_new,
    smiless_simulation_noted,
    smiless_simulation_observe,
    smiless_status,
    smiless_stay,
    smiless_timed_start,
)

OBSERVED = ("initializing", "idle", "busy", "queued", "under_way", "requests", "cold_starts", "concurrency")
"""The columns of an observation."""
SERVED = ("function", "invocation", "comes", "begins", "finishes", "serial", "batch", "cold")
"""The columns of the notes on requests."""
ENDED = ("function", "serial", "configuration", "level", "starts", "ready", "ends")
"""The columns of the notes on instances."""


@cython.final
@cython.auto_pickle(False)
cdef class Simulation:
    """Applications served between decisions; see ``smiless_simulation_new``. Not for two threads at once.

    Parameters
    ----------
    functions : int32 array, shape (a + 1,)
        The functions of application k are ``functions[k]`` to ``functions[k + 1] - 1``.
    edges : int32 array, shape (m, 2)
        Pairs (from, to) of function indices; acyclic.
    arrivals : int64 array, shape (a + 1,)
        The arrivals of application k are ``at[arrivals[k]]`` to ``at[arrivals[k + 1] - 1]``.
    at : int64 array, shape (N,)
        Nanoseconds, ascending in each application. Not copied, and not to be changed.
    announced : uint8 array, shape (a,), optional
        Whether an application's functions learn of an invocation when it arrives.
    seed : int, default 0
        0 to 2**64 - 1.
    start : int, optional
        Where time begins, nanoseconds; by default with the first arrival.
    note_requests, note_instances : bool, default False
        What `drain` is to return.
    """

    cdef smiless_simulation *_simulation
    cdef const int64_t[::1] _at
    cdef int64_t[::1] _response
    cdef object _responses
    cdef int32_t _functions, _applications
    cdef bint _busy

    def __init__(
        self,
        const int32_t[::1] functions not None,
        const int32_t[:, ::1] edges not None,
        const int64_t[::1] arrivals not None,
        const int64_t[::1] at not None,
        const uint8_t[::1] announced=None,
        uint64_t seed=0,
        start=None,
        bint note_requests=False,
        bint note_instances=False,
    ):
        cdef int64_t begins = 0 if start is None else start
        cdef bint given = start is not None
        cdef Py_ssize_t count = at.shape[0], k
        cdef smiless_status status
        cdef int32_t edge_count
        if self._simulation != NULL:
            raise ValueError("it has begun already")
        if functions.shape[0] < 2 or functions.shape[0] > 2**30 or edges.shape[0] > 2**30:
            raise ValueError("there must be at least one application, and not too many")
        if arrivals.shape[0] != functions.shape[0]:
            raise ValueError(f"arrivals must have {functions.shape[0]} rows, not {arrivals.shape[0]}")
        if edges.shape[1] != 2:
            raise ValueError("edges must have shape (m, 2)")
        self._applications = <int32_t>(functions.shape[0] - 1)
        if announced is not None and announced.shape[0] != self._applications:
            raise ValueError(f"announced must have {self._applications} rows, not {announced.shape[0]}")
        for k in range(arrivals.shape[0]):
            if arrivals[k] < (arrivals[k - 1] if k else 0) or arrivals[k] > count:
                raise ValueError(f"arrivals[{k}] must be in ascending order, 0 to {count}")
        if arrivals[self._applications] != count:
            raise ValueError(f"arrivals must end with {count}")
        self._functions = functions[self._applications]
        self._at = at
        self._responses = np.empty(count, np.int64)
        self._response = self._responses
        self._responses.flags.writeable = False
        cdef const int32_t[:, ::1] columns = np.array(np.asarray(edges).T, order="C")
        edge_count = <int32_t>edges.shape[0]
        status = smiless_simulation_new(
            self._applications,
            &functions[0],
            edge_count,
            &columns[0, 0] if edge_count else NULL,
            &columns[1, 0] if edge_count else NULL,
            &arrivals[0],
            &at[0] if count else NULL,
            &announced[0] if announced is not None else NULL,
            seed,
            &begins if given else NULL,
            (1 if note_requests else 0) + (2 if note_instances else 0),
            &self._response[0] if count else NULL,
            &self._simulation,
        )
        self._check(status)

    def __dealloc__(self):
        if self._simulation != NULL:
            smiless_simulation_free(self._simulation)

    cdef int _check(self, smiless_status status) except -1:
        return raise_failure(status, smiless_simulation_message(self._simulation))

    cdef int _enter(self) except -1:
        if self._simulation == NULL:
            raise ValueError("it has not begun")
        if self._busy:
            raise RuntimeError("another thread is using it")
        return 0

    def decide(
        self,
        int32_t function,
        *,
        int32_t configuration,
        double price,
        const int64_t[::1] latency not None,
        int64_t cold_start,
        int32_t readiness,
        double cold_mean=0.0,
        double cold_deviation=0.0,
        double latency_spread=0.0,
        granted=None,
        int64_t replicas=0,
        most_replicas=None,
        const int64_t[::1] stay_offsets=None,
        const int64_t[:, ::1] stays=None,
        bint repeats=False,
        bint from_finish=False,
        const int64_t[:, ::1] starts=None,
    ):
        """Decide what a function does from now on; see ``smiless_simulation_decide``.

        Parameters
        ----------
        function : int
            Its index.
        configuration : int
            The caller's number: it means the same price, latency, cold start and deviations in every decision.
        price : float
            Dollars per second.
        latency : int64 array, shape (batch,)
            Nanoseconds for 1, 2, ... requests; as many as may share an instance.
        cold_start : int
            As planned, nanoseconds.
        readiness : int
            0 is prewarmed, 1 on_arrival, 2 on_request.
        cold_mean, cold_deviation : float, default 0
            Of actual initializations, nanoseconds; as planned if the mean is 0.
        latency_spread : float, default 0
            Coefficient of variation of actual service times.
        granted : int, optional
            Nanoseconds within which an instance of an older configuration serves; by default ``latency[0]``.
        replicas : int, default 0
            How many instances of this configuration are not let go.
        most_replicas : int, optional
            How many instances there may be.
        stay_offsets : int64 array, shape (levels + 1,), optional
            The stays of level k are ``stay_offsets[k]`` to ``stay_offsets[k + 1] - 1``.
        stays : int64 array, shape (s, 3), optional
            Start, ready and until, nanoseconds after the arrival that was served last.
        repeats : bool, default False
            Whether the last schedule holds for all further levels.
        from_finish : bool, default False
            Whether stays are counted from the end of the service that came last instead of from its arrival.
        starts : int64 array, shape (t, 3), optional
            Start, until and count of timed starts.
        """
        cdef smiless_decision decision
        cdef Py_ssize_t k
        self._enter()
        if latency.shape[0] < 1 or latency.shape[0] > 2**20:
            raise ValueError("latency must have at least one row, and not too many")
        if most_replicas is not None and most_replicas < 1:
            raise ValueError("most_replicas must be >= 1")
        if granted is not None and granted < 0:
            raise ValueError("granted must be >= 0")
        if (stays is not None and stays.shape[1] != 3) or (starts is not None and starts.shape[1] != 3):
            raise ValueError("stays and starts must have shape (s, 3)")
        decision.configuration = configuration
        decision.batch = <int32_t>latency.shape[0]
        decision.price = price
        decision.latency = &latency[0]
        decision.cold_start = cold_start
        decision.cold_mean = cold_mean
        decision.cold_deviation = cold_deviation
        decision.latency_spread = latency_spread
        decision.granted = -1 if granted is None else granted
        decision.replicas = replicas
        decision.most_replicas = 0 if most_replicas is None else most_replicas
        decision.readiness = readiness
        decision.repeats = repeats
        decision.from_finish = from_finish
        decision.levels = 0
        decision.starts = 0
        decision.stay_offsets = NULL
        decision.stays = NULL
        decision.timed_starts = NULL
        if stay_offsets is not None:
            if stay_offsets.shape[0] < 1 or stay_offsets.shape[0] > 2**30:
                raise ValueError("stay_offsets must have a row more than there are levels")
            for k in range(stay_offsets.shape[0]):
                if stay_offsets[k] < (stay_offsets[k - 1] if k else 0) or stay_offsets[k] > (
                    stays.shape[0] if stays is not None else 0
                ):
                    raise ValueError(f"stay_offsets[{k}] must be in ascending order, and within stays")
            decision.levels = <int32_t>(stay_offsets.shape[0] - 1)
            decision.stay_offsets = &stay_offsets[0]
        if stays is not None and stays.shape[0]:
            decision.stays = <const smiless_stay *>&stays[0, 0]
        if starts is not None and starts.shape[0]:
            if starts.shape[0] > 2**30:
                raise ValueError("too many starts")
            decision.starts = <int32_t>starts.shape[0]
            decision.timed_starts = <const smiless_timed_start *>&starts[0, 0]
        self._check(smiless_simulation_decide(self._simulation, function, &decision))

    def advance(self, int64_t until, *, bint no_further=False):
        """Let happen all that comes before `until`, nanoseconds, and return where time is then.

        With `no_further`, time ends with the last finish if all requests have finished by then. Ctrl-C raises
        `KeyboardInterrupt` within milliseconds; after that only an advance to the same time or a later one goes on.
        """
        cdef int64_t reached = 0
        cdef int32_t complete = 0
        cdef smiless_status status
        self._enter()
        self._busy = True
        with nogil:
            status = smiless_simulation_advance(
                self._simulation, until, no_further, interrupted, NULL, &reached, &complete
            )
        self._busy = False
        raise_pending()
        self._check(status)
        return reached

    def finish(self, horizon=None):
        """Let happen all up to and including `horizon`, nanoseconds: by default the last finish. Return it.

        Nothing happens after it, and what is there is billed up to it.
        """
        cdef int64_t last = 0 if horizon is None else horizon, end = 0
        cdef bint given = horizon is not None
        cdef int32_t complete = 0
        cdef smiless_status status
        self._enter()
        self._busy = True
        with nogil:
            status = smiless_simulation_finish(
                self._simulation, &last if given else NULL, interrupted, NULL, &end, &complete
            )
        self._busy = False
        raise_pending()
        self._check(status)
        return end

    @property
    def responses(self):
        """Nanoseconds from each arrival to the last finish of its invocation, -1 before that: int64, shape (N,)."""
        return self._responses

    def observe(self):
        """Return what can be seen now.

        Returns
        -------
        observed : int64 array, shape (n, 8)
            Columns `OBSERVED`, of each function; the concurrency since the last observation, in requests times
            nanoseconds.
        arrived : int64 array, shape (a,)
            How many arrivals there were.
        """
        self._enter()
        seen, arrived = np.zeros((self._functions, 8), np.int64), np.zeros(self._applications, np.int64)
        cdef int64_t[:, ::1] rows = seen
        cdef int64_t[::1] counts = arrived
        self._check(
            smiless_simulation_observe(self._simulation, <smiless_observation *>&rows[0, 0], &counts[0])
        )
        return seen, arrived

    def bill(self, int32_t function):
        """Return what a function was billed up to now: ``{configuration: (price, initializing, busy, idle)}``.

        The price is in dollars per second, the rest in nanoseconds.
        """
        cdef smiless_bill rows[64]
        cdef int32_t count = 0, k
        cdef smiless_bill *all_rows = rows
        self._enter()
        self._check(smiless_simulation_bill(self._simulation, function, 64, rows, &count))
        cdef uint8_t[::1] more
        if count > 64:
            more = np.empty(count * sizeof(smiless_bill), np.uint8)
            all_rows = <smiless_bill *>&more[0]
            self._check(smiless_simulation_bill(self._simulation, function, count, all_rows, &count))
        return {
            all_rows[k].configuration: (
                all_rows[k].price, all_rows[k].initializing, all_rows[k].busy, all_rows[k].idle
            )
            for k in range(count)
        }

    def drain(self):
        """Return what was noted since the last time.

        Returns
        -------
        requests : int64 array, shape (r, 8)
            Columns `SERVED`, by finish, function and invocation.
        instances : int64 array, shape (i, 7)
            Columns `ENDED`, by end, function and serial.
        """
        cdef int64_t request_count = 0, instance_count = 0
        self._enter()
        self._check(smiless_simulation_noted(self._simulation, &request_count, &instance_count))
        requests, instances = np.empty((request_count, 8), np.int64), np.empty((instance_count, 7), np.int64)
        cdef int64_t[:, ::1] served = requests, ended = instances
        self._check(
            smiless_simulation_drain(
                self._simulation,
                <smiless_served *>&served[0, 0] if request_count else NULL,
                <smiless_ended *>&ended[0, 0] if instance_count else NULL,
            )
        )
        return requests, instances
