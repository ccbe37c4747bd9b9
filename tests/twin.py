"""The slow twin: one application replayed event by event in whole nanoseconds.

It shares no code with the product and knows nothing of planning: it is handed per-function plans, arrival
times, and the rules of an instance's life.  Times are integers, costs are fractions, so two runs differ or
they do not.

At one instant events happen in this order: finish, ready, arrival, assign, start of a scheduled
initialisation, let go; ties by function and then by invocation or level.  A start comes after the assignments
because an arrival at that very instant finds the instance absent (the planning cost says X > s, strictly).

Levels.  Every instance of a function lives in a level, 1 upwards.  A request takes the idle instance of the
lowest level, else the initialising instance that nobody waits for and is ready first, else it starts a new
instance in the lowest free level.  After a service the instance follows the schedule of its level; a level
without one, an `on_request` and an `on_arrival` instance end at their finish.  A stay whose start equals its
ready time is kept from what came before it (with a cold start of zero the two cannot be told apart and it is
started afresh).

Late finishes.  A stay that is over by the time of the finish is skipped; one that has begun is simply kept.

Announced arrivals.  When the invocation arrives every function that is not on_request promises it an
instance: an idle one, else one that is initialising, or that still works and whose level keeps it and this
arrival lies within that stay, else a new one that begins at max(arrival, work comes - T).  When the work
comes is computed at the arrival from what is absent then.  Only the invocation it is promised to uses an
instance.

End of the trace.  The horizon is the last finish unless given: schedules are billed up to it and cut there.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

BILLION = 10**9
FINISH, READY, ARRIVAL, ASSIGN, START, LET_GO = range(6)
PROMISED = -1  # version of a start that nothing cancels


def nanoseconds(seconds: float | Fraction) -> int:
    """Nearest whole nanosecond; the tests give values that are whole."""
    return round(Fraction(seconds) * BILLION)


class Stay(NamedTuple):
    """Seconds after the arrival that this level's instance last served."""

    start: float | Fraction
    ready: float | Fraction
    until: float | Fraction


class FunctionPlan(NamedTuple):
    """What one function does: price in $/s, seconds, and for `prewarmed` one schedule per level."""

    price: float | Fraction
    latency: float | Fraction
    cold_start: float | Fraction
    readiness: str
    schedules: tuple[tuple[Stay, ...], ...] = ()


class Replay(NamedTuple):
    """What happened; per-function tuples are in the order of the plans, responses in that of the arrivals."""

    total_cost: Fraction
    init_cost: Fraction
    busy_cost: Fraction
    idle_cost: Fraction
    costs: tuple[Fraction, ...]  # per function
    responses: tuple[int, ...]  # nanoseconds
    attainment: Fraction | None
    cold_starts: tuple[int, ...]  # initialisations begun, scheduled ones included
    waited: tuple[int, ...]  # requests that did not start at once
    met_busy: tuple[int, ...]  # requests that found at least one instance of their function serving
    replicas: tuple[int, ...]  # levels ever used
    horizon: int

    @property
    def cost(self) -> Fraction:
        """Dollars per invocation."""
        return self.total_cost / len(self.responses)


class Level:
    """One place for an instance; `state` is absent, initialising, idle or busy."""

    def __init__(self) -> None:
        self.state = "absent"
        self.since = 0  # when the present state began
        self.born = 0
        self.ready_at = 0
        self.promises: deque[tuple[int, bool]] = deque()  # (invocation, keep the instance for it)
        self.here: set[int] = set()  # promised requests that have come
        self.last = 0  # arrival of the invocation promised last
        self.base = 0  # zero of the schedule's clock
        self.free_at = 0  # planned finish of the last promise
        self.version = 0  # stale starts and let-gos carry an older one


class _Function:
    def __init__(self, plan: FunctionPlan) -> None:
        self.price = Fraction(plan.price)
        self.latency, self.cold_start = nanoseconds(plan.latency), nanoseconds(plan.cold_start)
        self.readiness = plan.readiness
        if plan.readiness not in ("prewarmed", "on_arrival", "on_request"):
            raise ValueError(f"readiness: {plan.readiness!r}")
        if plan.schedules and plan.readiness != "prewarmed":
            raise ValueError("only a prewarmed function has schedules")
        self.schedules = [
            [tuple(math.inf if math.isinf(x) else nanoseconds(x) for x in stay) for stay in schedule]
            for schedule in plan.schedules
        ]
        self.levels: list[Level] = []
        self.spent = {"initialising": 0, "busy": 0, "idle": 0}
        self.lifetime = self.cold_starts = self.waited = self.met_busy = 0

    def schedule(self, level: int) -> list:
        return self.schedules[level] if level < len(self.schedules) else []

    def kept(self, stay: tuple) -> bool:
        return self.cold_start > 0 and stay[0] == stay[1]

    def become(self, level: Level, state: str, now: int) -> None:
        """Close the books on the state that ends and open the next."""
        if level.state == "absent":
            level.born = now
        else:
            self.spent[level.state] += now - level.since
        if state == "absent":
            self.lifetime += now - level.born
        level.state, level.since = state, now


