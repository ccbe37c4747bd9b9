"""How a command ends."""

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """The exit codes of `smiless`."""

    DONE = 0
    INFEASIBLE = 1  # the SLA is not met, or not often enough
    BAD_INPUT = 2
    FAULT = 3  # in smiless itself
    INTERRUPTED = 130
