"""One application served event by event, by what its functions are told to do.

The native engine (``csrc/include/smiless/smiless.h`` states its rules) advances from one moment to the next; in between
functions may be told something else. The simulator drives it with a policy, and the policy of this library tries out
on recent arrivals what it might do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core._native.simulation import ENDED, SERVED, Simulation
from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Configuration, Readiness
from smiless_core.model.directive import Directive
from smiless_core.model.plan import Stay
from smiless_core.model.problem import Problem
from smiless_core.timing import nanoseconds_up

__all__ = ["ENDED", "FAR", "SERVED", "FunctionState", "Serving", "Usage"]

FAR = 2.0e9
"""Seconds, 63 years: what is later never comes, and the engine takes times within 73 years."""

_CODES = {Readiness.PREWARMED: 0, Readiness.ON_ARRIVAL: 1, Readiness.ON_REQUEST: 2}
_FOREVER = np.iinfo(np.int64).max
_NO_TIME = 1e-6  # nanoseconds


class FunctionState(NamedTuple):
    """What the instances of one function are doing.

    Attributes
    ----------
    initializing, idle, busy : int
        Instances.
    queued : int
        Requests that wait for an instance, and that no instance initializes for.
    under_way : int
        Requests that have come and not finished.
    requests, cold_starts : int
        So far: requests that have come, and initializations begun.
    concurrency : float
        The mean of `under_way` over the time since the observation before; 0 at the first one.
    """

    initializing: int = 0
    idle: int = 0
    busy: int = 0
    queued: int = 0
    under_way: int = 0
    requests: int = 0
    cold_starts: int = 0
    concurrency: float = 0.0

    @property
    def instances(self) -> int:
        """All that are there, in any state."""
        return self.initializing + self.idle + self.busy


class Usage(NamedTuple):
    """What the instances of a function were billed for on one configuration.

    Attributes
    ----------
    configuration : Configuration
    price : float
        Dollars per second.
    latency : float
        Of one request, seconds, as planned.
    initializing, busy, idle : float
        Instance-seconds.
    """

    configuration: Configuration
    price: float
    latency: float
    initializing: float
    busy: float
    idle: float

    @property
    def seconds(self) -> float:
        """Instance-seconds in all."""
        return self.initializing + self.busy + self.idle

    @property
    def cost(self) -> float:
        """Dollars in all."""
        return self.price * self.seconds


class _Known(NamedTuple):
    """A configuration that a function has been given, numbered for the engine."""

    number: int
    price: float
    latency: NDArray[np.int64]  # of 1, 2, ... requests
    cold_start: int
    cold_mean: float
    cold_deviation: float


class Serving:
    """The functions of one application, at work.

    Parameters
    ----------
    problem : Problem
        The application, its profiles and prices, and what the platform can do.
    times : int64 array, shape (N,)
        The arrivals: nanoseconds, ascending, from 0 on.
    seed : int, default 0
        Of cold starts.
    sampled : bool, default True
        Whether cold starts are drawn, or all last as long as planned.
    noted : bool, default False
        Whether `drain` is to have something to return.

    Attributes
    ----------
    now : int
        How far it has advanced, nanoseconds.
    """

    def __init__(
        self,
        problem: Problem,
        times: NDArray[np.int64],
        *,
        seed: int = 0,
        sampled: bool = True,
        noted: bool = False,
    ) -> None:
        application = problem.application
        self.now = 0
        self._problem = problem
        self._times = times
        self._sampled = sampled
        self._names = application.names
        self._known: list[dict[Configuration, _Known]] = [{} for _ in self._names]
        self._last_observed = 0
        self._engine = Simulation(
            np.array([0, len(self._names)], np.int32),
            np.ascontiguousarray(application.edge_array, np.int32).reshape(-1, 2),
            np.array([0, len(times)], np.int64),
            times,
            announced=np.array([problem.limits.announces_arrivals], np.uint8),
            seed=seed,
            start=0,
            note_requests=noted,
            note_instances=noted,
        )

    def direct(self, function: str, directive: Directive) -> None:
        """Tell a function what to do from now on.

        Parameters
        ----------
        function : str
            Its name.
        directive : Directive
            What it is to do, within the limits of the problem.

        Raises
        ------
        InvalidInputError
            If the function cannot run on that configuration.
        """
        v = self._problem.application.index[function]
        limits = self._problem.limits
        try:
            known = self._configuration(v, directive.configuration)
        except InvalidInputError as error:
            raise error.within(place=f"{function}.configuration") from None
        most = min((each for each in (directive.max_replicas, limits.max_replicas) if each is not None), default=None)
        least = max(directive.min_replicas, limits.min_replicas)
        levels = [list(_within_reach(schedule)) for schedule in directive.schedules]
        starts = [(_ns(each.start), _ns(each.until), each.count) for each in directive.starts if each.start < FAR]
        try:
            self._engine.decide(
                v,
                configuration=known.number,
                price=known.price,
                latency=known.latency,
                cold_start=known.cold_start,
                readiness=_CODES[directive.readiness],
                cold_mean=known.cold_mean,
                cold_deviation=known.cold_deviation,
                granted=None if directive.granted is None else _ns(min(directive.granted, FAR)),
                replicas=least if most is None else min(least, most),
                most_replicas=most,
                stay_offsets=np.cumsum([0, *map(len, levels)], dtype=np.int64) if levels else None,
                stays=np.array([stay for level in levels for stay in level], np.int64).reshape(-1, 3)
                if levels
                else None,
                repeats=directive.repeats,
                from_finish=directive.from_finish,
                starts=np.array(starts, np.int64).reshape(-1, 3) if starts else None,
            )
        except ValueError as error:
            raise InvalidInputError(str(error), place=function) from error

    def _configuration(self, v: int, configuration: Configuration) -> _Known:
        """Return what is known about a configuration of a function, looked up once."""
        known = self._known[v]
        if configuration not in known:
            problem = self._problem
            model = problem.profile(v).hardware.get(configuration.hardware)
            if model is None:
                has = ", ".join(problem.profile(v).hardware)
                raise InvalidInputError(f"no {configuration.hardware} in the profile (known: {has})", place="hardware")
            if configuration.size not in problem.sizes(v, configuration.hardware):
                offered = ", ".join(f"{size:g}" for size in problem.sizes(v, configuration.hardware))
                raise InvalidInputError(f"{configuration.size:g} is not offered ({offered})", place="size")
            model.latency(configuration.batch, configuration.size)  # refuses a batch that was not measured
            latencies = [
                model.latency(batch, configuration.size, extrapolate=True)
                for batch in range(1, configuration.batch + 1)
            ]
            planned = model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile)
            known[configuration] = _Known(
                len(known),
                problem.prices.per_second(configuration),
                np.maximum(nanoseconds_up(np.array(latencies)), 1),
                nanoseconds_up(planned),
                # A mean of 0 means as planned to the engine, where there is no planned time that varies.
                max(1e9 * model.cold_start_mean, _NO_TIME) if self._sampled else 0.0,
                1e9 * model.cold_start_std if self._sampled else 0.0,
            )
        return known[configuration]

    def advance(self, until: int, *, no_further: bool = False) -> None:
        """Let happen all that comes before `until`, nanoseconds; Ctrl-C raises `KeyboardInterrupt` in milliseconds.

        With `no_further`, time ends with the last finish if all requests have finished by then.
        """
        if until > self.now:
            self.now = self._engine.advance(until, no_further=no_further)

    def finish(self, horizon: int | None = None) -> int:
        """Let happen all up to and including a horizon, by default the last finish; return it, nanoseconds."""
        return self._engine.finish(horizon)

    @property
    def responses(self) -> NDArray[np.int64]:
        """Nanoseconds that each invocation took; negative until it has finished. Read-only."""
        return self._engine.responses

    def observe(self) -> tuple[dict[str, FunctionState], int]:
        """Return what the functions are doing, and how many invocations have come."""
        rows, arrived = self._engine.observe()
        elapsed = self.now - self._last_observed
        self._last_observed = self.now
        states = {
            name: FunctionState._make([*row[:-1], row[-1] / elapsed if elapsed else 0.0])
            for name, row in zip(self._names, rows.tolist(), strict=True)
        }
        return states, int(arrived[0])

    def usage(self) -> list[dict[int, Usage]]:
        """Return, per function, what was billed up to now, by the number of the configuration."""
        numbered = [{known.number: configuration for configuration, known in each.items()} for each in self._known]
        return [
            {
                number: Usage(
                    numbered[v][number],
                    price,
                    float(self._known[v][numbered[v][number]].latency[0]) / 1e9,
                    *(nanoseconds / 1e9 for nanoseconds in spent),
                )
                for number, (price, *spent) in self._engine.bill(v).items()
            }
            for v in range(len(self._names))
        ]

    def drain(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what was noted since the last time: services, columns `SERVED`; ended instances, columns `ENDED`."""
        return self._engine.drain()


def _within_reach(schedule: Sequence[Stay]) -> Iterator[tuple[int, int, int]]:
    """Yield the stays in nanoseconds, without what is later than anything lasts."""
    for stay in schedule:
        if stay.ready <= FAR:
            yield max(_ns(stay.start), 0), max(_ns(stay.ready), 0), max(_ns(stay.until), 0)


def _ns(seconds: float) -> int:
    return _FOREVER if seconds > FAR else round(seconds * 1e9)
