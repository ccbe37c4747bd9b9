"""How many instances, of what, for the requests of a burst or of some time.

G requests come all at once, or spread over an interval I as in the time before and after. On instances with a batch of
b and a latency of L, they take ``ceil(G / b)`` instances if they come at once, and ``ceil(G * L / (b * I))`` if they
are spread: so many are busy all the time. The cheapest ones per second are found by trying all that is offered. The
cost is not monotone in the batch, because instances are whole; to bisect the range of batches misses the best one.

This is the auto-scaler of Lu et al., "SMIless: Serving DAG-based Inference with Dynamic Invocations under Serverless
Computing", SC 2024, over all sizes and kinds of hardware. The caller says what is to be expected: a quantile of the
demand (`arrivals.Counts.quantile`) where more than the mean is to be served in time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model.configuration import Configuration, Hardware
from smiless_core.model.noun import Noun
from smiless_core.model.prices import Prices
from smiless_core.model.profiles import Profile
from smiless_core.timing import nanoseconds_down, nanoseconds_up
from smiless_core.validation import choice, flag, mapping, number, sequence, shown, whole_number

__all__ = ["Autoscaler", "RecentWants", "Scaling", "scale", "scale_in"]

_LONGEST = 4.6e9  # seconds; more does not fit whole nanoseconds
_MOST_REQUESTS = 10**15
_SAME = 1e-12  # costs that differ by a smaller fraction are the same: it is rounding, not money


class Scaling(Noun, frozen=True, kw_only=True):
    """Instances of one function for a number of requests.

    Parameters
    ----------
    configuration : Configuration
        What each of them runs on, and how many requests it serves at once.
    replicas : int
        How many there are to be.
    latency : float
        Of a full batch, in seconds.
    wait : float
        How long the first request of a full batch waits for its last one, where they are spread evenly, in seconds.
    cost_per_second : float
        Of all instances, in dollars.
    """

    configuration: Configuration
    replicas: int
    latency: float
    wait: float
    cost_per_second: float


class Autoscaler:
    """Finds the cheapest instances for one function, again and again.

    Parameters
    ----------
    profile : Profile
        How long it takes on what.
    prices : Prices
        What hardware costs.
    sizes : mapping of Hardware or str to iterable of float, optional
        The sizes on offer by kind of hardware, as in `Limits`: a kind that is missing is not offered. Those measured by
        default.
    batches : iterable of int, optional
        The batches on offer. Those measured by default. Of either, what lies outside the measured range is left out.
    max_replicas : int, optional
        The most instances there may be, at least 1.

    Raises
    ------
    InvalidInputError
        If a value is out of range, or nothing is left to run on.
    """

    def __init__(
        self,
        profile: Profile,
        prices: Prices,
        *,
        sizes: Mapping[Hardware | str, Iterable[float]] | None = None,
        batches: Iterable[int] | None = None,
        max_replicas: int | None = None,
    ) -> None:
        for name, value, kind in (("profile", profile, Profile), ("prices", prices, Prices)):
            if not isinstance(value, kind):
                raise InvalidInputError(f"expected a {kind.__name__}, got {shown(value)}", place=name)
        self._name = profile.name
        self._most = None if max_replicas is None else whole_number(max_replicas, "max_replicas", at_least=1)
        self._offers = _offers(profile, prices, _sizes(sizes), _batches(batches))
        if not self._offers:
            raise InvalidInputError(f"nothing on offer that profile {profile.name!r} has measured", place="sizes")

    def scale(self, requests: int, granted: float, *, interval: float | None = None, filling: bool = False) -> Scaling:
        """Return the cheapest instances that serve so many requests, each batch within what is granted.

        Parameters
        ----------
        requests : int
            How many are expected. For none, what is best for a single one, with no instances.
        granted : float
            Seconds within which a batch is to be served.
        interval : float, optional
            Seconds over which they are spread. By default they come all at once.
        filling : bool, default False
            Whether what is granted is to cover the time in which a batch fills up, too. Instances that begin with what
            is there do not wait for that.

        Returns
        -------
        Scaling
            Of those that cost the same, the one of the lowest latency, then with the fewest instances, then the first
            in the order of `Hardware`, size and batch.

        Raises
        ------
        InvalidInputError
            If a value is out of range.
        InfeasibleError
            If nothing is fast enough, or there may not be as many instances. The shortest latency that it names is what
            would have to be granted; infinity if that would not help.
        """
        count, bound = _count(requests), _granted(granted)
        fits = [
            each for each in self._needs(count, interval, filling) if self._most is None or each.replicas <= self._most
        ]
        within = [each for each in fits if each.time <= bound]
        if not within:
            raise self._infeasible(count, granted, min((each.time for each in fits), default=None))
        return _scaling(_cheapest(within), count)

    def closest(
        self, requests: int, granted: float, *, interval: float | None = None, filling: bool = False
    ) -> Scaling:
        """Return the same as `scale` where that is possible, and else what comes nearest.

        Where nothing is fast enough, that is the cheapest of what is fastest. Where there may not be as many instances
        as needed, as many as may be, of those that serve most requests in time. The rest has to queue.

        Parameters
        ----------
        requests, granted, interval, filling
            As for `scale`.

        Raises
        ------
        InvalidInputError
            If a value is out of range.
        """
        count, bound = _count(requests), _granted(granted)
        needs = self._needs(count, interval, filling)
        fast = max(bound, min(each.time for each in needs))
        within = [each for each in needs if each.time <= fast]
        most = self._most
        if most is not None and all(each.replicas > most for each in within):
            served = max(each.served_by_one for each in within)
            best = [each._replace(replicas=most) for each in within if each.served_by_one == served]
        else:
            best = [each for each in within if most is None or each.replicas <= most]
        return _scaling(_cheapest(best), count)

    def _needs(self, requests: int, interval: float | None, filling: bool) -> list[_Need]:
        """Return what all that is offered needs, in the fixed order."""
        count = max(requests, 1)
        fills = flag(filling, "filling")
        spread = None
        if interval is not None:
            spread = nanoseconds_down(number(interval, "interval", at_least=1e-9, at_most=_LONGEST))
        if spread is None or not requests:
            return [_Need(each, -(-count // each.batch), each.latency, each.batch, 0) for each in self._offers]
        needs = []
        for each in self._offers:
            replicas = -(-count * each.latency // (each.batch * spread))
            wait = -(-(each.batch - 1) * spread // count)
            time = each.latency + wait if fills else each.latency
            needs.append(_Need(each, replicas, time, each.batch / each.latency, wait))
        return needs

    def _infeasible(self, requests: int, granted: float, shortest: int | None) -> InfeasibleError:
        if shortest is None:
            message = f"{self._name}: max_replicas = {self._most} is not enough for {requests} requests"
            return InfeasibleError(message, math.inf, (self._name,))
        limit = "" if self._most is None else f" with max_replicas = {self._most}"
        message = (
            f"{self._name}: nothing serves {requests} requests within {granted:g} s{limit}:"
            f" the shortest latency that can be reached is {shortest / 1e9:g} s"
        )
        return InfeasibleError(message, shortest / 1e9, (self._name,))


def scale(
    profile: Profile,
    prices: Prices,
    *,
    requests: int,
    granted: float,
    interval: float | None = None,
    filling: bool = False,
    sizes: Mapping[Hardware | str, Iterable[float]] | None = None,
    batches: Iterable[int] | None = None,
    max_replicas: int | None = None,
) -> Scaling:
    """Return the cheapest instances of a function for so many requests.

    Parameters
    ----------
    profile : Profile
        How long it takes on what.
    prices : Prices
        What hardware costs.
    requests : int
        How many are expected.
    granted : float
        Seconds within which a batch is to be served.
    interval : float, optional
        Seconds over which they are spread. By default they come all at once.
    filling : bool, default False
        Whether what is granted is to cover the time in which a batch fills up, too.
    sizes, batches, max_replicas
        What is on offer, as for `Autoscaler`.

    Returns
    -------
    Scaling
        As from `Autoscaler.scale`, which is the faster way to ask more than once.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    InfeasibleError
        If nothing is fast enough, or there may not be as many instances.

    Examples
    --------
    >>> profile = Profile("detect", {"cpu": HardwareProfile(
    ...     alpha=0.8, beta=0.0, gamma=0.2, cold_start_mean=3.0, sizes=(1, 4), batches=(1, 2, 4))})
    >>> scale(profile, Prices(cpu=1.0, gpu=1.0), requests=8, granted=1.0).replicas
    2
    """
    offered = Autoscaler(profile, prices, sizes=sizes, batches=batches, max_replicas=max_replicas)
    return offered.scale(requests, granted, interval=interval, filling=filling)


def scale_in(replicas: int, wanted: int, *, busy: int) -> int:
    """Return how many instances may go: idle ones that are not wanted, and never one that works.

    Parameters
    ----------
    replicas : int
        How many there are.
    wanted : int
        How many there are to be; `RecentWants.most` if that swings.
    busy : int
        How many of them work, or will as soon as they are ready.

    Returns
    -------
    int
        From 0 to ``replicas - busy``.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """
    there = whole_number(replicas, "replicas", at_least=0)
    working = whole_number(busy, "busy", at_least=0, at_most=there)
    return max(0, there - max(whole_number(wanted, "wanted", at_least=0), working))


class RecentWants:
    """The most instances that have been wanted in the last seconds, so that a lull between bursts costs no cold starts.

    Kubernetes and Knative do the same (``stabilizationWindowSeconds``, ``scale-down-delay``).

    Parameters
    ----------
    window : float
        Seconds. As long as a cold start is a good choice: to keep an instance then never costs more than twice what it
        would have cost at the least, whatever comes (the rent-or-buy rule; Karlin et al., "Competitive Snoopy Caching",
        1988).

    Raises
    ------
    InvalidInputError
        If it is negative.
    """

    def __init__(self, window: float) -> None:
        self._window = number(window, "window", at_least=0.0)
        # Falling wants at rising times: what was wanted before something higher will never be the most again.
        self._falling: deque[tuple[float, int]] = deque()

    def most(self, now: float, wanted: int) -> int:
        """Note what is wanted now, and return the most that was within the window.

        Parameters
        ----------
        now : float
            Seconds. If it is before the last time, the clock was set back: what is remembered counts as of now.
        wanted : int
            How many.

        Returns
        -------
        int
            At least `wanted`.

        Raises
        ------
        InvalidInputError
            If a value is out of range.
        """
        at = number(now, "now")
        count = whole_number(wanted, "wanted", at_least=0)
        falling = self._falling
        if falling and at < falling[-1][0]:
            highest = falling[0][1]
            falling.clear()
            falling.append((at, highest))
        while falling and falling[-1][1] <= count:
            falling.pop()
        falling.append((at, count))
        while falling[0][0] < at - self._window:
            falling.popleft()
        return falling[0][1]


class _Offer(NamedTuple):
    """What an instance may run on; its latency in whole nanoseconds."""

    configuration: Configuration
    batch: int
    latency: int
    price: float


class _Need(NamedTuple):
    """How many instances of an offer are needed, and what is compared with what is granted, in nanoseconds."""

    offer: _Offer
    replicas: int
    time: int
    served_by_one: float
    wait: int


def _offers(
    profile: Profile, prices: Prices, sizes: Mapping[Hardware, list[float]] | None, batches: list[int] | None
) -> list[_Offer]:
    offers = []
    for kind, model in profile.hardware.items():
        offered_sizes = model.sizes if sizes is None else sizes.get(kind, [])
        for size in offered_sizes:
            for batch in model.batches if batches is None else batches:
                if not (model.sizes[0] <= size <= model.sizes[-1] and model.batches[0] <= batch <= model.batches[-1]):
                    continue
                configuration = Configuration(kind, size, batch)
                latency = max(1, nanoseconds_up(model.latency(batch, size)))
                offers.append(_Offer(configuration, batch, latency, prices.per_second(configuration)))
    return offers


def _sizes(given: object) -> dict[Hardware, list[float]] | None:
    if given is None:
        return None
    offered = {}
    for key, values in mapping(given, "sizes").items():
        kind = choice(key, Hardware, place="sizes", what="hardware kind")
        place = f"sizes.{kind}"
        checked = {kind.checked_size(size, f"{place}[{at}]") for at, size in enumerate(sequence(values, place))}
        offered[kind] = sorted(checked)
    return offered


def _batches(given: object) -> list[int] | None:
    if given is None:
        return None
    values = sequence(given, "batches")
    return sorted({whole_number(batch, f"batches[{at}]", at_least=1) for at, batch in enumerate(values)})


def _count(requests: object) -> int:
    return whole_number(requests, "requests", at_least=0, at_most=_MOST_REQUESTS)


def _granted(granted: object) -> int:
    return nanoseconds_down(number(granted, "granted", above=0.0, at_most=_LONGEST))


def _cheapest(needs: list[_Need]) -> _Need:
    costs = [each.replicas * each.offer.price for each in needs]
    limit = min(costs) * (1.0 + _SAME)
    tied = [each for each, cost in zip(needs, costs, strict=True) if cost <= limit]
    return min(tied, key=lambda each: (each.offer.latency, each.replicas))


def _scaling(need: _Need, requests: int) -> Scaling:
    replicas = need.replicas if requests else 0
    return Scaling(
        configuration=need.offer.configuration,
        replicas=replicas,
        latency=need.offer.latency / 1e9,
        wait=need.wait / 1e9 if requests else 0.0,
        cost_per_second=replicas * need.offer.price,
    )
