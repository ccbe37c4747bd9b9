"""What a miss has to cost for a target to be met: prices that learn from the misses.

A miss is an invocation that does not find ready what it needs. Schedules weigh misses against residency by a price, lam
(`windows.switching_policy`). What price leads to how many misses is not known beforehand, and changes. So the logarithm
of the price is moved: up with every miss, and down with every other arrival, by amounts that cancel at the target.

=========================  ===================================================  =================================
`FleetTarget`              ``log lam += step * (v / alpha - 1)``                one price, lam
`FleetTargetWithCeiling`   the same, and ``u = max(0, u + v - 5 * alpha)``      ``lam * e**u``, of an application
`ApplicationTarget`        ``u += 2 (v - alpha)``, from ``ln(4 R T / alpha)``   ``e**u``, of an application
=========================  ===================================================  =================================

with v = 1 for a miss, else 0, alpha the target and R * T what a cold start costs. No price is above lam_max, by default
4e4 * R * T. If lam_max buys all misses off, there are after n arrivals at most

    alpha * n + ln(lam_max / lam_0) / s + 1

of an application with a target of its own (lam_0 its first price, s = 2), of a fleet (lam_0 the first one, s the step
over alpha), and of an application with a ceiling (the ceiling for alpha, lam_0 the least price, s = 1). For u rose by
s * (misses - alpha * n) at least, and not beyond ln(lam_max) + s, as nothing was missed above ln(lam_max). It is
essential that u passes ln(lam_max): were it cut off there, each miss just below would be forgotten in part.

If lam_max does not buy all misses off, u could rise without end, and the price would stay at lam_max until the last of
those misses is made up for. No more than ten are. Where the bound holds, u never gets so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, Self, TypeAlias, cast

import msgspec

from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.validation import number, numbers, shown, whole_number

__all__ = ["ApplicationTarget", "FleetTarget", "FleetTargetWithCeiling", "MissPrices", "Target"]

_MADE_UP = 10.0  # misses above the target at the highest price that are made up for; the bound needs 1
_CAUTION = 4.0  # an application of its own begins with so many times the price that usually meets the target
_PACE = 2.0  # of its price: it errs by fewer misses than at 1, in its short life, and costs a twentieth more
_FORGOTTEN = 0.1  # the part of the average price that is forgotten in the time in which one miss is allowed
_SMALL, _LARGE = 1e-50, 1e50  # costs and prices: their products and ratios stay within the range of floats


class _Target(Noun, frozen=True, kw_only=True):
    """What all targets have."""

    misses: float = 0.01
    least: float = 1.0
    most: float = 4e4

    def start(self, applications: int = 1, *, residency: float | Iterable[float] = 1.0) -> MissPrices:
        """Begin to set prices; the arguments are those of `MissPrices`."""
        return MissPrices(cast(Target, self), applications, residency=residency)


class FleetTarget(_Target, frozen=True, kw_only=True, tag="fleet"):
    """All applications together miss a fraction of their arrivals, at one price.

    Nothing meets the target of the fleet at a lower cost; but those applications miss most that are dear to keep ready.

    Parameters
    ----------
    misses : float, default 0.01
        The fraction, alpha; at least 0, below 1.
    step : float, default 0.001
        How much log lam falls at an arrival that is no miss. It rises by about ``step / misses`` at a miss, and by 1 at
        most: the step is smaller for a target below itself.
    least, most : float, default 1 and 4e4
        The lowest and the highest price, in cold starts. For comparison: with a fixed price, about one in so many
        arrivals is a miss.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    step: float = 0.001

    def __post_init__(self) -> None:
        self._set(**_checked(self), step=number(self.step, "step", above=0.0, at_most=1.0))


class FleetTargetWithCeiling(_Target, frozen=True, kw_only=True, tag="fleet with ceiling"):
    """All applications together miss a fraction of their arrivals, and none of them misses many times as much.

    An application that misses more than its ceiling has a higher price than the fleet.

    Parameters
    ----------
    misses : float, default 0.01
        The fraction, alpha; at least 0, below 1.
    ceiling : float, default 5
        What one application may miss of its own arrivals, in multiples of `misses`; at least 1.
    step, least, most : float, default 0.001, 1 and 4e4
        As for `FleetTarget`.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    ceiling: float = 5.0
    step: float = 0.001

    def __post_init__(self) -> None:
        self._set(
            **_checked(self),
            ceiling=number(self.ceiling, "ceiling", at_least=1.0),
            step=number(self.step, "step", above=0.0, at_most=1.0),
        )


class ApplicationTarget(_Target, frozen=True, kw_only=True, tag="application"):
    """Each application misses a fraction of its own arrivals.

    Parameters
    ----------
    misses : float, default 0.01
        The fraction, alpha; at least 0, below 1.
    least, most : float, default 4 and 4e4
        As for `FleetTarget`. Misses that are saved at the lowest price may not be spent later. What is seldom missed
        even at a low price need not be missed as often as it may: that saves next to nothing, and is why the lowest
        price is above 1.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    least: float = 4.0

    def __post_init__(self) -> None:
        self._set(**_checked(self))


