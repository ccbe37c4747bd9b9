"""What the platform offers a function, and in what numbers."""

from typing import NamedTuple, Self

from smiless_core.model.configuration import Configuration, Hardware, Readiness
from smiless_core.model.plan import Stay
from smiless_core.model.problem import Limits, Problem
from smiless_core.policies import Directive

__all__ = ["CLOCK_ROUNDING", "Offer", "lingering", "offers_for", "within"]

CLOCK_ROUNDING = 1e-6
"""Seconds that moments may be off: the clock of observations may have counted since 1970."""


class Offer(NamedTuple):
    """One configuration of a function, as planned.

    Attributes
    ----------
    configuration : Configuration
    price : float
        Dollars per second of one instance.
    latency : float
        Of one request on a warm instance, seconds.
    cold_start : float
        T, seconds.
    """

    configuration: Configuration
    price: float
    latency: float
    cold_start: float

    @classmethod
    def of(cls, problem: Problem, function_index: int, *, configuration: Configuration) -> Self:
        """Return the terms of a configuration.

        Parameters
        ----------
        problem : Problem
            Whose profiles and prices count.
        function_index : int
            The index of the function in the application.
        configuration : Configuration
            On hardware that its profile has measured.

        Returns
        -------
        Self
            What it costs and how long it takes.
        """
        model = problem.profile(function_index).hardware[configuration.hardware]
        return cls(
            configuration,
            problem.prices.per_second(configuration),
            # Instances may serve less than a full batch, whatever was measured.
            model.latency(1, configuration.size, extrapolate=True),
            model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile),
        )


def offers_for(problem: Problem, function_index: int) -> tuple[Offer, ...]:
    """Return what a function can run on, with the least batch of each kind of hardware.

    Parameters
    ----------
    problem : Problem
        Whose profiles, prices and limits count.
    function_index : int
        The index of the function in the application.

    Returns
    -------
    tuple of Offer
        At least one; by kind of hardware and by size.
    """
    return tuple(
        Offer.of(problem, function_index, configuration=Configuration(kind, size, model.batches[0]))
        for kind, model in problem.profile(function_index).hardware.items()
        for size in problem.sizes(function_index, Hardware(kind))
    )


def within(limits: Limits, replicas: int) -> int:
    """Return the number of instances next to the one that is wanted that the platform allows.

    Parameters
    ----------
    limits : Limits
        What the platform can do.
    replicas : int
        What is wanted.

    Returns
    -------
    int
        From `min_replicas` to `max_replicas`.
    """
    most = replicas if limits.max_replicas is None else min(replicas, limits.max_replicas)
    return max(most, limits.min_replicas)


def lingering(limits: Limits, directive: Directive) -> Directive:
    """Return a directive by which instances stay after each service for as long as the platform has them stay.

    Parameters
    ----------
    limits : Limits
        What the platform can do.
    directive : Directive
        What is wanted: the same schedule for all instances from the end of each service, or none.

    Returns
    -------
    Directive
        The same, with `min_keep_alive`.
    """
    least = limits.min_keep_alive
    if not least:
        return directive
    first, *further = directive.schedules[0] if directive.schedules else (Stay(0.0, 0.0, least),)
    if first.start > least:
        stays = (Stay(0.0, 0.0, least), first, *further)
    else:
        stays = (Stay(0.0, 0.0, max(first.until, least)), *further)
    return directive.replace(readiness=Readiness.PREWARMED, schedules=(stays,), repeats=True, from_finish=True)
