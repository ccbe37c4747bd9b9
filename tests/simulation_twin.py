"""The slow twin of the simulation engine: one queue of events for all functions, in whole nanoseconds.

It shares no code with the product, its random numbers included.  A caller decides what functions do, advances
the clock, looks at what has happened, and decides again.

At one instant events happen in this order: finish, ready, placing anew who waits in line (after a decision),
arrival, assign, scheduled start, what is missing at the floor, starts at given times, announced starts, let go;
ties by function and then by invocation or level.  A decision comes before all events of its instant.

Requests.  A request takes the idle instance of the lowest level, one of the current configuration before a
usable older one; else it joins the instance that is planned to be ready first, be it one that initializes and
has room in its batch or a new one; else it waits in line.  An older configuration is usable if a single
request takes no longer on it than `granted`.

An instance keeps the price, the latencies, the batch and the planned cold start it was started with.  What
becomes of it when it is free is up to the decision of that moment: a stay of its level's schedule keeps it, or
the floor does (not an older one), or it ends.  One that is not usable ends at the decision, or serves to the end
those that it has.

Levels remember the zero of their schedule's clock when their instance ends, so scheduled starts follow it.

Announced applications.  A function that is not on_request learns of an invocation so early that an instance can
be ready when the work comes if nothing is late, and starts what is missing for all that is to come.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import NamedTuple

FINISH, READY, ANEW, ARRIVAL, ASSIGN, START, FLOOR, STARTS, ANNOUNCE, LET_GO = range(10)
FOREVER = math.inf
SERVICE, COLD_START = range(2)  # kinds of random numbers

# --- random numbers ---------------------------------------------------------------------------------------


def mix(word: int) -> int:
    """The output function of splitmix64 (Steele, Lea and Flood, 2014), one step after `word`."""
    z = (word + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def uniform(seed: int, function: int, kind: int, index: int) -> float:
    """A number strictly between 0 and 1 that depends on nothing but the four."""
    word = mix(seed)
    for part in (function, kind, index):
        word = mix(word ^ part)
    return ((word >> 11) + 0.5) / 2**53


_STANDARD = NormalDist()  # whose quantiles are those of AS 241, too


def rounded(x: float) -> int:
    return math.floor(x + 0.5)


# --- what is decided, and what is seen ----------------------------------------------------------------------


class Stay(NamedTuple):
    """Nanoseconds after the arrival that this level's instance last served; `until` may be FOREVER."""

    start: int
    ready: int
    until: float


class Start(NamedTuple):
    """At `at` start what is missing of `count` instances, to stay `until`: absolute nanoseconds."""

    at: int
    until: float
    count: int


class Application(NamedTuple):
    functions: int
    edges: Sequence[tuple[int, int]]
    arrivals: Sequence[int]
    announced: bool = False


class Decision(NamedTuple):
    """What a function does from now on; `latency` has one entry per number of requests served together."""

    configuration: int
    price: float
    latency: tuple[int, ...]
    cold_start: int
    readiness: str = "on_request"
    schedules: tuple[tuple[Stay, ...], ...] = ()  # one per level
    repeat: bool = False
    from_finish: bool = False  # what schedules count from: the end of a service, or its arrival
    max_replicas: int | None = None
    replicas: int = 0
    granted: int | None = None
    starts: tuple[Start, ...] = ()
    latency_spread: float = 0.0
    cold_mean: float | None = None
    cold_std: float = 0.0


class Request(NamedTuple):
    """What one invocation met at one function; `instance` counts the function's initializations from 0."""

    function: int
    invocation: int
    comes: int
    begins: int
    finishes: int
    instance: int
    batch: int
    cold: bool


class Life(NamedTuple):
    """One instance; `ready` is when it was, or would have been."""

    function: int
    instance: int
    configuration: int
    level: int
    start: int
    ready: int
    end: int


