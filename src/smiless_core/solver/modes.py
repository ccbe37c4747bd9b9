"""What a function can run on: its modes, in their fixed order.

Hardware (cpu before gpu), then size, batch and readiness (prewarmed, on_arrival, on_request). `on_arrival` is there
only where the platform announces arrivals, and not for functions that wait for none: to those it is `on_request`.

Batches beyond the smallest that holds all requests of an arrival have no mode: they are slower, cost no less and come
later in the order, so no optimum ever takes one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Configuration, Hardware, Readiness
from smiless_core.model.problem import Problem

__all__ = ["LONGEST", "Mode", "modes_of"]

LONGEST = 4.6e9  # seconds; more does not fit the whole nanoseconds that plans are judged on
_DEAREST = 1e200  # dollars per second; more does not add up


class Mode(NamedTuple):
    """One way to run one function; prices and times as in `Assignment`."""

    configuration: Configuration
    readiness: Readiness
    price: float
    latency: float
    cold_start: float


def modes_of(problem: Problem, v: int) -> Iterator[Mode]:
    """Yield the modes of a function in their fixed order."""
    fallbacks = [Readiness.ON_REQUEST]
    if problem.limits.announces_arrivals and problem.application.predecessors[v]:
        fallbacks.insert(0, Readiness.ON_ARRIVAL)
    for hardware in Hardware:
        model = problem.profile(v).hardware.get(hardware)
        if model is None:
            continue
        cold_start = model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile)
        batches = model.batches[: bisect_left(model.batches, problem.concurrency) + 1]
        for size in problem.sizes(v, hardware):
            for batch in batches:
                configuration = Configuration(hardware, size, batch)
                price = problem.prices.per_second(configuration)
                latency = model.latency(batch, size)
                if latency + cold_start > LONGEST or price > _DEAREST:
                    raise InvalidInputError(
                        f"on {configuration} it takes {latency:g} s, starts in {cold_start:g} s and costs"
                        f" {price:g} $ per second: that is out of range",
                        place=f"functions[{v}]",
                    )
                for readiness in (Readiness.PREWARMED, *fallbacks):
                    yield Mode(configuration, readiness, price, latency, cold_start)
