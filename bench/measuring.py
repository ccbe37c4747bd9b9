"""How a call is timed, and what a row of results says about many calls."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

REPEATS = 7

# A call whose warm-up takes longer (seconds) is not repeated: there the noise of a timer is nothing.
LONG = 0.1

Answer = TypeVar("Answer")


class Measured(NamedTuple):
    """Median seconds of a call, and what its last repeat returned."""

    seconds: float
    answer: Any


def measured(calls: Sequence[Callable[[], Any]], *, long: float = LONG) -> list[Measured]:
    """Time calls in turn: one round to warm up, then `REPEATS` rounds over those that do not take `long` seconds."""
    times: list[list[int]] = [[] for _ in calls]
    answers: list[Any] = [None] * len(calls)
    for repeat in range(1 + REPEATS):
        for at, call in enumerate(calls):
            if repeat > 0 and times[at][0] > long * 1e9:
                continue
            start = time.perf_counter_ns()
            answers[at] = call()
            times[at].append(time.perf_counter_ns() - start)
    medians = (statistics.median(taken[1:] or taken) / 1e9 for taken in times)
    return [Measured(seconds, answer) for seconds, answer in zip(medians, answers, strict=True)]


def spread(seconds: Iterable[float]) -> dict[str, float]:
    """How many cells there are, and how long they take."""
    taken = np.fromiter(seconds, dtype=float)
    return {
        "cells": len(taken),
        "median": float(np.median(taken)),
        "p99": float(np.quantile(taken, 0.99)),
        "worst": float(taken.max()),
    }


def record(benchmark: Any, row: str, case: str, **quantities: float) -> None:
    """Note what was measured, for `bench.summary`: times in seconds, shares and gaps as fractions."""
    benchmark.extra_info.update(row=row, case=case, measured=quantities)