class Observation(NamedTuple):
    """One function now; `concurrency` are request-nanoseconds since the function was last observed."""

    initializing: int
    idle: int
    busy: int
    queue: int
    under_way: int  # requests that have come and not finished
    requests: int
    concurrency: int
    cold_starts: int
    billed: dict[int, tuple[int, int, int]]  # configuration -> ns initializing, busy, idle


# --- inside ----------------------------------------------------------------------------------------------


class _Instance:
    """`state` is initializing, idle or busy; `own` is the decision it was started under."""

    def __init__(self, own: Decision, serial: int, now: int) -> None:
        self.own, self.serial = own, serial
        self.state = "initializing"
        self.born = self.since = now
        self.planned_ready = now + own.cold_start
        self.ready = -1  # known to the instance alone
        self.requests: list[int] = []  # that wait for it to be ready, then those that it serves
        self.hold: float = -1  # a start of `starts` holds it until then, unless it has served


class _Level:
    def __init__(self) -> None:
        self.instance: _Instance | None = None
        self.served: int | None = None  # the arrival, and when its service ended: zeros of a schedule's clock
        self.finished: int | None = None
        self.version = 0  # what starts and let-gos planned earlier no longer carry


class _Function:
    def __init__(self, application: int) -> None:
        self.application = application
        self.decision: Decision
        self.decided = 0  # how often
        self.decided_at: int | None = None
        self.levels: list[_Level] = []
        self.queue: deque[int] = deque()
        self.spent: dict[tuple[int, str], int] = defaultdict(int)
        self.requests = self.cold_starts = 0
        self.announced = self.announcements = 0  # invocations it has learned of; times that was planned
        self.comes: dict[int, int] = {}  # requests that have come and not finished
        self.concurrency = self.counted_to = 0

    def schedule(self, level: int) -> tuple[Stay, ...]:
        schedules = self.decision.schedules
        if self.decision.readiness != "prewarmed" or not schedules or self.base(level) is None:
            return ()
        if level < len(schedules):
            return schedules[level]
        return schedules[-1] if self.decision.repeat else ()

    def base(self, level: int) -> int | None:
        """The zero of the clock of a level's schedule."""
        what = self.levels[level]
        return what.finished if self.decision.from_finish else what.served

    def kept(self, stay: Stay) -> bool:
        """Whether what is there before is kept for the stay, which therefore starts nothing."""
        return self.decision.cold_start > 0 and stay.start == stay.ready

    def there(self) -> list[tuple[int, _Instance]]:
        return [(k, level.instance) for k, level in enumerate(self.levels) if level.instance]

    def current(self, instance: _Instance) -> bool:
        return instance.own.configuration == self.decision.configuration

    def usable(self, instance: _Instance) -> bool:
        granted = self.decision.latency[0] if self.decision.granted is None else self.decision.granted
        return self.current(instance) or instance.own.latency[0] <= granted

    def count_current(self) -> int:
        return sum(self.current(instance) for _, instance in self.there())

    def room(self) -> bool:
        return self.decision.max_replicas is None or len(self.there()) < self.decision.max_replicas

    def waiting(self) -> int:
        """Instances that serve nobody and that nobody has joined."""
        return sum(i.state == "idle" or (i.state == "initializing" and not i.requests) for _, i in self.there())

    def lowest_absent(self) -> int:
        for k, level in enumerate(self.levels):
            if level.instance is None:
                return k
        self.levels.append(_Level())
        return len(self.levels) - 1

    def count(self, now: int) -> None:
        self.concurrency += len(self.comes) * (now - self.counted_to)
        self.counted_to = now


