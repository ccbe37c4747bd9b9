"""Wrapper of the forecasts of ``smiless.h``."""

cimport cython
from libc.stdint cimport int32_t, int64_t

import numpy as np

from smiless_core._native.failures cimport raise_failure
from smiless_core._native.interruption cimport interrupted, raise_pending
from smiless_core._native.smiless cimport (
    SMILESS_CHAIN_CLASSES,
    SMILESS_CHAIN_EXPERTS,
    SMILESS_CHAIN_HISTOGRAMS,
    SMILESS_OK,
    smiless_chain_known,
    smiless_chains,
    smiless_chains_forecast,
    smiless_chains_forecast_to,
    smiless_chains_free,
    smiless_chains_grid,
    smiless_chains_message,
    smiless_chains_new,
    smiless_chains_observe,
    smiless_chains_read,
    smiless_chains_replay,
    smiless_chains_write,
    smiless_status,
    smiless_stay,
    smiless_windows,
    smiless_windows_follow,
    smiless_windows_free,
    smiless_windows_message,
    smiless_windows_new,
    smiless_windows_solve,
    smiless_windows_values,
)


@cython.final
@cython.auto_pickle(False)
cdef class Chains:
    """Forecasts of the next gap for many applications.

    Parameters
    ----------
    count : int
        Applications.
    finest, ratio, longest, decay : float
        The grid and the forgetting; see ``smiless_chains_new``.
    """

    cdef smiless_chains *_chains
    cdef smiless_windows *_windows
    cdef readonly int32_t count
    cdef readonly int32_t bins
    cdef double[::1] _price
    cdef int64_t[:, ::1] _stays
    cdef int64_t[::1] _wait

    def __init__(self, int32_t count, *, double finest, double ratio, double longest, double decay):
        if self._chains != NULL:
            raise ValueError("it has its settings already")
        cdef smiless_status status = smiless_chains_new(count, finest, ratio, longest, decay, &self._chains)
        if self._chains == NULL or smiless_windows_new(&self._windows) != SMILESS_OK:
            raise MemoryError
        self._check(status)
        self.count = count
        smiless_chains_grid(self._chains, &self.bins, NULL)
        self._price = np.empty(self.bins, np.float64)
        self._stays = np.empty((self.bins + 2, 3), np.int64)
        self._wait = np.empty(self.bins, np.int64)

    def __dealloc__(self):
        if self._chains != NULL:
            smiless_chains_free(self._chains)
        if self._windows != NULL:
            smiless_windows_free(self._windows)

    cdef int _check(self, smiless_status status) except -1:
        return raise_failure(status, smiless_chains_message(self._chains))

    cdef int _exists(self) except -1:
        if self.bins == 0:
            raise ValueError("it has no settings")
        return 0

    def edges(self):
        """Return the ends of the bins, float64 array, shape (bins + 1,), seconds from 0 on."""
        self._exists()
        edges = np.empty(self.bins + 1, np.float64)
        cdef double[::1] edge = edges
        smiless_chains_grid(self._chains, &self.bins, &edge[0])
        return edges

    def observe(self, int32_t chain, double gap, *, double began):
        """Learn of a gap, and when it began: seconds."""
        self._exists()
        self._check(smiless_chains_observe(self._chains, chain, began, gap))

    def forecast(self, int32_t chain):
        """Return the probability of each bin and of what is beyond, float64 array, shape (bins + 1,)."""
        self._exists()
        probabilities = np.empty(self.bins + 1, np.float64)
        cdef double[::1] probability = probabilities
        self._check(smiless_chains_forecast(self._chains, chain, &probability[0]))
        return probabilities

    def plan(self, int32_t chain, int64_t cold_start, double price, *, int64_t tolerated, int64_t busy, int64_t keep):
        """Plan for the forecast by the switching policy; see ``smiless_windows_solve``.

        Returns
        -------
        stays : int64 array, shape (s, 3)
            Start, ready, until: nanoseconds.
        value, misses : float
            Expected seconds of residency and priced misses; probability of a miss.
        """
        cdef int32_t count = 0
        cdef double value = 0.0
        cdef double misses = 0.0
        self._exists()
        self._check(smiless_chains_forecast_to(self._chains, chain, self._windows))
        self._price[:] = price
        self._planned(
            smiless_windows_solve(
                self._windows, cold_start, &self._price[0], NULL, price, tolerated, 0.0, 0
            )
        )
        self._planned(
            smiless_windows_follow(
                self._windows, busy, keep, self.bins + 2, <smiless_stay *>&self._stays[0, 0], &count, &self._wait[0]
            )
        )
        # After `follow`, which says what is wrong with times: this one has only a status.
        self._planned(smiless_windows_values(self._windows, 1, &busy, keep, &value, &misses))
        return np.array(self._stays[:count]), value, min(misses, 1.0)

    cdef int _planned(self, smiless_status status) except -1:
        return raise_failure(status, smiless_windows_message(self._windows))

    def replay(
        self,
        int32_t chain,
        const int64_t[::1] gaps not None,
        const double[::1] prices not None,
        *,
        int64_t began,
        int64_t cold_start,
        int64_t tolerated,
        bint positions=False,
    ):
        """Meet gaps and learn of them; see ``smiless_chains_replay``. Ctrl-C raises in milliseconds.

        Parameters
        ----------
        chain : int
        gaps : int64 array, shape (g,)
            Nanoseconds.
        prices : float64 array, shape (p,)
            Of a miss, seconds of residency.
        began, cold_start, tolerated : int
            Nanoseconds; when the first gap began; negative: where the last ended.
        positions : bool, default False

        Returns
        -------
        residency : float64 array, shape (p,)
        missed : int64 array, shape (p,)
        stated : float64 array, shape (p,)
        positions : float64 array, shape (g,), or None
        """
        cdef smiless_status status
        cdef int64_t done = 0
        cdef int64_t many = gaps.shape[0]
        cdef int32_t priced = <int32_t>prices.shape[0]
        self._exists()
        residency = np.zeros(priced, np.float64)
        missed = np.zeros(priced, np.int64)
        stated = np.zeros(priced, np.float64)
        position = np.empty(many if positions else 0, np.float64)
        cdef double[::1] spent = residency
        cdef int64_t[::1] late = missed
        cdef double[::1] said = stated
        cdef double[::1] at = position
        if not priced:
            raise ValueError("there must be at least one price")
        if many:
            with nogil:
                status = smiless_chains_replay(
                    self._chains,
                    chain,
                    self._windows,
                    began,
                    many,
                    &gaps[0],
                    cold_start,
                    tolerated,
                    priced,
                    &prices[0],
                    interrupted,
                    NULL,
                    &spent[0],
                    &late[0],
                    &said[0],
                    &at[0] if positions else NULL,
                    &done,
                )
            raise_pending()
            self._check(status)
        return residency, missed, stated, position if positions else None

    def read(self, int32_t chain):
        """Return what a chain knows.

        Returns
        -------
        histograms : float32 array, shape (h, bins + 1)
        weights, after : list of float
        gaps : float
        last : int
            The class of the last gap, -1 if there is none.
        time : float
            When it ended, seconds in its hour.
        """
        cdef smiless_chain_known known
        self._exists()
        histograms = np.empty((SMILESS_CHAIN_HISTOGRAMS, self.bins + 1), np.float32)
        cdef float[:, ::1] rows = histograms
        self._check(smiless_chains_read(self._chains, chain, &known, &rows[0, 0]))
        weights = [known.weight[i] for i in range(SMILESS_CHAIN_EXPERTS)]
        after = [known.after[i] for i in range(SMILESS_CHAIN_CLASSES)]
        return histograms, weights, after, known.gaps, known.last, known.time

    def write(
        self,
        int32_t chain,
        const float[:, ::1] histograms not None,
        weights,
        after,
        double gaps,
        int32_t last,
        double time,
    ):
        """Let a chain know what `read` has returned."""
        cdef smiless_chain_known known
        self._exists()
        if histograms.shape[0] != SMILESS_CHAIN_HISTOGRAMS or histograms.shape[1] != self.bins + 1:
            raise ValueError(f"histograms must have shape ({SMILESS_CHAIN_HISTOGRAMS}, {self.bins + 1})")
        if len(weights) != SMILESS_CHAIN_EXPERTS or len(after) != SMILESS_CHAIN_CLASSES:
            raise ValueError(f"there must be {SMILESS_CHAIN_EXPERTS} weights and {SMILESS_CHAIN_CLASSES} classes")
        for i in range(SMILESS_CHAIN_EXPERTS):
            known.weight[i] = weights[i]
        for i in range(SMILESS_CHAIN_CLASSES):
            known.after[i] = after[i]
        known.gaps = gaps
        known.last = last
        known.time = time
        self._check(smiless_chains_write(self._chains, chain, &known, &histograms[0, 0]))