class _Run:
    def __init__(self, arrivals, plans, edges, *, announced, clock, warm, horizon):
        self.arrivals = [int(t) for t in arrivals]
        if not self.arrivals or any(a > b for a, b in pairwise(self.arrivals)):
            raise ValueError("arrivals must be sorted and not empty")
        self.functions = [_Function(plan) for plan in plans]
        self.announced, self.clock, self.horizon = announced, clock, horizon
        if clock not in ("arrival", "latest", "service"):
            raise ValueError(f"clock: {clock!r}")
        if not announced and any(f.readiness == "on_arrival" for f in self.functions):
            raise ValueError("on_arrival needs announced arrivals")
        n = len(plans)
        self.before = [[u for u, w in edges if w == v] for v in range(n)]
        self.after = [[w for u, w in edges if u == v] for v in range(n)]
        self.order: list[int] = []
        while len(self.order) < n:
            placed = set(self.order)
            ready = [v for v in range(n) if v not in placed and placed.issuperset(self.before[v])]
            if not ready:
                raise ValueError("the edges have a cycle")
            self.order.append(ready[0])
        self.on_time = self._on_time_starts()
        self.events: list[tuple] = []
        self.finished: list[dict[int, int]] = [{} for _ in self.arrivals]  # invocation -> function -> finish
        self.promised: dict[tuple[int, int], tuple[int, int]] = {}  # -> (level, planned finish)
        for f, count in zip(self.functions, warm or [0] * n, strict=True):
            for _ in range(count):
                f.levels.append(Level())
                f.become(f.levels[-1], "idle", self.arrivals[0])

    def _on_time_starts(self) -> list[int]:
        """When work reaches each function, after the arrival, if every prewarmed one is ready."""
        starts, ends = [0] * len(self.functions), [0] * len(self.functions)
        for v in self.order:
            f = self.functions[v]
            starts[v] = max((ends[u] for u in self.before[v]), default=0)
            wait = {"prewarmed": 0, "on_request": f.cold_start}.get(f.readiness)
            begin = max(starts[v], f.cold_start) if wait is None else starts[v] + wait
            ends[v] = begin + f.latency
        return starts

    def push(self, when: int, phase: int, v: int, key: int, *rest: int) -> None:
        heapq.heappush(self.events, (when, phase, v, key, *rest))

    # --- the life of an instance ---------------------------------------------------------------------------

    def initialise(self, v: int, k: int, now: int) -> None:
        f = self.functions[v]
        level = f.levels[k]
        assert level.state == "absent"
        f.become(level, "initialising", now)
        f.cold_starts += 1
        level.version += 1
        level.ready_at = now + f.cold_start
        self.push(level.ready_at, READY, v, k)

    def serve(self, v: int, k: int, now: int) -> None:
        f = self.functions[v]
        level = f.levels[k]
        invocation, _ = level.promises.popleft()
        level.here.discard(invocation)
        f.become(level, "busy", now)
        level.version += 1
        own = self.arrivals[invocation]
        on_time = now - self.on_time[v]
        if self.clock == "arrival" or on_time <= own:
            level.base = own
        elif self.clock == "service":
            level.base = on_time
        else:
            level.base = max(own, self.arrivals[bisect_right(self.arrivals, on_time) - 1])
        if self.announced:
            planned = self.promised.pop((invocation, v), (k, now + f.latency))[1]
            assert planned == now + f.latency, "an announced service must happen when it was planned"
        self.push(now + f.latency, FINISH, v, k, invocation)

    def follow(self, v: int, k: int, now: int, stay: int = 0) -> None:
        """After a service or a let go: keep the instance for the next stay, or end it and plan a start."""
        f = self.functions[v]
        level = f.levels[k]
        schedule = f.schedule(k)
        while stay < len(schedule) and level.base + schedule[stay][2] < now:
            stay += 1
        if stay == len(schedule):
            f.become(level, "absent", now)
            return
        begin, _, until = schedule[stay]
        level.version += 1
        if f.kept(schedule[stay]) or level.base + begin <= now:
            self.let_go_at(v, k, level.base + until, stay)
        else:
            f.become(level, "absent", now)
            self.push(level.base + begin, START, v, k, level.version, stay)

    def let_go_at(self, v: int, k: int, when: float, stay: int) -> None:
        if when < math.inf:
            self.push(when, LET_GO, v, k, self.functions[v].levels[k].version, stay)

    # --- events ---------------------------------------------------------------------------------------------

    def on_finish(self, v: int, k: int, invocation: int, now: int) -> None:
        f = self.functions[v]
        level = f.levels[k]
        f.become(level, "idle", now)
        if level.promises:
            if not level.promises[0][1]:
                f.become(level, "absent", now)
            elif level.promises[0][0] in level.here:
                self.serve(v, k, now)
        elif f.readiness == "prewarmed":
            self.follow(v, k, now)
        else:
            f.become(level, "absent", now)
        done = self.finished[invocation]
        done[v] = now
        for w in self.after[v]:
            if all(u in done for u in self.before[w]):
                self.push(now, ASSIGN, w, invocation)

    def on_ready(self, v: int, k: int, now: int) -> None:
        f = self.functions[v]
        level = f.levels[k]
        f.become(level, "idle", now)
        if level.promises and level.promises[0][0] in level.here:
            self.serve(v, k, now)

    def on_start(self, v: int, k: int, version: int, stay: int, now: int) -> None:
        if version == PROMISED:
            self.initialise(v, k, now)
            return
        level = self.functions[v].levels[k]
        until = level.base + self.functions[v].schedule(k)[stay][2]
        if version == level.version and until > now:
            self.initialise(v, k, now)
            self.let_go_at(v, k, until, stay)

    def on_let_go(self, v: int, k: int, version: int, stay: int, now: int) -> None:
        level = self.functions[v].levels[k]
        if level.promises or level.state == "busy" or version != level.version:
            return
        initialising = level.state == "initialising"
        self.follow(v, k, now, stay + 1)
        assert not (initialising and level.state != "absent"), "a stay ends before it is ready and is then kept"

    def lowest_absent(self, f: _Function) -> int:
        for k, level in enumerate(f.levels):
            if level.state == "absent" and not level.promises:
                return k
        f.levels.append(Level())
        return len(f.levels) - 1

    def on_assign(self, v: int, invocation: int, now: int) -> None:
        f = self.functions[v]
        f.met_busy += any(level.state == "busy" for level in f.levels)
        if (invocation, v) in self.promised:
            k, planned = self.promised[invocation, v]
            f.waited += planned > now + f.latency
            level = f.levels[k]
        else:
            k = self.choose(f, now)
            level = f.levels[k]
            level.promises.append((invocation, True))
            f.waited += level.state != "idle" and f.cold_start > 0
            if level.state == "absent":
                self.initialise(v, k, now)
        level.here.add(invocation)
        if level.state == "idle" and level.promises[0][0] == invocation:
            self.serve(v, k, now)

    def choose(self, f: _Function, now: int) -> int:
        """Level that serves a request that comes now, nothing having been announced."""
        if f.readiness == "prewarmed":
            free = [k for k, level in enumerate(f.levels) if not level.promises]
            for k in free:
                if f.levels[k].state == "idle":
                    return k
            soon = [(f.levels[k].ready_at, k) for k in free if f.levels[k].state == "initialising"]
            if soon and min(soon)[0] <= now + f.cold_start:
                return min(soon)[1]
        return self.lowest_absent(f)

    def announce(self, invocation: int, now: int) -> None:
        ends: dict[int, int] = {}
        for v in self.order:
            f = self.functions[v]
            comes = max((ends[u] for u in self.before[v]), default=now)
            if f.readiness == "on_request":
                ends[v] = comes + f.cold_start + f.latency
                continue
            begin = max(now, comes - f.cold_start)
            available = begin + f.cold_start
            k, early = self.promise(f, now, max(comes, available))
            keep = k is not None
            if k is None:
                k = next((k for k, level in enumerate(f.levels) if self.can_begin(level, begin)), len(f.levels))
                if k == len(f.levels):
                    f.levels.append(Level())
                self.push(begin, START, v, k, PROMISED, 0)
            else:
                available = early
            level = f.levels[k]
            level.version += 1  # no let go, no scheduled start
            level.promises.append((invocation, keep))
            level.last = now
            level.free_at = ends[v] = max(comes, available) + f.latency
            self.promised[invocation, v] = (k, ends[v])

    @staticmethod
    def can_begin(level: Level, begin: int) -> bool:
        if level.promises or level.state == "busy":
            return level.free_at <= begin
        return level.state == "absent"

    def promise(self, f: _Function, now: int, fresh: int) -> tuple[int | None, int]:
        """(level, when it is available) of an instance there is or will be that beats a new one."""
        soon: list[tuple[int, int]] = []
        for k, level in enumerate(f.levels if f.readiness == "prewarmed" else ()):
            if not level.promises and level.state == "idle":
                return k, now
            if not level.promises and level.state == "initialising":
                soon.append((level.ready_at, k))
            elif level.promises or level.state == "busy":
                schedule = f.schedule(k)
                if schedule and f.kept(schedule[0]) and now <= level.last + schedule[0][2]:
                    soon.append((level.free_at, k))
        available, k = min(soon, default=(fresh + 1, -1))
        return (k, available) if available <= fresh else (None, -1)

    def run(self) -> int:
        n, done, last = len(self.functions), 0, 0
        for j, t in enumerate(self.arrivals):
            self.push(t, ARRIVAL, 0, j)
        sources = [v for v in range(n) if not self.before[v]]
        while self.events:
            if done == len(self.arrivals) and (self.horizon is None or self.events[0][0] > self.horizon):
                break
            now, phase, v, key, *rest = heapq.heappop(self.events)
            if phase == ARRIVAL:
                if self.announced:
                    self.announce(key, now)
                for source in sources:
                    self.push(now, ASSIGN, source, key)
            elif phase == ASSIGN:
                self.on_assign(v, key, now)
            elif phase == FINISH:
                self.on_finish(v, key, rest[0], now)
                if len(self.finished[rest[0]]) == n:
                    done, last = done + 1, now
            elif phase == READY:
                level = self.functions[v].levels[key]
                if level.state == "initialising" and level.ready_at == now:  # else it was let go before
                    self.on_ready(v, key, now)
            elif phase == START:
                self.on_start(v, key, rest[0], rest[1], now)
            else:
                self.on_let_go(v, key, rest[0], rest[1], now)
        if self.horizon is not None and self.horizon < last:
            raise ValueError("the horizon is before the last finish")
        return last if self.horizon is None else self.horizon