class Twin:
    """Some applications from `start` on, the first arrival unless given.

    Functions are numbered through all applications in order; the edges of one count from its first function.
    """

    def __init__(self, applications: Sequence[Application], *, seed: int = 0, start: int | None = None):
        self.seed = seed
        self.now = min((a.arrivals[0] for a in applications if a.arrivals), default=0) if start is None else start
        self.arrivals: list[list[int]] = []
        self.functions: list[_Function] = []
        self.members: list[range] = []  # functions of an application
        self.before: list[list[int]] = []
        self.after: list[list[int]] = []
        self.finished: list[list[dict[int, int]]] = []  # application -> invocation -> function -> finish
        self.records: list[Request] = []
        self.lives: list[Life] = []
        self.events: list[tuple] = []
        self.unserved = 0  # requests, of all functions
        self.arrived = [0] * len(applications)
        self.announced = [a.announced for a in applications]
        for a, (size, edges, arrivals, _) in enumerate(applications):
            if any(x > y for x, y in pairwise(arrivals)) or (arrivals and arrivals[0] < self.now):
                raise ValueError("arrivals must be sorted and not before the start")
            first = len(self.functions)
            self.members.append(range(first, first + size))
            self.functions += [_Function(a) for _ in range(size)]
            self.before += [[first + u for u, w in edges if w == v] for v in range(size)]
            self.after += [[first + w for u, w in edges if u == v] for v in range(size)]
            self.arrivals.append([int(t) for t in arrivals])
            self.finished.append([{} for _ in arrivals])
            self.unserved += size * len(arrivals)
            for j, t in enumerate(self.arrivals[-1]):
                self.push(t, ARRIVAL, a, j)

    def push(self, when: float, phase: int, v: int, *key: int) -> None:
        if when < FOREVER:
            heapq.heappush(self.events, (when, phase, v, *key))

    # --- what a caller does ---------------------------------------------------------------------------------

    def decide(self, v: int, decision: Decision) -> None:
        """Replace what function `v` does, before all that happens at this instant."""
        f, now = self.functions[v], self.now
        f.decision = decision
        f.decided += 1
        for k, instance in f.there():
            if instance.state == "busy" or (instance.state == "initializing" and instance.requests):
                continue
            if not f.usable(instance):
                self.end(v, k, now)
            elif instance.hold >= now:
                self.let_go_at(v, k, instance.hold, -1)
            elif (stay := self.covering(v, k, now, 0)) is None:
                self.let_go_at(v, k, now, -1)
            else:
                self.let_go_at(v, k, f.base(k) + f.schedule(k)[stay].until, stay)
        for k, level in enumerate(f.levels):
            if level.instance is None:
                self.plan_again(v, k, now)
        for i, start in enumerate(decision.starts):
            self.push(max(start.at, now), STARTS, v, i, f.decided)
        self.push(now, ANEW, v)
        self.push(now, FLOOR, v)
        f.decided_at = now
        for w in self.members[f.application]:
            if self.functions[w].decided_at == now:
                self.learn_anew(w)
            self.announce_next(w)

    def advance(self, until: float) -> None:
        """Let happen everything before `until`."""
        while self.events and self.events[0][0] < until:
            self.step()
        self.now = max(self.now, until)

    def finish(self, horizon: int | None = None) -> int:
        """Let happen what is left up to the last finish, or up to the horizon with all that happens then."""
        if horizon is not None:
            self.advance(horizon + 1)
            self.now = horizon
            return horizon
        while self.unserved > 0:
            self.step()
        last = max((t for every in self.finished for done in every for t in done.values()), default=self.now)
        self.now = max(self.now, last)
        return self.now

    def observe(self, v: int) -> Observation:
        f = self.functions[v]
        f.count(self.now)
        concurrency, f.concurrency = f.concurrency, 0
        spent = f.spent.copy()
        states = {"initializing": 0, "idle": 0, "busy": 0}
        for _, instance in f.there():
            states[instance.state] += 1
            spent[instance.own.configuration, instance.state] += self.now - instance.since
        billed = {
            c: tuple(spent.get((c, state), 0) for state in ("initializing", "busy", "idle"))
            for c in sorted({c for (c, _), time in spent.items() if time > 0})
        }
        return Observation(
            **states,
            queue=len(f.queue),
            under_way=len(f.comes),
            requests=f.requests,
            concurrency=concurrency,
            cold_starts=f.cold_starts,
            billed=billed,
        )

    def responses(self, application: int) -> list[int]:
        size = len(self.members[application])
        return [
            max(done.values()) - t if len(done) == size else -1
            for t, done in zip(self.arrivals[application], self.finished[application], strict=True)
        ]

    def instances(self) -> list[Life]:
        """All instances that there ever were, by function and in the order of their starts; now ends the last ones."""
        alive = [
            Life(v, i.serial, i.own.configuration, k, i.born, i.ready, self.now)
            for v, f in enumerate(self.functions)
            for k, i in f.there()
        ]
        return sorted(self.lives + alive)

    # --- the life of an instance ----------------------------------------------------------------------------

    def become(self, v: int, k: int, state: str, now: int) -> None:
        """Close the books on the state that ends and open the next."""
        f = self.functions[v]
        instance = f.levels[k].instance
        f.spent[instance.own.configuration, instance.state] += now - instance.since
        instance.state, instance.since = state, now

    def initialize(self, v: int, k: int, now: int) -> _Instance:
        f = self.functions[v]
        level, d = f.levels[k], f.decision
        assert level.instance is None
        instance = level.instance = _Instance(d, f.cold_starts, now)
        level.version += 1
        takes = d.cold_start
        if d.cold_mean is not None:
            z = _STANDARD.inv_cdf(uniform(self.seed, v, COLD_START, instance.serial)) if d.cold_std > 0 else 0.0
            takes = max(0, rounded(d.cold_mean + d.cold_std * z))
        f.cold_starts += 1
        instance.ready = now + takes
        self.push(instance.ready, READY, v, k, instance.serial)
        return instance

    def end(self, v: int, k: int, now: int) -> None:
        f = self.functions[v]
        level = f.levels[k]
        i = level.instance
        self.become(v, k, "ended", now)
        self.lives.append(Life(v, i.serial, i.own.configuration, k, i.born, i.ready, now))
        level.instance = None
        level.version += 1
        if not f.current(i):
            self.push(now, FLOOR, v)  # it may have been in the way

    def serve(self, v: int, k: int, requests: list[int], now: int) -> None:
        """Serve the requests together."""
        f = self.functions[v]
        level = f.levels[k]
        instance = level.instance
        assert 1 <= len(requests) <= len(instance.own.latency)
        cold = bool(instance.requests)
        self.become(v, k, "busy", now)
        instance.requests = requests
        instance.hold = -1
        level.version += 1
        level.served = self.zero(v, max(requests), now)
        takes = instance.own.latency[len(requests) - 1]
        spread = instance.own.latency_spread
        if spread > 0:
            s = math.sqrt(math.log(1.0 + spread * spread))
            z = _STANDARD.inv_cdf(uniform(self.seed, v, SERVICE, requests[0]))
            takes = max(1, rounded(takes * math.exp(s * z - s * s / 2.0)))
        self.push(now + takes, FINISH, v, k)
        for invocation in requests:
            self.records.append(
                Request(v, invocation, f.comes[invocation], now, now + takes, instance.serial, len(requests), cold)
            )

    def serve_queue(self, v: int, k: int, now: int) -> None:
        f = self.functions[v]
        many = min(len(f.queue), len(f.levels[k].instance.own.latency))
        self.serve(v, k, [f.queue.popleft() for _ in range(many)], now)

    def zero(self, v: int, invocation: int, now: int) -> int:
        """The latest arrival that could have been served on time by a service that begins now."""
        arrivals = self.arrivals[self.functions[v].application]
        on_time = now - self.work_comes(v)
        return max(arrivals[invocation], arrivals[max(0, bisect_right(arrivals, on_time) - 1)])

    def work_comes(self, v: int) -> int:
        """When a request comes here, after the arrival, if nothing is late."""
        return max((self.work_ends(u) for u in self.before[v]), default=0)

    def work_ends(self, v: int) -> int:
        d = self.functions[v].decision
        begins = self.work_comes(v)
        if d.readiness == "on_request":
            begins += d.cold_start
        elif d.readiness == "on_arrival":
            begins = max(begins, d.cold_start)
        return begins + d.latency[0]

    # --- what becomes of an instance that is free, and of a level without one -----------------------------------

    def covering(self, v: int, k: int, now: int, stay: int) -> int | None:
        """The first stay, from this one on, that is not over, if what is there now is kept for it."""
        f = self.functions[v]
        zero = f.base(k)
        for i, each in enumerate(f.schedule(k)):
            if i >= stay and zero + each.until >= now:
                return i if f.kept(each) or zero + each.start <= now else None
        return None

    def follow(self, v: int, k: int, now: int, stay: int, *, held: bool = False) -> None:
        """Nobody needs the instance: keep it for this stay or a later one, or if something else holds it, or end it."""
        f = self.functions[v]
        level = f.levels[k]
        covering = self.covering(v, k, now, stay)
        level.version += 1
        if covering is not None:
            self.let_go_at(v, k, f.base(k) + f.schedule(k)[covering].until, covering)
        elif not (held or (f.current(level.instance) and f.count_current() <= f.decision.replicas)):
            self.end(v, k, now)
            self.plan_again(v, k, now, stay)

    def plan_again(self, v: int, k: int, now: int, stay: int = 0) -> None:
        """Plan the next start of a level without an instance; what should have started before starts now."""
        f = self.functions[v]
        level = f.levels[k]
        level.version += 1
        for i, each in enumerate(f.schedule(k)):
            due = f.base(k) + each.until > now or f.base(k) + each.start >= now
            if i >= stay and due and not f.kept(each):
                self.push(max(now, f.base(k) + each.start), START, v, k, i, level.version)
                return

    def let_go_at(self, v: int, k: int, when: float, stay: int) -> None:
        level = self.functions[v].levels[k]
        level.version += 1
        self.push(when, LET_GO, v, k, stay, level.version)

    def place(self, v: int, invocation: int, now: int) -> bool:
        """Give the request an instance, if there is or can be one."""
        f = self.functions[v]
        usable = [(k, instance) for k, instance in f.there() if f.usable(instance)]
        idle = [(not f.current(instance), k) for k, instance in usable if instance.state == "idle"]
        if idle:
            self.serve(v, min(idle)[1], [invocation], now)
            return True
        joins = [
            (instance.planned_ready, 0, k)
            for k, instance in usable
            if instance.state == "initializing" and len(instance.requests) < len(instance.own.latency)
        ]
        if f.room():
            joins.append((now + f.decision.cold_start, 1, 0))
        if not joins:
            return False
        _, new, k = min(joins)
        if new:
            k = f.lowest_absent()
            self.initialize(v, k, now)
        f.levels[k].instance.requests.append(invocation)
        f.levels[k].version += 1  # it is not let go
        return True

    # --- events ---------------------------------------------------------------------------------------------

    def step(self) -> None:
        now, phase, v, *key = heapq.heappop(self.events)
        handlers = {
            FINISH: self.on_finish,
            READY: self.on_ready,
            ANEW: self.on_anew,
            ARRIVAL: self.on_arrival,
            ASSIGN: self.on_assign,
            START: self.on_start,
            FLOOR: self.on_floor,
            STARTS: self.on_starts,
            ANNOUNCE: self.on_announce,
            LET_GO: self.on_let_go,
        }
        handlers[phase](v, now, *key)

    def on_arrival(self, application: int, now: int, invocation: int) -> None:
        self.arrived[application] += 1
        for v in self.members[application]:
            if not self.before[v]:
                self.push(now, ASSIGN, v, invocation)

    def on_anew(self, v: int, now: int) -> None:
        f = self.functions[v]
        while f.queue and self.place(v, f.queue[0], now):
            f.queue.popleft()

    def on_assign(self, v: int, now: int, invocation: int) -> None:
        f = self.functions[v]
        f.count(now)
        f.requests += 1
        f.comes[invocation] = now
        if not self.place(v, invocation, now):
            f.queue.append(invocation)

    def on_ready(self, v: int, now: int, k: int, serial: int) -> None:
        f = self.functions[v]
        instance = f.levels[k].instance
        if instance is None or instance.serial != serial:
            return  # let go before
        if instance.requests:
            self.serve(v, k, instance.requests, now)
        elif f.queue:
            self.serve_queue(v, k, now)
        else:
            self.become(v, k, "idle", now)

    def on_finish(self, v: int, now: int, k: int) -> None:
        f = self.functions[v]
        instance = f.levels[k].instance
        f.count(now)
        f.levels[k].finished = now
        served, instance.requests = instance.requests, []
        self.become(v, k, "idle", now)
        for invocation in served:
            del f.comes[invocation]
            self.unserved -= 1
        if f.queue:
            self.serve_queue(v, k, now)
        elif f.usable(instance):
            self.follow(v, k, now, 0)
        else:
            self.end(v, k, now)
            self.plan_again(v, k, now)
        for invocation in served:
            done = self.finished[f.application][invocation]
            done[v] = now
            for w in self.after[v]:
                if all(u in done for u in self.before[w]):
                    self.push(now, ASSIGN, w, invocation)

    def on_start(self, v: int, now: int, k: int, stay: int, version: int) -> None:
        f = self.functions[v]
        level = f.levels[k]
        if version != level.version:
            return
        until = f.base(k) + f.schedule(k)[stay].until
        if not f.room():
            self.plan_again(v, k, now, stay + 1)
        elif until > now:
            self.initialize(v, k, now)
            self.let_go_at(v, k, until, stay)

    def on_floor(self, v: int, now: int) -> None:
        f = self.functions[v]
        while f.count_current() < f.decision.replicas and f.room():
            self.initialize(v, f.lowest_absent(), now)
        self.start_announced(v, now)

    def on_starts(self, v: int, now: int, i: int, decided: int) -> None:
        f = self.functions[v]
        if decided != f.decided or f.decision.starts[i].until <= now:
            return
        _, until, count = f.decision.starts[i]
        while f.count_current() < count and f.room():
            k = f.lowest_absent()
            self.initialize(v, k, now).hold = until
            self.let_go_at(v, k, until, -1)

    def on_let_go(self, v: int, now: int, k: int, stay: int, version: int) -> None:
        f = self.functions[v]
        if version != f.levels[k].version:
            return
        to_come = bisect_right(self.arrivals[f.application], now) - f.requests if self.learns(v) else 0
        self.follow(v, k, now, stay + 1, held=f.waiting() <= to_come)

    # --- announced applications -----------------------------------------------------------------------------

    def learns(self, v: int) -> bool:
        f = self.functions[v]
        return self.announced[f.application] and f.decision.readiness != "on_request"

    def learn_anew(self, v: int) -> None:
        """Take as announced what was due before a decision, by the times that hold from it on."""
        f = self.functions[v]
        if self.learns(v) and all(self.functions[w].decided for w in self.members[f.application]):
            lead = max(0, self.work_comes(v) - f.decision.cold_start)
            f.announced = bisect_left(self.arrivals[f.application], self.now - lead)

    def announce_next(self, v: int) -> None:
        """Plan when the function learns of the next invocation; a later decision plans it again."""
        f = self.functions[v]
        arrivals = self.arrivals[f.application]
        f.announcements += 1
        decided = all(self.functions[w].decided for w in self.members[f.application])
        if decided and self.learns(v) and f.announced < len(arrivals):
            lead = max(0, self.work_comes(v) - f.decision.cold_start)
            self.push(max(self.now, arrivals[f.announced] + lead), ANNOUNCE, v, f.announcements)

    def on_announce(self, v: int, now: int, planned: int) -> None:
        f = self.functions[v]
        if planned == f.announcements:
            f.announced += 1
            self.start_announced(v, now)
            self.announce_next(v)

    def start_announced(self, v: int, now: int) -> None:
        f = self.functions[v]
        while self.learns(v) and f.waiting() < f.announced - f.requests and f.room():
            self.initialize(v, f.lowest_absent(), now)
