# What a status of the C API is in Python: nothing, or an exception with the message of the handle.
from smiless_core._native.smiless cimport (
    SMILESS_INVALID,
    SMILESS_NO_MEMORY,
    SMILESS_OK,
    smiless_status,
)


cdef inline int raise_failure(smiless_status status, const char *message) except -1:
    if status == SMILESS_OK:
        return 0
    if status == SMILESS_NO_MEMORY:
        raise MemoryError
    if status == SMILESS_INVALID:
        raise ValueError(message.decode())
    raise RuntimeError(message.decode())
