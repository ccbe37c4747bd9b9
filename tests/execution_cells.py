"""Work for the tests of `smiless_core.execution`, where processes of executors can import it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from smiless_core.errors import InvalidInputError


def square(number: int) -> int:
    return number * number


def encode(result: int) -> bytes:
    return str(result).encode()


def decode(data: bytes) -> int:
    return int(data)


def slow_process(seconds: float) -> int:
    """Return the process that a cell ran in."""
    time.sleep(seconds)
    return os.getpid()


def slow_mark(path: str) -> int:
    """Leave a file behind, and take a while."""
    Path(path).touch()
    time.sleep(0.05)
    return 0


def third_time(path: str) -> int:
    """Fail twice; the file at the path counts the tries."""
    with Path(path).open("ab") as file:
        file.write(b".")
    tries = Path(path).stat().st_size
    if tries < 3:
        raise InvalidInputError(f"try {tries} failed", place="cell")
    return tries


def square_or_die(number: int) -> int:
    """Take the whole process down for a negative number."""
    if number < 0:
        os._exit(3)
    return number * number


class Unpicklable:
    def __reduce__(self) -> str:
        raise ValueError("this does not\npickle")
