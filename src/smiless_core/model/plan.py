"""The decision: what each function runs on, and when its instances exist."""

from collections.abc import Iterator

from smiless_core.errors import InvalidInputError
from smiless_core.model.application import Application
from smiless_core.model.configuration import Configuration, Readiness
from smiless_core.model.noun import Noun
from smiless_core.validation import number

__all__ = ["Assignment", "Plan", "Stay"]


class Stay(Noun, frozen=True):
    """One stay of an instance, in seconds after the arrival that this instance served last.

    Parameters
    ----------
    start : float
        When it begins to initialize; equal to `ready` where it never left.
    ready : float
        When it can serve.
    until : float
        When it is let go, unless a request comes first.

    Raises
    ------
    InvalidInputError
        Unless ``start <= ready <= until``.
    """

    start: float
    ready: float
    until: float

    def __post_init__(self) -> None:
        # Plans are built in bulk: one chained comparison also rejects NaN.
        if not self.start <= self.ready <= self.until:
            times = f"start {self.start}, ready {self.ready}, until {self.until}"
            raise InvalidInputError(f"expected start <= ready <= until, got {times}", place="schedule")


class Assignment(Noun, frozen=True):
    """The decision for one function.

    Parameters
    ----------
    function : str
        The name of the function.
    configuration : Configuration
        What its instances run on.
    readiness : Readiness
        When they begin to initialize.
    replicas : int
        How many instances it takes.
    price_per_second : float
        Dollars per second of one instance.
    latency : float
        Inference time on a warm instance, in seconds.
    cold_start : float
        The cold start that the plan reckons with, in seconds.
    schedule : tuple of Stay
        When an instance is there, after the arrival that it served last; empty unless prewarmed.
    cost : float
        Dollars per invocation.
    slack : float, default 0
        How much the latency of this function alone could grow within the SLA, in seconds.
    prewarm : float, optional
        Seconds from the end of a service to the start of the first stay; None without a schedule.
    keep_alive : float, optional
        Seconds for which the first stay waits for an arrival; None without a schedule.
    further : tuple of tuple of Stay, optional
        The schedules of the second instance on: the k-th serves when k - 1 others are busy. Instances without a
        schedule start on request.

    Raises
    ------
    InvalidInputError
        If a number is negative or NaN.
    """

    function: str
    configuration: Configuration
    readiness: Readiness
    replicas: int
    price_per_second: float
    latency: float
    cold_start: float
    schedule: tuple[Stay, ...]
    cost: float
    slack: float = 0.0
    prewarm: float | None = None
    keep_alive: float | None = None
    further: tuple[tuple[Stay, ...], ...] = ()

    def __post_init__(self) -> None:
        # Plans are built in bulk by code that has checked its input: this guards against a slip, cheaply.
        if not (
            self.replicas >= 0
            and self.price_per_second >= 0.0
            and self.latency >= 0.0
            and self.cold_start >= 0.0
            and self.cost >= 0.0
        ):
            for name in ("replicas", "price_per_second", "latency", "cold_start", "cost"):
                number(getattr(self, name), f"{self.function}.{name}", at_least=0.0)


class Plan(Noun, frozen=True):
    """The decision for all functions of an application.

    A plan iterates over its assignments, and ``plan["detect"]`` is that of one function.

    Parameters
    ----------
    application : Application
        What is planned.
    assignments : tuple of Assignment
        One for each function, in the order of ``application.functions``.
    cost : float
        Dollars per invocation.
    latency : float
        End-to-end latency when every prewarmed function is ready, in seconds.
    cold_latency : float
        End-to-end latency when no function is ready, in seconds.
    attainment : float
        The fraction of invocations that meets the SLA.
    critical_path : tuple of str
        The functions that the latency is made of, first to last.
    ready_set : tuple of (float, float), optional
        Closed intervals, seconds: an arrival that comes then after the one before finds the first instance of every
        function ready that the plan relies on. Empty where arrivals are deterministic.

    Raises
    ------
    InvalidInputError
        If the assignments are not those of the application's functions.
    """

    application: Application
    assignments: tuple[Assignment, ...]
    cost: float
    latency: float
    cold_latency: float
    attainment: float
    critical_path: tuple[str, ...]
    ready_set: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        planned = tuple(assignment.function for assignment in self.assignments)
        if planned != self.application.names:
            wanted, got = ", ".join(self.application.names), ", ".join(planned) or "none"
            raise InvalidInputError(f"expected one for each of {wanted}, got {got}", place="assignments")

    def __getitem__(self, function: str) -> Assignment:
        """Return the assignment of a function.

        Raises
        ------
        InvalidInputError
            If the application has no such function.
        """
        try:
            return self.assignments[self.application.index[function]]
        except KeyError:
            raise InvalidInputError.unknown("function", function, self.application.names) from None

    def __contains__(self, item: object) -> bool:
        """Tell whether this is the name of a planned function, or one of the assignments."""
        return item in self.application.names or item in self.assignments

    def __iter__(self) -> Iterator[Assignment]:
        return iter(self.assignments)

    def __len__(self) -> int:
        return len(self.assignments)
