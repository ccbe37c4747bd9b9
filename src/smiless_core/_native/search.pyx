"""Wrapper of the configuration search of ``smiless.h``."""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, int64_t

import numpy as np

from smiless_core._native.failures cimport raise_failure
from smiless_core._native.interruption cimport interrupted, raise_pending
from smiless_core._native.smiless cimport (
    smiless_abi_version,
    smiless_result,
    smiless_search,
    smiless_search_free,
    smiless_search_message,
    smiless_search_new,
    smiless_search_set_modes,
    smiless_search_set_width,
    smiless_search_solve,
    smiless_status,
    smiless_work,
)


def abi_version():
    """Version of the C API that this wrapper was linked with."""
    return smiless_abi_version()


@cython.final
@cython.auto_pickle(False)
cdef class Search:
    """A compiled application with the memory that its searches reuse. Not for two threads at once.

    Parameters
    ----------
    functions : int
        Number of functions, at least 1.
    edges : int32 array, shape (m, 2)
        Pairs (from, to) of function indices; acyclic.
    """

    cdef smiless_search *_search
    cdef int32_t _functions
    cdef int64_t _modes
    cdef bint _busy

    def __init__(self, int32_t functions, const int32_t[:, ::1] edges not None):
        cdef Py_ssize_t count = edges.shape[0]
        cdef int32_t *ends
        cdef smiless_status status
        cdef Py_ssize_t i
        if self._search != NULL:
            raise ValueError("it is compiled already")
        if count and edges.shape[1] != 2:
            raise ValueError(f"edges must have shape (m, 2), not ({count}, {edges.shape[1]})")
        if count > 2**30:
            raise ValueError("too many edges")
        self._functions = functions
        self._modes = 0
        ends = <int32_t *>PyMem_Malloc(2 * (count + 1) * sizeof(int32_t))
        if ends == NULL:
            raise MemoryError
        try:
            for i in range(count):
                ends[i] = edges[i, 0]
                ends[count + i] = edges[i, 1]
            with nogil:
                status = smiless_search_new(functions, <int32_t>count, ends, ends + count, &self._search)
        finally:
            PyMem_Free(ends)
        self._check(status)

    def __dealloc__(self):
        if self._search != NULL:
            smiless_search_free(self._search)

    cdef int _check(self, smiless_status status) except -1:
        if self._search == NULL:
            raise MemoryError
        return raise_failure(status, smiless_search_message(self._search))

    def set_modes(
        self,
        const int64_t[::1] offsets not None,
        const double[::1] release not None,
        const double[::1] latency not None,
    ):
        """Set the modes of every function; the arrays are copied.

        Parameters
        ----------
        offsets : int64 array, shape (n + 1,)
            The modes of function v are ``offsets[v]`` to ``offsets[v + 1] - 1``.
        release, latency : float64 array, shape (offsets[n],)
            Seconds.
        """
        if self._search == NULL:
            raise ValueError("nothing has been compiled")
        if offsets.shape[0] != self._functions + 1:
            raise ValueError(f"offsets must have shape ({self._functions + 1},), not ({offsets.shape[0]},)")
        cdef int64_t modes = offsets[self._functions]
        if modes < 1 or release.shape[0] != modes or latency.shape[0] != modes:
            raise ValueError(
                f"release and latency must have shape ({modes},), not ({release.shape[0]},) and ({latency.shape[0]},)"
            )
        cdef Py_ssize_t v
        for v in range(self._functions):
            if offsets[v] < 0 or offsets[v] > offsets[v + 1]:
                raise ValueError(f"offsets[{v + 1}] must be >= offsets[{v}]")
        if self._busy:
            raise RuntimeError("this search is in use: every thread needs one of its own")
        self._modes = 0
        self._check(smiless_search_set_modes(self._search, &offsets[0], &release[0], &latency[0]))
        self._modes = modes

    def set_width(self, int64_t width):
        """Set how many partial plans may stand side by side before branch and bound takes over."""
        if self._search == NULL:
            raise ValueError("nothing has been compiled")
        self._check(smiless_search_set_width(self._search, width))

    def solve(
        self,
        const double[::1] cost not None,
        double sla,
        int64_t augmentations=0,
        int64_t labels=0,
        int64_t nodes=0,
        double time_limit=0.0,
    ):
        """Choose one mode per function, of least summed cost, with the longest path within the sla.

        Parameters
        ----------
        cost : float64 array, shape (modes,)
            Dollars per invocation; inf leaves a mode out.
        sla : float
            Seconds.
        augmentations, labels, nodes : int
            Work budget; 0 is no limit.
        time_limit : float
            Seconds; 0 is no limit.

        Returns
        -------
        tuple
            outcome, choice (int32 array, shape (n,)), cost, bound, latency, shortest latency, and the work done
            as (augmentations, labels, nodes). Ctrl-C raises `KeyboardInterrupt` within milliseconds.
        """
        cdef smiless_result result
        cdef smiless_status status
        cdef smiless_work budget
        if self._modes == 0:
            raise ValueError("no modes have been set")
        if cost.shape[0] != self._modes:
            raise ValueError(f"cost must have shape ({self._modes},), not ({cost.shape[0]},)")
        budget.augmentations, budget.labels, budget.nodes = augmentations, labels, nodes
        array = np.empty(self._functions, np.int32)
        cdef int32_t[::1] choice = array
        # Read and set under the GIL: a second thread, or a signal handler, must not enter the same search.
        if self._busy:
            raise RuntimeError("this search is in use: every thread needs one of its own")
        self._busy = True
        with nogil:
            status = smiless_search_solve(
                self._search, &cost[0], sla, &budget, time_limit, interrupted, NULL, &choice[0], &result
            )
        self._busy = False
        raise_pending()
        self._check(status)
        return (
            result.outcome,
            array,
            result.cost,
            result.bound,
            result.latency,
            result.shortest_latency,
            (result.work.augmentations, result.work.labels, result.work.nodes),
        )
