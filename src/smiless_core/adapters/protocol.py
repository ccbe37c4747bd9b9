"""What a platform has to do so that a controller can run a plan on it.

A `Platform` deploys one application's functions, starts and lets go instances, and tells what is there. Every call says
what is wanted, not what is to change: called twice, the second call does nothing. A call that starts or lets go
instances answers what the platform says afterwards, read back, not what it was told; a platform that clamps or refuses
is believed to have done so. Times are seconds since 1970 on the platform's clock, or on any other that its controller
shares with it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from smiless_core.model import Configuration, Limits
from smiless_core.model.noun import Noun
from smiless_core.validation import choice, flag, number, whole_number

__all__ = ["ArrivalsSource", "Arrived", "Capabilities", "Observed", "Outcome", "Platform", "Warmth"]


class ArrivalsSource(StrEnum):
    """How a controller learns of invocations."""

    ANNOUNCED = "announced"
    """At once, each with its time: a proxy or the client tells."""
    COUNTED = "counted"
    """From a counter that is read now and then: when they came in between is not known."""
    NONE = "none"
    """Not at all."""


class Outcome(StrEnum):
    """What came of asking for instances."""

    READY = "ready"
    """As many are there as were asked for, and they can serve."""
    LATE = "late"
    """They were not ready in time; they may still come."""
    CLAMPED = "clamped"
    """The platform keeps more, or fewer, than were asked for, and will not do otherwise."""
    UNSUPPORTED = "unsupported"
    """The platform cannot do that at all, and says so."""


class Warmth(NamedTuple):
    """What the platform says after it was asked for instances.

    Attributes
    ----------
    outcome : Outcome
    ready : int
        Instances that can serve.
    detail : str
        One line for people, empty if there is nothing to say.
    """

    outcome: Outcome
    ready: int
    detail: str = ""


class Observed(NamedTuple):
    """What is there of one function.

    Attributes
    ----------
    configuration : Configuration or None
        What is deployed; None if nothing is, or something that no controller has put there.
    wanted : int
        Instances that the platform tries to keep.
    ready : int
        Instances that can serve.
    in_flight : int or None
        Requests that have come and not finished; None where the platform does not tell.
    """

    configuration: Configuration | None
    wanted: int = 0
    ready: int = 0
    in_flight: int | None = None


class Arrived(NamedTuple):
    """Invocations since some point.

    Attributes
    ----------
    times : tuple of float
        When they came, ascending. From a counter: spread evenly over the time between two readings.
    cursor : str
        Where to go on; opaque, and valid after a restart of either side.
    lost : int
        Invocations that are known to have come and whose time is not known any more.
    """

    times: tuple[float, ...]
    cursor: str
    lost: int = 0


class Capabilities(Noun, frozen=True, kw_only=True):
    """What a platform can do.

    Parameters
    ----------
    scale_to_zero : bool, default True
        Whether all instances of a function can be let go.
    min_replicas : int, default 0
        So many instances it keeps of each function whatever it is told; at least 1 where it cannot scale to zero.
    max_replicas : int, optional
        The most instances of one function.
    gpu : bool, default False
        Whether instances can have a share of a GPU.
    fractional_gpu : bool, default False
        Whether that share can be less than a whole one.
    in_place_resize : bool, default False
        Whether a running instance can be given more or fewer cores.
    arrivals_source : ArrivalsSource, default none
        How one learns of invocations.
    min_keep_alive : float, default 0
        The least time that an instance stays after a service, in seconds.
    max_functions : int, optional
        The most functions that it takes.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    scale_to_zero: bool = True
    min_replicas: int = 0
    max_replicas: int | None = None
    gpu: bool = False
    fractional_gpu: bool = False
    in_place_resize: bool = False
    arrivals_source: ArrivalsSource = ArrivalsSource.NONE
    min_keep_alive: float = 0.0
    max_functions: int | None = None

    def __post_init__(self) -> None:
        to_zero = flag(self.scale_to_zero, "scale_to_zero")
        least = whole_number(self.min_replicas, "min_replicas", at_least=0 if to_zero else 1)
        most, functions = self.max_replicas, self.max_functions
        self._set(
            min_replicas=least,
            max_replicas=None if most is None else whole_number(most, "max_replicas", at_least=max(1, least)),
            gpu=flag(self.gpu, "gpu"),
            fractional_gpu=flag(self.fractional_gpu, "fractional_gpu"),
            in_place_resize=flag(self.in_place_resize, "in_place_resize"),
            arrivals_source=choice(self.arrivals_source, ArrivalsSource, place="arrivals_source", what="source"),
            min_keep_alive=number(self.min_keep_alive, "min_keep_alive", at_least=0.0),
            max_functions=None if functions is None else whole_number(functions, "max_functions", at_least=1),
        )

    @property
    def announces_arrivals(self) -> bool:
        """Whether one learns of an invocation at once, so that functions further down can begin to initialize."""
        return self.arrivals_source is ArrivalsSource.ANNOUNCED

    def narrowed(self, limits: Limits) -> Limits:
        """Return limits within which plans can be carried out here.

        Parameters
        ----------
        limits : Limits
            What is wanted.

        Returns
        -------
        Limits
            The same, and what this platform cannot do left out. Of the sizes only the kinds of hardware are looked at.
        """
        most = [each for each in (limits.max_replicas, self.max_replicas) if each is not None]
        least = max(limits.min_replicas, self.min_replicas)
        return limits.replace(
            min_replicas=min(least, *most) if most else least,
            max_replicas=min(most, default=None),
            min_keep_alive=max(limits.min_keep_alive, self.min_keep_alive),
            announces_arrivals=self.announces_arrivals,
        )


