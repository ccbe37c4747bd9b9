# How long native calls answer to Ctrl-C: they ask `interrupted` now and then, without the GIL, and stop.
from libc.stdint cimport int32_t

cdef extern from "Python.h":
    # Declared without `except`: the error stays set while the call unwinds, and `raise_pending` raises it after it.
    int PyErr_CheckSignals()
    void *PyErr_Occurred()


cdef inline int32_t interrupted(void *context) noexcept nogil:
    with gil:
        return PyErr_CheckSignals() != 0


cdef inline int raise_pending() except -1:
    return -1 if PyErr_Occurred() != NULL else 0