Target: TypeAlias = FleetTarget | FleetTargetWithCeiling | ApplicationTarget
"""What is to be met."""


class MissPrices:
    """Sets the price of a miss for each application, and learns from what comes of it.

    Parameters
    ----------
    target : Target
        What is to be met.
    applications : int, default 1
        How many there are at first; they are numbered from 0.
    residency : float or iterable of float, default 1
        What a cold start costs, R * T, for all or for each of them. Prices are in its unit: dollars, or T for seconds
        of residency. With 1 they are in cold starts, whatever one costs at the time.

    Raises
    ------
    InvalidInputError
        If a value is out of range, or there is not one residency for each application.

    Examples
    --------
    >>> prices = ApplicationTarget(misses=0.01).start(residency=5.0)
    >>> round(prices.price(0))
    2000
    >>> prices.observe(0, missed=True)
    >>> round(prices.price(0))
    14485
    """

    __slots__ = ("_applications", "_fleet", "_log_most", "_reference", "_target")

    def __init__(self, target: Target, applications: int = 1, *, residency: float | Iterable[float] = 1.0) -> None:
        given: object = target
        if not isinstance(given, Target):
            raise InvalidInputError(f"expected a target, such as FleetTarget(), got {shown(given)}", place="target")
        count = whole_number(applications, "applications", at_least=1)
        if isinstance(residency, Iterable):
            costs = numbers(residency, "residency")
            if len(costs) != count:
                message = f"expected one for each of {count} applications, got {len(costs)}"
                raise InvalidInputError(message, place="residency")
        else:
            costs = (_cost(residency, "residency"),) * count
        self._target = target
        self._applications: list[_Application] = []
        self._log_most = -math.inf
        for cost in costs:
            self.join(cost)
        self._reference = math.fsum(costs) / count
        self._fleet = _fleet_level(target, self._reference)

    def join(self, residency: float = 1.0) -> int:
        """Take in one more application, and return its number.

        Parameters
        ----------
        residency : float, default 1
            What a cold start of it costs.
        """
        cost = _cost(residency, "residency")
        joining = _Application(self._target, cost)
        self._applications.append(joining)
        self._log_most = max(self._log_most, joining.log_most)
        return len(self._applications) - 1

    def price(self, application: int = 0) -> float:
        """Return what a miss of the next arrival costs.

        Parameters
        ----------
        application : int, default 0
            Its number.

        Returns
        -------
        float
            Lam, in the unit of residency.

        Raises
        ------
        InvalidInputError
            If there is no such application.
        """
        own = self._find(application)
        log = self._fleet.value + own.level.value
        return own.most if log >= own.log_most else min(math.exp(log), own.most)

    def observe(self, application: int = 0, *, missed: bool) -> None:
        """Learn whether an arrival was a miss.

        Parameters
        ----------
        application : int, default 0
            Of what it was an arrival.
        missed : bool
            Whether it was one, at the price that held.

        Raises
        ------
        InvalidInputError
            If there is no such application.
        """
        own, fleet = self._find(application), self._fleet
        above = fleet.value + own.level.value - own.log_most
        own.seen += 1
        share = max(_FORGOTTEN * self._target.misses, 1.0 / own.seen)
        own.cheapness += share * (math.exp(-min(above, 0.0)) - own.cheapness)
        own.level.move(missed, above)
        fleet.move(missed, fleet.value - self._log_most)

    def marginal_price(self, application: int = 0) -> float:
        """Return what one miss less has cost lately: the harmonic mean of the prices of past arrivals.

        Prices swing as misses come and go. With misses in inverse proportion to the price, as is usual, this is the
        fixed price that leads to as many of them. Where the target cannot be reached it is the highest price.

        Parameters
        ----------
        application : int, default 0
            Its number.

        Returns
        -------
        float
            In the unit of residency: over all arrivals of the application at first, later over about the last
            ``10 / misses``. The present price before the first.

        Raises
        ------
        InvalidInputError
            If there is no such application.
        """
        own = self._find(application)
        return own.most / own.cheapness if own.seen else self.price(application)

    def unreachable(self, application: int = 0) -> bool:
        """Return whether the highest price does not meet the target, as far as it has been seen.

        Ten misses more than the target allows have come since the price got there, and it has not come down again.

        Parameters
        ----------
        application : int, default 0
            Its number. Where the target of the fleet is not met, that goes for each.

        Returns
        -------
        bool
            If so, misses beyond that will not be made up for.

        Raises
        ------
        InvalidInputError
            If there is no such application.
        """
        return self._find(application).level.failed or self._fleet.failed

    def state(self) -> bytes:
        """Return all that is known, the target included: compact, versioned, the same on every machine."""
        return msgspec.msgpack.encode(
            _State(
                "miss prices",
                1,
                self._target,
                self._reference,
                self._fleet.value,
                self._fleet.failed,
                [
                    (each.residency, each.level.value, each.level.failed, each.cheapness, each.seen)
                    for each in self._applications
                ],
            )
        )

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return what goes on as that of which `state` is.

        Raises
        ------
        InvalidInputError
            If it is no such state, or of a version that is not known here.
        """
        try:
            known = msgspec.msgpack.decode(state, type=_State)
        except (msgspec.DecodeError, TypeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInputError(f"expected the state of miss prices: {error}", place="state") from None
        if not known.applications:
            raise InvalidInputError("expected at least one application, got none", place="state")
        try:
            made = cls(known.target, len(known.applications), residency=[each[0] for each in known.applications])
            made._reference = _cost(known.reference, "reference")
            made._fleet = _fleet_level(known.target, made._reference)
            made._fleet.restore(known.fleet, known.fleet_failed, "fleet")
            for number_, own in enumerate(made._applications):
                own.restore(*known.applications[number_][1:], f"applications[{number_}]")
        except InvalidInputError as error:
            raise error.within(place="state") from None
        return made

    def _find(self, application: int) -> _Application:
        # A negative number would be taken for one from the end.
        if 0 <= application < len(self._applications):
            return self._applications[application]
        count = len(self._applications)
        raise InvalidInputError(f"no application {shown(application)}: there are {count}", place="application")

    def __repr__(self) -> str:
        return f"MissPrices({self._target}, {len(self._applications)} applications)"


class _Level:
    """The logarithm of a price, or a part of it, that moves with misses; with a step of 0 it stays."""

    __slots__ = ("_fall", "_least", "_made_up", "_rise", "failed", "value")

    def __init__(self, value: float, *, step: float, allowed: float, least: float) -> None:
        self.value = value
        self.failed = False
        self._least = least
        self._rise = step * (1.0 - allowed)
        self._fall = step * allowed
        self._made_up = step * _MADE_UP

    def move(self, missed: bool, above: float) -> None:
        """Move with an arrival, at a price so far above the highest in logarithm."""
        if not self._made_up:
            return
        if not missed:
            self.value = max(self._least, self.value - self._fall)
        elif above < self._made_up:
            self.value += self._rise
        else:
            self.failed = True
        if self.failed and above < 0.0:
            self.failed = False

    def restore(self, value: float, failed: bool, place: str) -> None:
        least = self._least if self._made_up else self.value
        self.value = number(value, place, at_least=least, at_most=None if self._made_up else least)
        self.failed = failed


class _Application:
    """What is known of one."""

    __slots__ = ("cheapness", "level", "log_most", "most", "residency", "seen")

    def __init__(self, target: Target, residency: float) -> None:
        self.residency = residency
        self.most = target.most * residency
        self.log_most = math.log(self.most)
        self.level = _own_level(target, residency)
        self.seen = 0
        self.cheapness = 1.0  # the mean of the highest price over the one that held

    def restore(self, level: float, failed: bool, cheapness: float, seen: int, place: str) -> None:
        self.level.restore(level, failed, place)
        self.cheapness = number(cheapness, place, above=0.0)
        self.seen = whole_number(seen, place, at_least=0)


def _own_level(target: Target, residency: float) -> _Level:
    """Return the level of an application, as it is before all arrivals."""
    if isinstance(target, ApplicationTarget):
        first = residency * _first_price(target, _CAUTION)
        return _Level(math.log(first), step=_PACE, allowed=target.misses, least=math.log(residency * target.least))
    allowed = target.ceiling * target.misses if isinstance(target, FleetTargetWithCeiling) else 1.0
    return _Level(0.0, step=1.0 if allowed < 1.0 else 0.0, allowed=allowed, least=0.0)


def _fleet_level(target: Target, residency: float) -> _Level:
    """Return the level that all applications have in common, as it is before all arrivals."""
    if isinstance(target, ApplicationTarget):
        return _Level(0.0, step=0.0, allowed=target.misses, least=0.0)
    step = min(1.0, target.step / target.misses) if target.misses else 1.0
    first = residency * _first_price(target, 1.0)
    return _Level(math.log(first), step=step, allowed=target.misses, least=math.log(residency * target.least))


def _first_price(target: Target, caution: float) -> float:
    """Return the price to begin with, in cold starts."""
    usual = caution / target.misses if target.misses else math.inf
    return min(max(usual, target.least), target.most)


class _State(msgspec.Struct, array_like=True):
    kind: Literal["miss prices"]
    version: Literal[1]
    target: Target
    reference: float
    fleet: float
    fleet_failed: bool
    applications: list[tuple[float, float, bool, float, int]]


def _cost(value: object, place: str) -> float:
    return number(value, place, at_least=_SMALL, at_most=_LARGE)


def _checked(target: Target) -> dict[str, float]:
    """Return what all targets have in common."""
    misses = number(target.misses, "misses", at_least=0.0)
    if misses >= 1.0:
        raise InvalidInputError(f"expected a fraction below 1, got {shown(target.misses)}", place="misses")
    least = _cost(target.least, "least")
    return {"misses": misses, "least": least, "most": number(target.most, "most", at_least=least, at_most=_LARGE)}