class Platform(Protocol):
    """Where the functions of one application run.

    All calls raise `PlatformError` when the platform fails or answers what makes no sense; nothing else is raised for
    what a platform does. An unknown function is an `InvalidInputError`. Calls may be cancelled at any time.
    """

    @property
    def name(self) -> str:
        """What messages and logs call it."""
        ...

    async def capabilities(self) -> Capabilities:
        """Return what it can do, asking it where that depends."""
        ...

    async def apply(self, function: str, configuration: Configuration, *, replicas: int, by: float) -> Warmth:
        """Have a function run on a configuration, with so many instances to begin with.

        Requests are served throughout where the platform can do that: by what is there until enough of the new
        instances are ready. Nothing is sent if the function runs on that configuration already.

        Parameters
        ----------
        function : str
            Its name in the application.
        configuration : Configuration
            What its instances are to run on.
        replicas : int
            How many are to be there before requests go to them, at least 0.
        by : float
            When to give up waiting for them.

        Returns
        -------
        Warmth
            As read back.
        """
        ...

    async def warm(self, function: str, *, replicas: int, by: float) -> Warmth:
        """Have at least so many instances of what is deployed, and wait until they can serve.

        Parameters
        ----------
        function : str
            Its name.
        replicas : int
            How many there are to be; those above it stay.
        by : float
            When to give up waiting. What has been begun goes on.

        Returns
        -------
        Warmth
            As read back.
        """
        ...

    async def retire(self, function: str, *, replicas: int) -> Warmth:
        """Let instances go until so many are left, but none that is serving.

        Parameters
        ----------
        function : str
            Its name.
        replicas : int
            How many are to be left, at least 0; fewer than there are now, or nothing happens.

        Returns
        -------
        Warmth
            As read back, and not waited for: `LATE` means not now, and that asking again may help.
        """
        ...

    async def observe(self, function: str) -> Observed:
        """Return what is there of a function."""
        ...

    async def arrivals(self, function: str, *, since: str) -> Arrived:
        """Return the invocations of a function since a cursor.

        Parameters
        ----------
        function : str
            Its name: the entry of an application, where its invocations arrive.
        since : str
            The cursor of the last answer; empty to begin now.

        Returns
        -------
        Arrived
            In the order in which they came.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; what runs goes on."""
        ...
