"""Wrapper of the switching policy of ``smiless.h``."""

cimport cython
from libc.stdint cimport int32_t, int64_t

import numpy as np

from smiless_core._native.smiless cimport (
    SMILESS_INVALID,
    SMILESS_NO_MEMORY,
    SMILESS_OK,
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
    tail_mass, tail_excess : float
        Probability of a time beyond the last atom, and the mean seconds from there.
    """

    cdef smiless_windows *_windows
    cdef int32_t _atoms

    def __init__(
        self, const int64_t[::1] at not None, const double[::1] mass not None, double tail_mass, double tail_excess
    ):
        if self._windows != NULL:
            raise ValueError("it has its distribution already")
        if at.shape[0] != mass.shape[0] or at.shape[0] > 2**30:
            raise ValueError(f"at and mass must have the same shape, not ({at.shape[0]},) and ({mass.shape[0]},)")
        self._atoms = <int32_t>at.shape[0]
        if smiless_windows_new(&self._windows) != SMILESS_OK:
            raise MemoryError
        self._check(
            smiless_windows_set_gaps(
                self._windows,
                self._atoms,
                &at[0] if self._atoms else NULL,
                &mass[0] if self._atoms else NULL,
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
        if status == SMILESS_OK:
            return 0
        if status == SMILESS_NO_MEMORY:
            raise MemoryError
        message = smiless_windows_message(self._windows).decode()
        if status == SMILESS_INVALID:
            raise ValueError(message)
        raise RuntimeError(message)

    def solve(self, int64_t cold_start, const double[::1] price not None, double tail_price, int64_t tolerated):
        """Find the optimal policy; see ``smiless_windows_solve``.

        Parameters
        ----------
        cold_start, tolerated : int
            Nanoseconds.
        price : float64 array, shape (n,)
            Seconds of residency that an arrival costs that waits for longer than tolerated.
        tail_price : float
            The same for arrivals beyond the last atom.
        """
        cdef smiless_status status
        self._exists()
        if price.shape[0] != self._atoms:
            raise ValueError(f"price must have shape ({self._atoms},), not ({price.shape[0]},)")
        with nogil:
            status = smiless_windows_solve(
                self._windows, cold_start, &price[0] if self._atoms else NULL, tail_price, tolerated
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
        float64 array, shape (m,)
        """
        self._exists()
        array = np.empty(busy.shape[0], np.float64)
        cdef double[::1] value = array
        if busy.shape[0] and smiless_windows_values(self._windows, busy.shape[0], &busy[0], keep, &value[0]) != SMILESS_OK:
            raise ValueError("nothing has been solved, or a time is not 0 to 146 years")
        return array

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