def replay(
    arrivals: Sequence[int],
    plans: Sequence[FunctionPlan],
    *,
    edges: Sequence[tuple[int, int]] = (),
    sla: float | Fraction | None = None,
    announced: bool = False,
    clock: str = "arrival",
    warm: Sequence[int] | None = None,
    horizon: int | None = None,
) -> Replay:
    """Replay `arrivals` (sorted integer nanoseconds) of one application.

    clock: zero of a schedule after a service that began late.  "arrival": the arrival served, always.
    "latest": the latest arrival of the application that could have been served on time at that moment.
    "service": the schedule shifts by the lateness.  The three agree where nothing is late; the first two
    wherever no arrival comes before the late service begins.
    warm: number of levels per function that are there, idle, from the first arrival until they first serve.
    """
    run = _Run(arrivals, plans, edges, announced=announced, clock=clock, warm=warm, horizon=horizon)
    horizon = run.run()
    for f in run.functions:
        for level in f.levels:
            if level.state != "absent":
                f.become(level, "absent", horizon)
        assert f.lifetime == sum(f.spent.values()), "billed = init + busy + idle"
        assert f.spent["busy"] == f.latency * len(run.arrivals), "every request is served once"
    split = [
        sum((f.price * f.spent[state] for f in run.functions), Fraction(0)) / BILLION
        for state in ("initialising", "busy", "idle")
    ]
    responses = tuple(max(done.values()) - t for t, done in zip(run.arrivals, run.finished, strict=True))
    bound = None if sla is None else nanoseconds(sla)
    return Replay(
        total_cost=sum(split, Fraction(0)),
        init_cost=split[0],
        busy_cost=split[1],
        idle_cost=split[2],
        costs=tuple(f.price * f.lifetime / BILLION for f in run.functions),
        responses=responses,
        attainment=None if bound is None else Fraction(sum(r <= bound for r in responses), len(responses)),
        cold_starts=tuple(f.cold_starts for f in run.functions),
        waited=tuple(f.waited for f in run.functions),
        met_busy=tuple(f.met_busy for f in run.functions),
        replicas=tuple(len(f.levels) for f in run.functions),
        horizon=horizon,
    )


def times(gaps: Sequence[float | Fraction]) -> list[int]:
    """Arrival times in nanoseconds: 0, then one after each gap (seconds)."""
    now = [0]
    for gap in gaps:
        now.append(now[-1] + nanoseconds(gap))
    return now


def long_run_cost(
    gaps: Sequence[float | Fraction], plans: Sequence[FunctionPlan], *, cycles: int = 3, **options: object
) -> Fraction:
    """Exact cost per invocation of repeating `gaps` for ever, once `cycles` repeats have settled it.

    Two replays that end alike differ by one cycle: beginnings and ends cancel.
    """
    totals = [replay(times(list(gaps) * c), plans, **options).total_cost for c in (cycles, cycles + 1)]
    return (totals[1] - totals[0]) / len(gaps)
