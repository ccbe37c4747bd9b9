"""What happened when a policy served the arrivals of an application."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.model.application import Application
from smiless_core.model.noun import Noun
from smiless_core.serving import Usage
from smiless_core.timing import nanoseconds_down

__all__ = ["FunctionRun", "Instances", "Run", "Services", "Usage"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class FunctionRun(NamedTuple):
    """One function's part in a run.

    Attributes
    ----------
    name : str
    requests, cold_starts : int
        Requests that came, and initializations begun.
    usage : tuple of Usage
        In the order in which configurations were decided on first.
    """

    name: str
    requests: int
    cold_starts: int
    usage: tuple[Usage, ...]

    @property
    def cost(self) -> float:
        """Dollars in all."""
        return math.fsum(each.cost for each in self.usage)

    @property
    def mostly(self) -> Usage:
        """What it ran on for most of the time that was billed."""
        return max(self.usage, key=lambda each: each.seconds)


class Instances(NamedTuple):
    """The instances that there were, in the order of their ends; arrays of shape (i,).

    Attributes
    ----------
    function : int64 array
        Index of the function.
    serial : int64 array
        Number of the instance within its function, by starts.
    usage : int64 array
        What it ran on, as a position in the function's `usage`.
    starts, ready, ends : float64 array
        Seconds; `ready` is when it was ready, or would have been.
    """

    function: Integers
    serial: Integers
    usage: Integers
    starts: Floats
    ready: Floats
    ends: Floats


class Services(NamedTuple):
    """The requests that were served, in the order of their finishes; arrays of shape (r,).

    Attributes
    ----------
    function, invocation : int64 array
        Index of the function, and of the arrival.
    serial : int64 array
        The instance that served it.
    batch : int64 array
        How many requests it shared the service with, itself included.
    cold : bool array
        Whether the instance initialized for it.
    comes, begins, finishes : float64 array
        Seconds.
    """

    function: Integers
    invocation: Integers
    serial: Integers
    batch: Integers
    cold: NDArray[np.bool_]
    comes: Floats
    begins: Floats
    finishes: Floats


class Run(Noun, frozen=True, kw_only=True, eq=False, dict=True):
    """What happened when a policy served arrivals. Runs compare by identity.

    Attributes
    ----------
    policy, settings, fidelity : str
        Of the policy: its name, how it was made, and how near it is to its source.
    application : Application
        With the SLA and the target that it was judged by.
    trace : str
        The name of the trace.
    seed : int
        Of all randomness.
    arrivals_ns, responses_ns : int64 array, shape (N,)
        Nanoseconds: when invocations came after the first, and how long they took; -1 where time ended before.
    end : float
        Where billing ended, seconds after the first arrival.
    functions : tuple of FunctionRun
        In the order of the application.
    clairvoyant : float
        Dollars in all that a policy pays at least that meets every SLA (`clairvoyant_cost`).
    decisions : int
        How often the policy was asked.
    decision_time : float
        Seconds that it took to answer, in all. The only figure that differs between runs with the same seed.
    instances : Instances or None
        The timeline, if it was asked for.
    services : Services or None
        Every request, if it was asked for.
    """

    policy: str
    settings: str
    fidelity: str
    application: Application
    trace: str
    seed: int
    arrivals_ns: Integers
    responses_ns: Integers
    end: float
    functions: tuple[FunctionRun, ...]
    clairvoyant: float
    decisions: int
    decision_time: float
    instances: Instances | None = None
    services: Services | None = None

    @property
    def count(self) -> int:
        """The number of invocations."""
        return len(self.arrivals_ns)

    @property
    def sla(self) -> float:
        """The bound on responses, seconds."""
        return self.application.sla

    @property
    def target(self) -> float:
        """The attainment asked for."""
        return self.application.attainment_target

    @cached_property
    def arrivals(self) -> Floats:
        """When invocations came, seconds after the first; shape (N,)."""
        return self.arrivals_ns / 1e9

    @cached_property
    def responses(self) -> Floats:
        """How long they took, seconds; infinite where time ended before. Shape (N,)."""
        seconds: Floats = np.where(self.responses_ns < 0, math.inf, self.responses_ns / 1e9)
        return seconds

    @cached_property
    def late(self) -> NDArray[np.bool_]:
        """Which invocations missed the SLA, judged in whole nanoseconds; shape (N,)."""
        late: NDArray[np.bool_] = self.responses_ns > nanoseconds_down(self.sla)
        late |= self.responses_ns < 0
        return late

    @cached_property
    def attainment(self) -> float:
        """The fraction of invocations that met the SLA; 1 where there were none."""
        return 1.0 - float(self.late.mean()) if self.count else 1.0

    @property
    def meets_target(self) -> bool:
        """Whether the attainment is what was asked for."""
        return self.attainment >= self.target

    def percentile(self, percent: float) -> float:
        """Return a percentile of the responses, seconds: the least that so many percent of them do not exceed."""
        if not self.count:
            return math.nan
        return float(np.percentile(self.responses, percent, method="inverted_cdf"))

    @cached_property
    def total_cost(self) -> float:
        """Dollars in all."""
        return math.fsum(function.cost for function in self.functions)

    @property
    def cost(self) -> float:
        """Dollars per invocation."""
        return self.total_cost / self.count if self.count else math.nan

    @property
    def cost_ratio(self) -> float:
        """The cost over that of the clairvoyant bound."""
        return self.total_cost / self.clairvoyant if self.clairvoyant else math.nan

    @cached_property
    def cost_split(self) -> dict[str, float]:
        """Dollars for initializing, busy and idle instances; they add up to the total cost."""
        used = [each for function in self.functions for each in function.usage]
        return {
            state: math.fsum(each.price * getattr(each, state) for each in used)
            for state in ("initializing", "busy", "idle")
        }

    @cached_property
    def instance_seconds(self) -> dict[str, float]:
        """Billed seconds by kind of hardware, times cores or shares of a device."""
        total: dict[str, float] = {}
        for function in self.functions:
            for each in function.usage:
                kind = str(each.configuration.hardware)
                total[kind] = total.get(kind, 0.0) + each.configuration.size * each.seconds
        return total

    @cached_property
    def instance_hours(self) -> float:
        """Hours billed, of all instances, whatever their size."""
        return math.fsum(each.seconds for function in self.functions for each in function.usage) / 3600.0

    @property
    def cold_starts(self) -> int:
        """Initializations begun, in all functions."""
        return sum(function.cold_starts for function in self.functions)

    def to_dict(self) -> dict[str, Any]:
        """Return what there is to say in figures, without the arrays and without what differs from run to run."""
        return {
            "policy": self.policy,
            "settings": self.settings,
            "fidelity": self.fidelity,
            "application": self.application.name,
            "trace": self.trace,
            "seed": self.seed,
            "sla": self.sla,
            "attainment_target": self.target,
            "invocations": self.count,
            "end": self.end,
            "cost": _finite(self.cost),
            "total_cost": self.total_cost,
            "cost_split": self.cost_split,
            "clairvoyant_cost": _finite(self.clairvoyant),
            "cost_ratio": _finite(self.cost_ratio),
            "attainment": self.attainment,
            "meets_target": self.meets_target,
            "latency": {f"p{percent}": _finite(self.percentile(percent)) for percent in (50, 95, 99)},
            "cold_starts": self.cold_starts,
            "instance_hours": self.instance_hours,
            "instance_seconds": self.instance_seconds,
            "decisions": self.decisions,
            "functions": {
                function.name: {
                    "requests": function.requests,
                    "cold_starts": function.cold_starts,
                    "cost": function.cost,
                    "usage": [
                        {
                            "hardware": str(each.configuration.hardware),
                            "size": each.configuration.size,
                            "batch": each.configuration.batch,
                            "price_per_second": each.price,
                            "latency": each.latency,
                            "initializing": each.initializing,
                            "busy": each.busy,
                            "idle": each.idle,
                        }
                        for each in function.usage
                    ],
                }
                for function in self.functions
            },
        }

    def __repr__(self) -> str:
        return f"<Run of {self.policy!r}: {self.application.name!r}, {self.count} invocations>"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
