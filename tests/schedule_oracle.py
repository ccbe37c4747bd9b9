"""Ready sets by enumeration: the planning cost written from its definition, in fractions.

Arrivals are atoms (x, probability).  A ready set is a sequence of disjoint closed intervals (a, b) in
increasing order.  Nothing here is clever and nothing is shared with the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import NamedTuple

Atoms = Sequence[tuple[Fraction, Fraction]]
Interval = tuple[Fraction, Fraction]


class Held(NamedTuple):
    """One stay in the clock of X: resident from `start` (kept from before if `bridged`)."""

    start: Fraction
    ready: Fraction
    until: Fraction
    bridged: bool


class Evaluation(NamedTuple):
    """Expected planning cost per invocation and what each atom meets."""

    cost: Fraction
    stays: tuple[Held, ...]
    waits: tuple[Fraction, ...]  # per atom: T when absent, the remainder during initialisation, else 0

    def missed(self, tolerated_wait: Fraction) -> tuple[bool, ...]:
        return tuple(wait > tolerated_wait for wait in self.waits)


def exact(atoms: Sequence[tuple[object, object]]) -> tuple[tuple[Fraction, Fraction], ...]:
    """Sorted atoms in fractions; a float means its shortest decimal.  Probabilities sum to exactly one."""
    result = tuple(sorted((fraction(x), fraction(p)) for x, p in atoms))
    if sum(p for _, p in result) != 1 or any(p <= 0 for _, p in result):
        raise ValueError("probabilities must be positive and sum to 1")
    return result


def fraction(value: object) -> Fraction:
    """.1 is a tenth, as a person who writes .1 means it."""
    return Fraction(str(value)) if isinstance(value, float) else Fraction(value)


def cut(ready_set: Sequence[Interval], latency: Fraction) -> tuple[Interval, ...]:
    """Ready set within [L, inf)."""
    ready_set = [(fraction(a), fraction(b)) for a, b in ready_set]
    if any(a > b for a, b in ready_set) or any(b >= a for (_, b), (a, _) in pairwise(ready_set)):
        raise ValueError("intervals must be disjoint and in increasing order")
    return tuple((max(a, latency), b) for a, b in ready_set if b >= latency)


def bridges(atoms: Atoms, previous: Fraction, ready: Fraction, *, cold_start: Fraction) -> bool:
    """E[min(X, a) - b'; X > b'] <= T P(X > b'): staying from b' to a costs no more than initialising."""
    stay = sum(((min(x, ready) - previous) * p for x, p in atoms if x > previous), Fraction(0))
    return stay <= cold_start * sum((p for x, p in atoms if x > previous), Fraction(0))


def stay_cost(atoms: Atoms, stay: Held, *, cold_start: Fraction) -> Fraction:
    """E[min(X, b) - s; X > s] when bridged, E[max(T, min(X, b) - s); X > s] when it had to initialise."""
    floor = Fraction(0) if stay.bridged else cold_start
    return sum((max(floor, min(x, stay.until) - stay.start) * p for x, p in atoms if x > stay.start), Fraction(0))


def wait_of(x: Fraction, stays: Sequence[Held], *, cold_start: Fraction) -> Fraction:
    """What an arrival at x waits: a bridged stay is ready throughout, and at X = s nothing is there yet."""
    for stay in stays:
        if stay.bridged and stay.start <= x <= stay.until:
            return Fraction(0)
        if not stay.bridged and stay.start < x <= stay.until:
            return max(Fraction(0), stay.ready - x)
    return cold_start


def is_absent(x: Fraction, stays: Sequence[Held]) -> bool:
    return not any(stay.start <= x <= stay.until if stay.bridged else stay.start < x <= stay.until for stay in stays)


def planning_cost(
    atoms: Atoms,
    ready_set: Sequence[Interval],
    *,
    price: Fraction = Fraction(1),
    latency: Fraction,
    cold_start: Fraction,
    bridged: Sequence[bool] | None = None,
) -> Evaluation:
    """Planning cost of one prewarmed function for the ready set given (its own W_v).

    bridged: one choice per interval of the ready set within [L, inf); None applies the rule.  A choice not to
    bridge a gap shorter than T is evaluated as the formula says, though no schedule can do it.
    """
    price, latency, cold_start = fraction(price), fraction(latency), fraction(cold_start)
    if any(x < latency for x, _ in atoms):
        raise ValueError("an arrival before the latency overlaps: use levels")
    intervals = cut(ready_set, latency)
    stays: list[Held] = []
    previous = latency
    for i, (a, b) in enumerate(intervals):
        keep = bridges(atoms, previous, a, cold_start=cold_start) if bridged is None else bridged[i]
        stays.append(Held(previous if keep else a - cold_start, a, b, keep))
        previous = b
    return evaluate(atoms, stays, price=price, latency=latency, cold_start=cold_start)


def evaluate(
    atoms: Atoms, stays: Sequence[Held], *, price: Fraction, latency: Fraction, cold_start: Fraction
) -> Evaluation:
    """p times: L, each stay, and T when X finds the function absent."""
    total = latency + sum((stay_cost(atoms, stay, cold_start=cold_start) for stay in stays), Fraction(0))
    total += cold_start * sum((p for x, p in atoms if is_absent(x, stays)), Fraction(0))
    waits = tuple(wait_of(x, stays, cold_start=cold_start) for x, _ in atoms)
    return Evaluation(price * total, tuple(stays), waits)


def every_schedule(
    points: Sequence[Fraction], *, latency: Fraction, cold_start: Fraction
) -> Iterator[tuple[Held, ...]]:
    """All sets of stays with endpoints in `points`, each bridged or not, that an instance can really follow.

    Every subset of the points, every way to cut it into intervals [a, b] (first and last point of a run),
    every choice of bridging; a stay that initialises must start after the one before it has ended (at its
    very end the instance would simply be kept: a gap of at most T is bridged).
    """
    points = sorted(p for p in set(points) if p >= latency)

    def continued(previous: Fraction, first: int) -> Iterator[tuple[Held, ...]]:
        yield ()
        for i in range(first, len(points)):
            for j in range(i, len(points)):
                choices = [Held(points[i] - cold_start, points[i], points[j], False)]
                # A bridged stay is resident from `previous` whatever a is: one of them is all of them.
                choices = [stay for stay in choices if stay.start > previous]
                choices += [Held(previous, points[j], points[j], True)] if i == j else []
                for stay in choices:
                    for rest in continued(points[j], j + 1):
                        yield (stay, *rest)

    return continued(latency, 0)


def endpoints(atoms: Atoms, *, tolerated_wait: Fraction = Fraction(0)) -> tuple[Fraction, ...]:
    """Atoms, and atoms + sigma: an arrival may be served late by sigma, so readiness may come that much
    later.
    """
    return tuple(sorted({x for x, _ in atoms} | {x + tolerated_wait for x, _ in atoms}))


def contains(stays: Sequence[Held], ready_set: Sequence[Interval]) -> bool:
    """Whether the stays are ready throughout the ready set (bridged stays are ready from their start)."""
    spans: list[list[Fraction]] = []
    for stay in stays:
        ready = stay.start if stay.bridged else stay.ready
        if spans and stay.bridged and spans[-1][1] == stay.start:
            spans[-1][1] = stay.until
        else:
            spans.append([ready, stay.until])
    return all(any(lo <= a and b <= hi for lo, hi in spans) for a, b in ready_set)


class Best(NamedTuple):
    """Cheapest schedule: `value` = cost + penalty."""

    value: Fraction
    cost: Fraction
    misses: Fraction
    stays: tuple[Held, ...]
    schedules: int  # how many were tried


def cheapest(
    atoms: Atoms,
    *,
    price: Fraction = Fraction(1),
    latency: Fraction,
    cold_start: Fraction,
    miss_price: Fraction = Fraction(0),
    tolerated_wait: Fraction = Fraction(0),
    ready_set: Sequence[Interval] = (),
    points: Sequence[Fraction] | None = None,
) -> Best:
    """Minimise planning cost + miss_price * P(wait > tolerated_wait) over every schedule on `points` (atoms
    by default).

    ready_set: only schedules whose W_v contains it (within [L, inf)).
    """
    price, latency, cold_start = fraction(price), fraction(latency), fraction(cold_start)
    miss_price, sigma = fraction(miss_price), fraction(tolerated_wait)
    if any(x < latency for x, _ in atoms):
        raise ValueError("an arrival before the latency overlaps: use levels")
    points = [x for x, _ in atoms] if points is None else [fraction(x) for x in points]
    wanted = cut(ready_set, latency)
    # A stay is charged for what its own atoms meet; atoms in no stay are charged T.  Both are remembered by
    # stay.
    index = range(len(atoms))

    @cache
    def charge(stay: Held) -> tuple[Fraction, Fraction, frozenset[int]]:
        met = frozenset(i for i in index if not is_absent(atoms[i][0], (stay,)))
        late = sum(
            (atoms[i][1] for i in met if wait_of(atoms[i][0], (stay,), cold_start=cold_start) > sigma),
            Fraction(0),
        )
        return stay_cost(atoms, stay, cold_start=cold_start), late, met

    best: Best | None = None
    tried = 0
    for stays in every_schedule(points, latency=latency, cold_start=cold_start):
        if wanted and not contains(stays, wanted):
            continue
        tried += 1
        total, late, met = latency, Fraction(0), frozenset()
        for stay in stays:
            paid, missed, these = charge(stay)
            # An atom at the seam of two stays is ready in the first and is not late twice.
            total, late, met = total + paid, late + missed, met | these
        absent = sum((atoms[i][1] for i in index if i not in met), Fraction(0))
        cost = price * (total + cold_start * absent)
        misses = late + (absent if cold_start > sigma else 0)
        if best is None or cost + miss_price * misses < best.value:
            best = Best(cost + miss_price * misses, cost, misses, stays, tried)
    assert best is not None, "no schedule on these points contains the ready set"
    return best._replace(schedules=tried)


# --- the replay of a schedule ---------------------------------------------------------------------


def gap(
    wait: Fraction, x: Fraction, stays: Sequence[Held], *, latency: Fraction, cold_start: Fraction
) -> tuple[Fraction, Fraction]:
    """(seconds billed from the start of this service up to the start of the next, wait of the next).

    `wait` is how late this service began.  Stays are counted from the arrival, so a late finish eats into
    them.
    """
    finish = latency + wait
    if x < finish:
        raise ValueError("the next arrival comes before the function is free")
    billed = latency
    for stay in stays:
        if stay.until < finish:
            continue
        if stay.bridged or stay.start <= finish:
            billed += min(x, stay.until) - max(stay.start, finish)
            if x <= stay.until:
                return billed, Fraction(0)
        elif x > stay.start:
            billed += max(cold_start, min(x, stay.until) - stay.start)
            if x <= stay.until:
                return billed, max(Fraction(0), stay.ready - x)
        else:
            break
    return billed + cold_start, cold_start


def replay_cost(
    atoms: Atoms,
    stays: Sequence[Held],
    *,
    price: Fraction = Fraction(1),
    latency: Fraction,
    cold_start: Fraction,
) -> Fraction:
    """Exact long-run cost per invocation of a schedule under independent gaps, all of them >= T + L.

    The wait of one invocation and the next gap give the next wait: a finite chain whose stationary
    distribution is solved in fractions.
    """
    price, latency, cold_start = fraction(price), fraction(latency), fraction(cold_start)
    states = [cold_start]  # the first arrival of all is cold
    step: dict[tuple[Fraction, Fraction], tuple[Fraction, Fraction]] = {}
    for wait in states:
        for x, _ in atoms:
            step[wait, x] = gap(wait, x, stays, latency=latency, cold_start=cold_start)
            if step[wait, x][1] not in states:
                states.append(step[wait, x][1])
    n = len(states)
    # Rows: pi (P - I) = 0, the last replaced by sum pi = 1.
    rows = [[Fraction(-(i == j)) for j in range(n)] + [Fraction(0)] for i in range(n)]
    for j, wait in enumerate(states):
        for x, p in atoms:
            rows[states.index(step[wait, x][1])][j] += p
    rows[-1] = [Fraction(1)] * (n + 1)
    for column in range(n):
        pivot = next(r for r in range(column, n) if rows[r][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for r in range(n):
            if r != column and rows[r][column] != 0:
                rows[r] = [a - rows[r][column] * b for a, b in zip(rows[r], rows[column], strict=True)]
    share = [row[-1] for row in rows]
    return price * sum(share[i] * p * step[wait, x][0] for i, wait in enumerate(states) for x, p in atoms)


def schedule(
    stays: Sequence[Held],
    *,
    latency: Fraction,
    cold_start: Fraction,
    earliest_start: Fraction = Fraction(0),
    announced: bool = False,
) -> tuple[Held, ...]:
    """Stays in seconds after the arrival, S_v = earliest_start; a bridged one is ready from its start.

    Not announced: everything shifts by S_v.  Announced: bridged stays merge, a stay runs from a_first + S_v -
    T to b_last and is dropped when that start is after b_last; one kept from the service starts when it ends,
    S_v + L (its until, b_last, may come before that: it then idles not at all unless the next arrival has
    come by b_last).
    """
    s, latency, cold_start = fraction(earliest_start), fraction(latency), fraction(cold_start)
    if not announced:
        return tuple(Held(h.start + s, (h.start if h.bridged else h.ready) + s, h.until + s, h.bridged) for h in stays)
    merged: list[Held] = []
    for held in stays:
        if merged and held.bridged:
            merged[-1] = merged[-1]._replace(until=held.until)
        else:
            merged.append(held)
    return tuple(
        Held(s + latency, s + latency, h.until, True) if h.bridged else Held(h.start + s, h.ready + s, h.until, False)
        for h in merged
        if h.bridged or h.start + s <= h.until
    )


# --- a whole application --------------------------------------------------------------------------


class Mode(NamedTuple):
    """What a function runs on, when it is there, and the stays of its W_v.

    One that is not `prewarmed` and stays all the same is not relied on: work behind it is expected after a cold start.
    """

    latency: Fraction
    cold_start: Fraction
    readiness: str
    stays: tuple[Held, ...] = ()
    price: Fraction = Fraction(1)


def topological(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    order: list[int] = []
    while len(order) < n:
        order.append(next(v for v in range(n) if v not in order and all(u in order for u, w in edges if w == v)))
    return order


def earliest_starts(modes: Sequence[Mode], edges: Sequence[tuple[int, int]] = ()) -> list[Fraction]:
    """S_v: when work reaches v after the arrival if every prewarmed function is ready."""
    starts: dict[int, Fraction] = {}
    ends: dict[int, Fraction] = {}
    for v in topological(len(modes), edges):
        mode = modes[v]
        starts[v] = max((ends[u] for u, w in edges if w == v), default=Fraction(0))
        begin = {
            "prewarmed": starts[v],
            "on_arrival": max(starts[v], mode.cold_start),
            "on_request": starts[v] + mode.cold_start,
        }[mode.readiness]
        ends[v] = begin + mode.latency
    return [starts[v] for v in range(len(modes))]


def response(
    x: Fraction, modes: Sequence[Mode], edges: Sequence[tuple[int, int]] = (), *, announced: bool = False
) -> Fraction:
    """End-to-end response of an arrival x after the one before, which was served on time: longest path with
    waits.
    """
    on_time = earliest_starts(modes, edges)
    ends: dict[int, Fraction] = {}
    for v in topological(len(modes), edges):
        mode = modes[v]
        comes = max((ends[u] for u, w in edges if w == v), default=Fraction(0))
        fallback = max(comes, mode.cold_start) if announced else comes + mode.cold_start
        if mode.readiness == "on_request" and not mode.stays:
            begin = comes + mode.cold_start
        elif mode.readiness == "on_arrival" and not mode.stays:
            begin = max(comes, mode.cold_start)
        else:
            begin = fallback
            # What is there is seen at the arrival when that is announced (and then held), else when work
            # comes.
            seen = x if announced else x + comes
            for stay in schedule(
                mode.stays,
                latency=mode.latency,
                cold_start=mode.cold_start,
                earliest_start=on_time[v],
                announced=announced,
            ):
                # Announced, a kept instance may still be at work for the arrival before: it is held all the
                # same.
                begun = stay.start < seen or (stay.bridged and (announced or stay.start == seen))
                if begun and seen <= stay.until:
                    begin = max(comes, stay.ready - x)
        ends[v] = begin + mode.latency
    return max(ends.values())


def attainment(
    atoms: Atoms,
    modes: Sequence[Mode],
    edges: Sequence[tuple[int, int]] = (),
    *,
    sla: Fraction,
    announced: bool = False,
) -> Fraction:
    """P(response <= sla) with all waits."""
    sla = fraction(sla)
    return sum((p for x, p in atoms if response(x, modes, edges, announced=announced) <= sla), Fraction(0))


def mode_cost(atoms: Atoms, mode: Mode) -> Fraction:
    """Planning cost of one mode."""
    if mode.readiness != "prewarmed" and not mode.stays:
        return mode.price * (mode.cold_start + mode.latency)
    return evaluate(atoms, mode.stays, price=mode.price, latency=mode.latency, cold_start=mode.cold_start).cost


def pieces(
    cells: Sequence[tuple[Fraction, Fraction, Fraction]],
    stays: Sequence[Held],
    *,
    tolerated_wait: Fraction = Fraction(0),
) -> list[tuple[Fraction, Fraction]]:
    """Atoms to which these stays do what they do to cells (left, right, probability) of even density.

    Between the times at which something about the stays changes, what an arrival costs and how long it waits are
    straight lines: all of a piece may as well come in its middle.
    """
    at = {t for s in stays for t in (s.start, s.ready, s.until, s.ready - tolerated_wait)}
    atoms = []
    for left, right, probability in cells:
        ends = [left, *sorted(t for t in at if left < t < right), right]
        for a, b in pairwise(ends):
            atoms.append(((a + b) / 2, probability * (b - a) / (right - left)))
    return atoms


# --- levels ---------------------------------------------------------------------------------------


def levels(gaps: Sequence[Fraction], latency: Fraction) -> list[list[Fraction]]:
    """Per level, the gaps before the arrivals that it serves: the lowest instance that is free serves.

    The gaps repeat, and the arrival after the last one is the first of the next round, which begins with every
    instance free; the gap before the first arrival at a level is what the round has left after its last one.
    """
    at, served = Fraction(0), []  # per level, when it was reached
    for gap in gaps:
        lowest = next((k for k, times in enumerate(served) if times[-1] + latency <= at), len(served))
        if lowest == len(served):
            served.append([])
        served[lowest].append(at)
        at += gap
    return [[max(at - times[-1] + times[0], latency), *(b - a for a, b in pairwise(times))] for times in served]


# --- the best plan of all -------------------------------------------------------------------------


class Configuration(NamedTuple):
    """Dollars per second of an instance, seconds."""

    price: Fraction
    latency: Fraction
    cold_start: Fraction


class Answer(NamedTuple):
    cost: Fraction
    modes: tuple[Mode, ...]


def every_mode(
    atoms: Atoms,
    configurations: Sequence[Configuration],
    *,
    announced: bool,
    first: bool,
    ready_set: Sequence[Interval] | None = None,
    later: Sequence[Fraction] = (),
) -> list[tuple[Fraction, Mode]]:
    """(planning cost, mode) of one function, cheapest first; `first`: it waits for no other function.

    Prewarmed with every schedule that has its ends at the atoms, and `later` than these; or, where there is a
    ready set, with the cheapest one that contains it.
    """
    found = []
    xs = [x for x, _ in atoms]
    points = sorted({*xs, *(x + much for x in xs for much in later)})
    for price, latency, cold_start in configurations:
        if ready_set is None:
            schedules = list(every_schedule(points, latency=latency, cold_start=cold_start))
        else:
            schedules = [cheapest(atoms, latency=latency, cold_start=cold_start, ready_set=ready_set).stays]
        modes = [Mode(latency, cold_start, "prewarmed", stays, price) for stays in schedules]
        modes.append(Mode(latency, cold_start, "on_request", (), price))
        if announced and not first:
            modes.append(Mode(latency, cold_start, "on_arrival", (), price))
        for mode in modes:
            # A prewarmed mode that never stays is evaluated as any other: it pays T whenever it is absent.
            cost = evaluate(atoms, mode.stays, price=price, latency=latency, cold_start=cold_start).cost
            found.append((cost, mode))
    return sorted(found, key=lambda pair: pair[0])


def cheapest_plan(
    atoms: Atoms,
    functions: Sequence[Sequence[tuple[Fraction, Mode]]],
    edges: Sequence[tuple[int, int]],
    *,
    sla: Fraction,
    target: Fraction,
    announced: bool,
    below: Fraction,
) -> Answer | None:
    """The cheapest of all combinations of these modes that reaches the target, if it costs less than `below`."""

    def combinations(v: int, spent: Fraction) -> Iterator[tuple[Fraction, tuple[Mode, ...]]]:
        if v == len(functions):
            yield spent, ()
            return
        for cost, mode in functions[v]:
            if spent + cost >= below:
                return
            for total, rest in combinations(v + 1, spent + cost):
                yield total, (mode, *rest)

    for cost, modes in sorted(combinations(0, Fraction(0)), key=lambda pair: pair[0]):
        if attainment(atoms, modes, edges, sla=sla, announced=announced) >= target:
            return Answer(cost, modes)
    return None


def cheapest_plan_with_one_ready_set(
    atoms: Atoms,
    functions: Sequence[Sequence[Configuration]],
    edges: Sequence[tuple[int, int]],
    *,
    sla: Fraction,
    target: Fraction,
    announced: bool,
) -> Answer | None:
    """The cheapest plan whose prewarmed functions are all ready in one set of atoms, whichever it is."""
    best: Answer | None = None
    xs = [x for x, _ in atoms]
    for chosen in range(2 ** len(xs)):
        ready_set = [(x, x) for i, x in enumerate(xs) if chosen >> i & 1]
        modes = [
            every_mode(
                atoms,
                configurations,
                announced=announced,
                first=all(w != v for _, w in edges),
                ready_set=ready_set,
            )
            for v, configurations in enumerate(functions)
        ]
        below = sum((each[-1][0] for each in modes), Fraction(1)) if best is None else best.cost
        found = cheapest_plan(atoms, modes, edges, sla=sla, target=target, announced=announced, below=below)
        best = found or best
    return best
