"""What modes cost when arrivals are a distribution: every mode with the schedule that suits it best.

A mode that is not prewarmed pays for a cold start and a service. Nothing keeps its instances from staying, as long as
nobody relies on them: wherever that is cheaper its schedule is the one of least residency, and its latency still
reckons with a cold start. A prewarmed mode relies on its schedule: it has to be ready wherever `Wanted` says so.

The costs are the planning costs of the schedules: of one instance where no two arrivals are closer than the latency,
else the sum over the levels (`windows.Path`), with services that begin on time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model.problem import Limits
from smiless_core.windows import GapLaw, Path, Wanted, cut

__all__ = ["RARE", "Prices", "Pricing", "Terms"]

Floats = NDArray[np.float64]
Nanoseconds = NDArray[np.int64]

# Where fewer arrivals than this come before the service ends, one instance is reckoned with, and they miss it.
RARE = 1e-3
_PATH = 8192


class Terms(NamedTuple):
    """What pricing has to know of all modes, one row each.

    Parameters
    ----------
    price : float64 array, shape (modes,)
        Dollars per second of one instance.
    latency, cold_start : int64 array, shape (modes,)
        Nanoseconds.
    prewarmed : bool array, shape (modes,)
        Whether the mode relies on its schedule.
    together : int64 array, shape (modes,)
        Instances that an arrival takes.
    concurrency : int
        Requests that arrive together.
    """

    price: Floats
    latency: Nanoseconds
    cold_start: Nanoseconds
    prewarmed: NDArray[np.bool_]
    together: Nanoseconds
    concurrency: int


class Prices(NamedTuple):
    """What bounds charge a function with.

    Parameters
    ----------
    miss : float
        Dollars for an arrival that waits longer than tolerated.
    absence : float
        Dollars for every second of an arrival's own cold start, unless it comes up to `grace` before an initialization.
    grace : int
        Nanoseconds.
    """

    miss: float
    absence: float
    grace: int


class Pricing:
    """The costs of modes under one distribution.

    Parameters
    ----------
    terms : Terms
        The modes.
    arrivals : Arrivals
        When the next invocation comes.
    limits : Limits
        What the platform can do.

    Attributes
    ----------
    scale : float64 array, shape (modes,)
        Dollars per invocation for a second of residency of an instance.
    single : bool array, shape (modes,)
        Whether one instance serves nearly all arrivals.
    keep : int
        Nanoseconds that an instance stays after each service at least.
    """

    def __init__(self, terms: Terms, arrivals: Arrivals, limits: Limits) -> None:
        self.terms = terms
        self.arrivals = arrivals
        self.interval = arrivals.mean
        self.limited = bool(limits.min_replicas) or limits.max_replicas is not None
        self.keep = round(limits.min_keep_alive * 1e9)
        self._floor = limits.min_replicas
        self._most = limits.max_replicas
        self.law = GapLaw(1.0, arrivals.cells())
        self._laws: dict[int, list[GapLaw]] = {}
        self._late_laws: dict[tuple[int, int], GapLaw] = {}
        # Configurations: what modes that differ in price or readiness only have in common.
        pairs, self._of = np.unique(np.stack([terms.latency, terms.cold_start]), axis=1, return_inverse=True)
        self._of = self._of.reshape(-1)
        self._busy, self._cold = np.ascontiguousarray(pairs[0]), np.ascontiguousarray(pairs[1])
        self.early = np.maximum(1.0 - arrivals.at_least(self._busy / 1e9), 0.0)
        # Of the gaps after one that has begun already nothing is known: there is no path, and there are no levels.
        self.one_step = arrivals.is_conditioned
        self._shared = (self.early > RARE) & ~np.bool_(self.one_step)
        self.single = ~self._shared[self._of]
        single = np.flatnonzero(~self._shared)
        self._single = [(int(cold), single[self._cold[single] == cold]) for cold in np.unique(self._cold[single])]
        self.scale = terms.price * terms.together / terms.concurrency

    @cached_property
    def path(self) -> Path:
        """Consecutive arrivals, that levels are read off."""
        return Path.of(self.arrivals, _PATH)

    @cached_property
    def other_path(self) -> Path:
        """Consecutive arrivals, that plans are tried on: drawn anew, unless they are just those recorded."""
        return self.path if self.path.exact else Path.of(self.arrivals, _PATH, seed=1)

    @cached_property
    def too_long(self) -> bool:
        """Whether gaps last for so long that there is no path."""
        try:
            return not self.other_path.arrivals
        except InvalidInputError:
            return True

    def laws(self, busy: int) -> list[GapLaw]:
        """Return the levels that services of so many nanoseconds make."""
        found = self._laws.get(busy)
        if found is None:
            rare = 1.0 - float(self.arrivals.at_least(busy / 1e9)) <= RARE
            found = self._laws[busy] = [self.law] if rare or self.one_step else self.path.levels(busy)
        return found

    @cached_property
    def free(self) -> Floats:
        """What every mode costs when nobody relies on its schedule: no schedule costs less, dollars."""
        return self.scale * self._rows(Wanted())[0]

    def costs(self, wanted: Wanted) -> tuple[Floats, NDArray[np.bool_]]:
        """Return what every mode costs, or a lower bound where finding out takes long.

        Parameters
        ----------
        wanted : Wanted
            What prewarmed modes are for.

        Returns
        -------
        costs : float64 array, shape (modes,)
            Dollars per invocation, without the price of misses.
        known : bool array, shape (modes,)
            Where that is the cost itself; otherwise `priced` tells it.
        """
        costs = self.free.copy()
        seconds, _ = self._apart(wanted)
        single = self.terms.prewarmed & ~self._shared[self._of]
        costs[single] = self.scale[single] * self._limited(seconds, {})[single]
        return costs, ~self.terms.prewarmed | single

    def priced(self, row: int, wanted: Wanted) -> float:
        """Return what one mode costs, dollars."""
        if not self.terms.prewarmed[row]:
            return float(self.free[row])
        levels, _ = self._levels(int(self._of[row]), wanted)
        return float(self.scale[row]) * self._within_limits(row, levels)

    def late(self, row: int, wanted: Wanted) -> float:
        """Return the fraction of arrivals that wait for one mode, or find no instance within the limits.

        Where further instances are not wanted, an arrival that needs one is not counted: it may have the time.
        """
        lost = float(self.lost[row])
        if not self.terms.prewarmed[row]:
            return lost
        _, late = self._levels(int(self._of[row]), wanted)
        late = [fraction * (1.0 - self._kept(row, k)) for k, fraction in enumerate(late)]
        return max(late[0] if wanted.ready is not None and wanted.price == 0.0 else sum(late), lost)

    def planned_late(self, row: int, wanted: Wanted, *, tolerated: int) -> float:
        """Return the fraction of arrivals that one mode keeps waiting for longer than tolerated (nanoseconds).

        As planned: services begin on time. Where the mode does not rely on a schedule waits are part of the plan.
        """
        if not self.terms.prewarmed[row]:
            return float(self.lost[row])
        busy, cold = int(self.terms.latency[row]), int(self.terms.cold_start[row])
        laws, schedules = self.laws(busy), self.schedules(row, wanted)
        late = [law.late(stays, cold, tolerated=tolerated) for law, stays in zip(laws, schedules, strict=False)]
        late += [1.0] * (len(laws) - len(late))  # beyond the limits
        return sum(law.share * fraction for law, fraction in zip(laws, late, strict=True))

    def _kept(self, row: int, level: int) -> float:
        """Return the part of a level's instances that `min_replicas` keeps up."""
        return min(max(self._floor / int(self.terms.together[row]) - level, 0.0), 1.0)

    def least(self, row: int, prices: Prices, *, tolerated: int) -> float:
        """Bound one prewarmed mode's cost with misses and absences at their prices, in dollars."""
        scale, busy = float(self.scale[row]), self.terms.latency[row : row + 1]
        levels = []
        for law in self.laws(int(busy[0])):
            values = self._bounded(law, busy, int(self.terms.cold_start[row]), prices, scale, tolerated=tolerated)
            levels.append(law.share * (float(busy[0]) / 1e9 + float(values[0])))
        return scale * self._within_limits(row, levels)

    def lower(self, rows: NDArray[np.int64], prices: Prices, *, tolerated: int) -> Floats:
        """Bound `least` for modes of one function with the same cold start, dollars.

        Residency, misses and absences are worth more time to modes that are cheaper by the second: what they are worth
        to the dearest mode is a bound for all, and what they are to one in the middle for the cheaper half.
        """
        scale, busy = self.scale[rows], self.terms.latency[rows]
        cold = int(self.terms.cold_start[rows[0]])
        bound = np.zeros(len(rows))
        for anchor in (float(scale.max()), math.sqrt(float(scale.max()) * float(scale.min()))):
            values = self._bounded(self.law, busy, cold, prices, anchor, tolerated=tolerated)
            bound = np.where(scale <= anchor, np.maximum(bound, scale * (busy / 1e9 + values)), bound)
        return bound

    def _bounded(
        self, law: GapLaw, busy: Nanoseconds, cold_start: int, prices: Prices, scale: float, *, tolerated: int
    ) -> Floats:
        """Bound the seconds after services of such lengths for modes whose second costs so much."""
        law = self._ready_late(law, tolerated, prices)
        absence = prices.absence / scale
        law.bound(prices.miss / scale, cold_start, tolerated=tolerated, absence_price=absence, grace=prices.grace)
        return law.values(busy, keep=self.keep)[0]

    def _ready_late(self, law: GapLaw, tolerated: int, prices: Prices) -> GapLaw:
        """Return the law with edges where an instance may be ready as late as an atom tolerates."""
        if not tolerated or prices.absence or not prices.miss or not law.cells.mass.any():
            return law
        key = (id(law), tolerated)
        if key not in self._late_laws:
            atoms = law.cells.times[law.cells.mass > 0.0]
            self._late_laws[key] = GapLaw(law.share, cut(law.cells, atoms + tolerated))
        return self._late_laws[key]

    def schedules(self, row: int, wanted: Wanted) -> list[Nanoseconds]:
        """Return the stays of one mode's instances, level by level; nanoseconds from the arrival served last."""
        busy, cold = int(self.terms.latency[row]), int(self.terms.cold_start[row])
        aim = wanted if self.terms.prewarmed[row] else Wanted()
        stays = []
        allowed = None if self._most is None else self._most // int(self.terms.together[row])
        for k, (law, of_level) in enumerate(_aims(self.laws(busy)[:allowed], aim)):
            if self._kept(row, k) == 1.0:
                stays.append(_ever(busy))
                continue
            law.solve(of_level, cold)
            stays.append(law.stays(busy, keep=self.keep))
        kept = self._floor // int(self.terms.together[row])
        return [*stays, *(_ever(busy) for _ in range(kept - len(stays)))]

    @cached_property
    def stays(self) -> NDArray[np.bool_]:
        """Whether an instance of the mode stays somewhere although nobody relies on it."""
        anew = (self.terms.latency + self.terms.cold_start) / 1e9
        return ~self.terms.prewarmed & (self.free < self.scale * anew * (1 - 1e-12))

    @cached_property
    def lost(self) -> Floats:
        """The fraction of arrivals that find `max_replicas` instances busy, per mode."""
        lost = np.zeros(len(self._of))
        if self._most is None:
            return lost
        for row, (busy, together) in enumerate(zip(self._occupied(), self.terms.together.tolist(), strict=True)):
            allowed = self._most // together
            lost[row] = sum(law.share for law in self.laws(busy)[allowed:])
        return lost

    def replicas(self, row: int) -> int:
        """Return how many instances one mode takes."""
        needed = max(len(self.laws(self._occupied()[row])) * int(self.terms.together[row]), self._floor)
        return needed if self._most is None else min(needed, self._most)

    def _occupied(self) -> list[int]:
        """Return how long an arrival occupies an instance, cold start included where it is planned; nanoseconds."""
        occupied: list[int] = (self.terms.latency + np.where(self.terms.prewarmed, 0, self.terms.cold_start)).tolist()
        return occupied

    def _rows(self, wanted: Wanted) -> tuple[Floats, Floats]:
        """Return seconds of residency and misses of every mode as if it were prewarmed."""
        seconds, missed = self._apart(wanted)
        levels: dict[int, list[float]] = {}
        for pair in np.flatnonzero(self._shared).tolist():
            levels[pair], late = self._levels(pair, wanted)
            seconds[pair], missed[pair] = sum(levels[pair]), sum(late)
        return self._limited(seconds, levels), missed[self._of]

    def _apart(self, wanted: Wanted) -> tuple[Floats, Floats]:
        """Return seconds of residency and misses of the configurations whose arrivals do not overlap."""
        seconds, missed = np.full(len(self._busy), np.nan), np.full(len(self._busy), np.nan)
        ((_, first),) = _aims([self.law], wanted)
        for cold, pairs in self._single:
            self.law.solve(first, cold)
            busy = self._busy[pairs]
            values, misses = self.law.values(busy, keep=self.keep)
            early = self.early[pairs]
            seconds[pairs] = busy / 1e9 + values - first.price * misses + early * (cold / 1e9)
            missed[pairs] = misses + early
        return seconds, missed

    def _levels(self, pair: int, wanted: Wanted) -> tuple[list[float], list[float]]:
        """Return seconds of residency and misses of each level of a configuration."""
        busy, cold = self._busy[pair : pair + 1], int(self._cold[pair])
        laws = self.laws(int(busy[0]))
        early = float(self.early[pair]) if len(laws) == 1 else 0.0
        levels, late = [], []
        for law, aim in _aims(laws, wanted):
            law.solve(aim, cold)
            values, misses = law.values(busy, keep=self.keep)
            held = float(busy[0]) / 1e9 + float(values[0]) - aim.price * float(misses[0]) + early * (cold / 1e9)
            levels.append(law.share * held)
            late.append(early + law.share * float(misses[0]))
        return levels, late

    def _limited(self, seconds: Floats, levels: dict[int, list[float]]) -> Floats:
        """Return seconds per mode, within what the platform keeps up and allows."""
        held = seconds[self._of]
        if self.limited:
            for row, pair in enumerate(self._of.tolist()):
                if pair in levels or not self._shared[pair]:
                    held[row] = self._within_limits(row, levels.get(pair) or [float(seconds[pair])])
        return held

    def _within_limits(self, row: int, levels: Sequence[float]) -> float:
        """Return seconds of residency where the platform keeps `min_replicas` up and allows `max_replicas`."""
        together = int(self.terms.together[row])
        if self._most is not None and self._most < together:
            return np.inf
        allowed = len(levels) if self._most is None else self._most // together
        total, floor = 0.0, self._floor / together
        for k, held in enumerate(levels):
            kept = self._kept(row, k)
            # An arrival beyond what is allowed is served late, by an instance that is there.
            busy = self.laws(int(self.terms.latency[row]))[k].share * int(self.terms.latency[row]) / 1e9
            total += kept * self.interval + (1.0 - kept) * (held if k < allowed else busy)
        return total + max(floor - len(levels), 0.0) * self.interval


def _ever(busy: int) -> Nanoseconds:
    """Return the stays of an instance that is never let go."""
    return np.array([[busy, busy, np.iinfo(np.int64).max]])


def _aims(laws: Sequence[GapLaw], wanted: Wanted) -> Iterator[tuple[GapLaw, Wanted]]:
    """Yield the levels with what each is for: a ready set is about the first one, the price then about the others."""
    for k, law in enumerate(laws):
        if wanted.ready is None:
            yield law, wanted
        else:
            yield law, Wanted(ready=wanted.ready) if k == 0 else Wanted(wanted.price)
