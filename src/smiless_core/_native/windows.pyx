"""Wrapper of the switching policy of ``smiless.h``."""

cimport cython
from libc.stdint cimport int32_t, int64_t

import numpy as np

from smiless_core._native.failures cimport raise_failure
from smiless_core._native.smiless cimport (
    SMILESS_NO_MEMORY,
    SMILESS_OK,
    smiless_levels,
    smiless_status,
    smiless_stay,
    smiless_windows,
    smiless_windows_follow,
    smiless_windows_free,
    smiless_windows_message,
    smiless_windows_new,
    smiless_windows_set_gaps,
    smiless_windows_solve,
    smiless_windows_values,
)


@cython.final
@cython.auto_pickle(False)
cdef class Windows:
    """The optimal switching policy for one distribution of the time between arrivals.

    Parameters
    ----------
    at : int64 array, shape (n,)
        Atoms, nanoseconds, ascending.
    mass : float64 array, shape (n,)
        Their probabilities.
    spread : float64 array, shape (n,)
        Probabilities spread evenly from the atom before (or 0) to each.
    tail_mass, tail_excess : float
        Probability of a time beyond the last atom, and the mean seconds from there.
    """

    cdef smiless_windows *_windows
    cdef int32_t _atoms

    def __init__(
        self,
        const int64_t[::1] at not None,
        const double[::1] mass not None,
        const double[::1] spread not None,
        double tail_mass,
        double tail_excess,
    ):
        if self._windows != NULL:
            raise ValueError("it has its distribution already")
        if not (at.shape[0] == mass.shape[0] == spread.shape[0]) or at.shape[0] > 2**30:
            shapes = f"({at.shape[0]},), ({mass.shape[0]},) and ({spread.shape[0]},)"
            raise ValueError(f"at, mass and spread must have the same shape, not {shapes}")
        self._atoms = <int32_t>at.shape[0]
        if smiless_windows_new(&self._windows) != SMILESS_OK:
            raise MemoryError
        self._check(
            smiless_windows_set_gaps(
                self._windows,
                self._atoms,
                &at[0] if self._atoms else NULL,
                &mass[0] if self._atoms else NULL,
                &spread[0] if self._atoms else NULL,
                tail_mass,
                tail_excess,
            )
        )

    def __dealloc__(self):
        if self._windows != NULL:
            smiless_windows_free(self._windows)

    cdef int _exists(self) except -1:
        if self._windows == NULL:
            raise ValueError("it has no distribution")
        return 0

    cdef int _check(self, smiless_status status) except -1:
        return raise_failure(status, smiless_windows_message(self._windows))

    def solve(
        self,
        int64_t cold_start,
        const double[::1] price not None,
        const double[::1] spread_price not None,
        double tail_price,
        int64_t tolerated,
        double absence_price=0.0,
        int64_t grace=0,
    ):
        """Find the optimal policy; see ``smiless_windows_solve``.

        Parameters
        ----------
        cold_start, tolerated : int
            Nanoseconds.
        price : float64 array, shape (n,)
            Seconds of residency that an arrival at each atom costs that waits for longer than tolerated.
        spread_price : float64 array, shape (n,)
            The same for what is spread before each atom.
        tail_price : float
            The same for arrivals beyond the last atom.
        absence_price : float, default 0
            For bounds: seconds of residency that an arrival costs by every second of its own cold start, unless it
            comes up to `grace` before the start of an initialization; what comes then or during it is not missed.
        grace : int, default 0
            Nanoseconds.
        """
        cdef smiless_status status
        self._exists()
        if price.shape[0] != self._atoms or spread_price.shape[0] != self._atoms:
            shapes = f"({price.shape[0]},) and ({spread_price.shape[0]},)"
            raise ValueError(f"price and spread_price must have shape ({self._atoms},), not {shapes}")
        with nogil:
            status = smiless_windows_solve(
                self._windows,
                cold_start,
                &price[0] if self._atoms else NULL,
                &spread_price[0] if self._atoms else NULL,
                tail_price,
                tolerated,
                absence_price,
                grace,
            )
        self._check(status)

    def values(self, const int64_t[::1] busy not None, int64_t keep):
        """Expected seconds after services of the given lengths; see ``smiless_windows_values``.

        Parameters
        ----------
        busy : int64 array, shape (m,)
            Nanoseconds of service.
        keep : int
            Nanoseconds that the instance stays at least.

        Returns
        -------
        values, misses : float64 array, shape (m,)
            Seconds, with misses at their price; and the probability of a miss.
        """
        self._exists()
        values = np.empty(busy.shape[0], np.float64)
        misses = np.empty(busy.shape[0], np.float64)
        cdef double[::1] value = values
        cdef double[::1] missed = misses
        if busy.shape[0] and smiless_windows_values(
            self._windows, busy.shape[0], &busy[0], keep, &value[0], &missed[0]
        ) != SMILESS_OK:
            raise ValueError("nothing has been solved, or a time is not 0 to 146 years")
        return values, misses

    def follow(self, int64_t busy, int64_t keep):
        """What the policy does after a service; see ``smiless_windows_follow``.

        Returns
        -------
        tuple
            Stays (int64 array, shape (s, 3): start, ready, until) and waits (int64 array, shape (n,)), nanoseconds.
        """
        self._exists()
        stays = np.empty((self._atoms + 2, 3), np.int64)
        wait = np.empty(self._atoms, np.int64)
        cdef int64_t[:, ::1] stay = stays
        cdef int64_t[::1] waits = wait
        cdef int32_t count
        self._check(
            smiless_windows_follow(
                self._windows,
                busy,
                keep,
                self._atoms + 2,
                <smiless_stay *>&stay[0, 0],
                &count,
                &waits[0] if self._atoms else NULL,
            )
        )
        return stays[:count].copy(), wait


def levels(const int64_t[::1] at not None, int64_t busy):
    """Which instance serves each arrival; see ``smiless_levels``.

    Parameters
    ----------
    at : int64 array, shape (n,)
        Arrivals, nanoseconds, ascending.
    busy : int
        Nanoseconds of service.

    Returns
    -------
    level : int32 array, shape (n,)
    gap : int64 array, shape (n,)
        Nanoseconds since the arrival that the level served before; -1 if there is none.
    """
    cdef int64_t count = at.shape[0]
    level = np.empty(count, np.int32)
    gap = np.empty(count, np.int64)
    cdef int32_t[::1] levels = level
    cdef int64_t[::1] gaps = gap
    cdef smiless_status status = SMILESS_OK
    if count:
        with nogil:
            status = smiless_levels(count, &at[0], busy, &levels[0], &gaps[0])
    if status == SMILESS_NO_MEMORY:
        raise MemoryError
    if status != SMILESS_OK:
        raise ValueError("arrivals must be in ascending order, and busy at least 0")
    return level, gap
