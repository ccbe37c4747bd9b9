"""What one function does from now on: more than an assignment says, for those who decide again and again."""

from __future__ import annotations

import math
from typing import Self, TypeVar

from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Configuration, Readiness
from smiless_core.model.noun import Noun
from smiless_core.model.plan import Assignment, Stay
from smiless_core.validation import choice, flag, number, sequence, shown, whole_number

__all__ = ["Directive", "TimedStart"]

_INSTANT = 1e-9  # seconds

_Noun = TypeVar("_Noun", Stay, "TimedStart")


class TimedStart(Noun, frozen=True):
    """Instances to be there at a time, whatever has been served.

    Parameters
    ----------
    start : float
        Seconds, on the clock of the observation: instances are started then until `count` are there. A time in the
        past means at once.
    until : float
        One that has not served by then is let go, unless the directive covers it.
    count : int, default 1
        Of this configuration, in any state.

    Raises
    ------
    InvalidInputError
        Unless ``start <= until``, both finite or `until` infinite, and there is at least one.
    """

    start: float
    until: float
    count: int = 1

    def __post_init__(self) -> None:
        self._set(
            start=number(self.start, "start"),
            until=math.inf if self.until == math.inf else number(self.until, "until", at_least=self.start),
            count=whole_number(self.count, "count", at_least=1),
        )


class Directive(Noun, frozen=True, kw_only=True):
    """What one function does from now on.

    Parameters
    ----------
    configuration : Configuration
        What its instances run on.
    readiness : Readiness, default on_request
        When they begin to initialize. A request that finds no instance starts one in any case.
    schedules : tuple of tuple of Stay, optional
        The stays of the first instance, the second and so on, in ascending order, in seconds after the arrival that the
        instance served last; only if `prewarmed`. The k-th instance serves when k - 1 others are busy. A stay with
        ``start == ready`` goes on from what came before it. Those without a schedule end with their service.
    repeats : bool, default False
        Whether the last schedule holds for all further instances.
    from_finish : bool, default False
        Whether stays are counted from the end of the service instead of from the arrival.
    min_replicas : int, default 0
        So many instances are started at once and are not let go.
    max_replicas : int, optional
        No more are started than this in all; requests queue for them.
    granted : float, optional
        Seconds within which an instance of an earlier configuration may serve; by default the latency of this one.
    starts : tuple of TimedStart, optional
        Instances to be there at certain times.

    Raises
    ------
    InvalidInputError
        If a value is out of range, or there are schedules without `prewarmed`.
    """

    configuration: Configuration
    readiness: Readiness = Readiness.ON_REQUEST
    schedules: tuple[tuple[Stay, ...], ...] = ()
    repeats: bool = False
    from_finish: bool = False
    min_replicas: int = 0
    max_replicas: int | None = None
    granted: float | None = None
    starts: tuple[TimedStart, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.configuration, Configuration):
            raise InvalidInputError(f"expected a Configuration, got {shown(self.configuration)}", place="configuration")
        least, most = whole_number(self.min_replicas, "min_replicas", at_least=0), self.max_replicas
        self._set(
            readiness=choice(self.readiness, Readiness, place="readiness", what="readiness"),
            schedules=tuple(
                _checked(schedule, Stay, f"schedules[{k}]")
                for k, schedule in enumerate(sequence(self.schedules, "schedules"))
            ),
            repeats=flag(self.repeats, "repeats"),
            from_finish=flag(self.from_finish, "from_finish"),
            min_replicas=least,
            max_replicas=None if most is None else whole_number(most, "max_replicas", at_least=max(least, 1)),
            granted=None if self.granted is None else number(self.granted, "granted", at_least=0.0),
            starts=_checked(self.starts, TimedStart, "starts"),
        )
        if self.schedules and self.readiness is not Readiness.PREWARMED:
            raise InvalidInputError(f"{self.readiness} functions have none", place="schedules")

    @classmethod
    def keep_alive(
        cls, configuration: Configuration, seconds: float, *, prewarm: float = 0.0, cold_start: float = 0.0
    ) -> Self:
        """Return the two windows that platforms know, counted from the end of each service.

        Parameters
        ----------
        configuration : Configuration
            What instances run on.
        seconds : float
            How long an instance is kept; infinity never lets it go.
        prewarm : float, default 0
            If above 0, an instance is let go after its service, and starts again after so many seconds, from when on
            it is kept for `seconds`.
        cold_start : float, default 0
            How long the start is planned to take.

        Returns
        -------
        Self
            The same for all instances.
        """
        begin = number(prewarm, "prewarm", at_least=0.0)
        until = math.inf if seconds == math.inf else begin + number(seconds, "seconds", at_least=0.0)
        takes = number(cold_start, "cold_start", at_least=0.0)
        # That it starts at all is what tells such a stay from one that goes on from the service.
        ready = begin + max(takes, _INSTANT) if begin else 0.0
        return cls(
            configuration=configuration,
            readiness=Readiness.PREWARMED,
            schedules=((Stay(begin, ready, max(until, ready)),),),
            repeats=True,
            from_finish=True,
        )

    @classmethod
    def of(cls, assignment: Assignment) -> Self:
        """Return what an assignment of a plan comes to.

        Parameters
        ----------
        assignment : Assignment
            The decision for one function.

        Returns
        -------
        Self
            With its schedules; the instances after the last of them start on request.
        """
        prewarmed = assignment.readiness is Readiness.PREWARMED
        return cls(
            configuration=assignment.configuration,
            readiness=assignment.readiness,
            schedules=(assignment.schedule, *assignment.further) if prewarmed else (),
        )


def _checked(given: object, kind: type[_Noun], place: str) -> tuple[_Noun, ...]:
    checked = []
    for at, each in enumerate(sequence(given, place)):
        if not isinstance(each, kind):
            raise InvalidInputError(f"expected a {kind.__name__}, got {shown(each)}", place=f"{place}[{at}]")
        checked.append(each)
    return tuple(checked)
