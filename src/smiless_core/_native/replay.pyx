"""Wrapper of the replay of ``smiless.h``."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

import numpy as np

from smiless_core._native.failures cimport raise_failure
from smiless_core._native.interruption cimport interrupted, raise_pending
from smiless_core._native.smiless cimport (
    smiless_replay,
    smiless_replay_free,
    smiless_replay_message,
    smiless_replay_new,
    smiless_replay_run,
    smiless_replay_set_functions,
    smiless_status,
    smiless_stay,
    smiless_tally,
)


cdef int _check(const smiless_replay *replay, smiless_status status) except -1:
    return raise_failure(status, smiless_replay_message(replay))


cdef int _check_offsets(str name, const int64_t[::1] offsets, int64_t last) except -1:
    cdef Py_ssize_t i
    for i in range(offsets.shape[0]):
        if offsets[i] < (offsets[i - 1] if i else 0) or offsets[i] > last:
            raise ValueError(f"{name}[{i}] must be in ascending order, 0 to {last}")
    return 0


cdef int _check_shape(str name, Py_ssize_t found, Py_ssize_t wanted) except -1:
    if found != wanted:
        raise ValueError(f"{name} must have {wanted} rows, not {found}")
    return 0


def run(
    const int64_t[::1] arrivals not None,
    const int64_t[::1] latency not None,
    const int64_t[::1] cold_start not None,
    const int8_t[::1] readiness not None,
    const int32_t[:, ::1] edges not None,
    const int64_t[::1] level_offsets not None,
    const int64_t[::1] stay_offsets not None,
    const int64_t[:, ::1] stays not None,
    bint announced,
    const int64_t[::1] warm=None,
    horizon=None,
):
    """Replay recorded arrivals; see ``smiless_replay_set_functions`` and ``smiless_replay_run``.

    Parameters
    ----------
    arrivals : int64 array, shape (N,)
        Nanoseconds, ascending.
    latency, cold_start : int64 array, shape (n,)
        Nanoseconds.
    readiness : int8 array, shape (n,)
        0 is prewarmed, 1 on_arrival, 2 on_request.
    edges : int32 array, shape (m, 2)
        Pairs (from, to) of function indices; acyclic.
    level_offsets : int64 array, shape (n + 1,)
        The levels of function v are ``level_offsets[v]`` to ``level_offsets[v + 1] - 1``.
    stay_offsets : int64 array, shape (levels + 1,)
        The stays of level k are ``stay_offsets[k]`` to ``stay_offsets[k + 1] - 1``.
    stays : int64 array, shape (s, 3)
        Start, ready and until, nanoseconds after the arrival that was served last.
    announced : bool
        Whether functions learn of an invocation when it arrives.
    warm : int64 array, shape (n,), optional
        Levels that are there at the beginning.
    horizon : int, optional
        Nanoseconds.

    Returns
    -------
    tuple
        Initializing, busy and idle nanoseconds (int64 arrays, shape (n,)), responses (int64 array, shape (N,)), causes
        (uint8 array, shape (N,)), cold starts, waited, met busy and replicas (int64 arrays, shape (n,)), and the
        horizon. Ctrl-C raises `KeyboardInterrupt` within milliseconds.
    """
    cdef Py_ssize_t n = latency.shape[0], count = arrivals.shape[0], i
    cdef smiless_replay *replay = NULL
    cdef smiless_status status
    cdef int64_t given = 0, end = 0
    cdef int32_t complete = 0
    cdef bint ends = horizon is not None
    if n < 1 or n > 2**30 or edges.shape[0] > 2**30:
        raise ValueError("there must be at least one function, and not too many")
    if count < 1:
        raise ValueError("there must be at least one arrival")
    _check_shape("cold_start", cold_start.shape[0], n)
    _check_shape("readiness", readiness.shape[0], n)
    _check_shape("level_offsets", level_offsets.shape[0], n + 1)
    if edges.shape[1] != 2 or stays.shape[1] != 3:
        raise ValueError("edges must have shape (m, 2) and stays (s, 3)")
    if stay_offsets.shape[0] < 1:
        raise ValueError("stay_offsets must have a row more than there are levels")
    _check_offsets("level_offsets", level_offsets, stay_offsets.shape[0] - 1)
    _check_offsets("stay_offsets", stay_offsets, stays.shape[0])
    if warm is not None:
        _check_shape("warm", warm.shape[0], n)
    if ends:
        given = horizon
    cdef const int32_t[:, ::1] columns = np.array(np.asarray(edges).T, order="C")
    response_array, cause_array = np.empty(count, np.int64), np.empty(count, np.uint8)
    tally_array = np.empty((n, 7), np.int64)
    cdef int64_t[::1] response = response_array
    cdef uint8_t[::1] cause = cause_array
    cdef int64_t[:, ::1] tally = tally_array
    cdef int32_t edge_count = <int32_t>edges.shape[0]
    try:
        status = smiless_replay_new(
            <int32_t>n,
            edge_count,
            &columns[0, 0] if edge_count else NULL,
            &columns[1, 0] if edge_count else NULL,
            &replay,
        )
        _check(replay, status)
        status = smiless_replay_set_functions(
            replay,
            &latency[0],
            &cold_start[0],
            &readiness[0],
            &level_offsets[0],
            &stay_offsets[0],
            <const smiless_stay *>&stays[0, 0] if stays.shape[0] else NULL,
        )
        _check(replay, status)
        with nogil:
            status = smiless_replay_run(
                replay,
                count,
                &arrivals[0],
                announced,
                &warm[0] if warm is not None else NULL,
                &given if ends else NULL,
                interrupted,
                NULL,
                &response[0],
                &cause[0],
                <smiless_tally *>&tally[0, 0],
                &end,
                &complete,
            )
        raise_pending()
        _check(replay, status)
    finally:
        smiless_replay_free(replay)
    initializing, busy, idle, cold_starts, waited, met_busy, replicas = np.ascontiguousarray(tally_array.T)
    return initializing, busy, idle, response_array, cause_array, cold_starts, waited, met_busy, replicas, end
