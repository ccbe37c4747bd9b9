"""One function under periodic arrivals, event by event: the oracle of windows costs.

Times are whole ticks. At one instant instances finish, start, become ready, are claimed by an announced
arrival, take requests and are let go, in this order. Nothing here knows a formula: it plays a schedule and
reads the meter.
"""

from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush

FINISH, START, READY, ANNOUNCE, REQUEST, LET_GO = range(6)
SETTLING, MEASURED = 40, 120  # arrivals; 120 is a multiple of twice every rotation of up to 6


@dataclass(eq=False)
class Instance:
    born: int
    free: int  # when it has nothing more to do, as far as is known
    gone: int | None = None
    idle: bool = False
    overdue: bool = False  # only the floor keeps it
    arrival: int | None = None  # the last one that it served, or has promised to


@dataclass(frozen=True)
class Replay:
    billed: Fraction  # ticks per arrival, over the measured arrivals
    replicas: int  # the most that ever were up at one time
    late: int  # measured arrivals that did not find all instances ready
    fewest: int  # the fewest that were up at one time


class Renewal:
    """The common part: the clock, the meter, the platform's floor and shortest stay."""

    def __init__(self, *, period, latency, cold_start, earliest_start=0, together=1, keep=0, floor=0):
        self.period, self.latency, self.cold_start = period, latency, cold_start
        self.earliest_start, self.together, self.keep, self.floor = earliest_start, together, keep, floor
        self.now, self.events, self.number = 0, [], 0
        self.all = [Instance(0, 0, idle=True, overdue=True) for _ in range(floor)]
        self.up = list(self.all)
        self.late = 0

    def replay(self) -> Replay:
        last = SETTLING + MEASURED
        for arrival in range(last + 20):
            comes = arrival * self.period + self.earliest_start
            self.at(max(arrival * self.period, comes - self.cold_start), ANNOUNCE, self.announce, arrival)
            self.at(comes, REQUEST, self.request, arrival)
        begin, end = (n * self.period + self.earliest_start for n in (SETTLING, last))
        counts = []
        while self.events and self.events[0][0] <= end:
            when, _, _, action, details = heappop(self.events)
            if when > self.now:
                counts.append((self.now, len(self.up)))
            self.now = when
            action(*details)
        lives = [(i.born, end if i.gone is None else i.gone) for i in self.all]
        billed = sum(max(0, min(end, gone) - max(begin, born)) for born, gone in lives)
        measured = [count for when, count in counts if when >= begin]
        return Replay(Fraction(billed, MEASURED), max(count for _, count in counts), self.late, min(measured))

    def at(self, when, rank, action, *details):
        self.number += 1
        heappush(self.events, (when, rank, self.number, action, details))

    def birth(self, ready):
        instance = Instance(self.now, ready)
        self.all.append(instance)
        self.up.append(instance)
        self.at(ready, READY, self.ready, instance)
        self.at(self.now, LET_GO, self.trim)
        return instance

    def ready(self, instance):
        instance.idle |= instance.arrival is None  # else it serves already

    def idlers(self):
        """Idle instances, the most recently used last."""
        return sorted((i for i in self.up if i.idle), key=lambda i: i.free)

    def serve(self, instance, arrival, begin):
        instance.arrival = arrival
        instance.idle = instance.overdue = False
        instance.free = begin + self.latency
        self.at(instance.free, FINISH, self.finish, instance)

    def finish(self, instance):
        if instance.free == self.now:  # else it has promised to serve again
            instance.idle = True
            self.afterwards(instance)

    def hold(self, instance, until):
        """Let the instance go then, unless it is used before."""
        instance.overdue = False
        self.at(until, LET_GO, self.expire, instance, instance.arrival)

    def expire(self, instance, arrival):
        if instance.gone is None and instance.idle and instance.arrival == arrival:
            instance.overdue = True
            self.trim()

    def trim(self):
        """The platform keeps its floor up, and beyond it nothing that is not wanted."""
        for instance in self.idlers():
            if instance.overdue and len(self.up) > self.floor:
                instance.gone = self.now
                self.up.remove(instance)

    def announce(self, arrival):
        pass

    def request(self, arrival):
        raise NotImplementedError

    def afterwards(self, instance, arrival):
        raise NotImplementedError


class Prewarmed(Renewal):
    """Instances follow a schedule: stays (start, ready, until) after the arrival that they served last."""

    def __init__(self, stays, **circumstances):
        super().__init__(**circumstances)
        self.stays = stays

    def request(self, arrival):
        for _ in range(self.together):
            idlers = self.idlers()
            if not idlers:  # settling begins with as many as it takes
                self.late += arrival >= SETTLING
            self.serve(idlers[-1] if idlers else self.birth(self.now), arrival, self.now)

    def afterwards(self, instance):
        came = instance.arrival * self.period
        if came + self.stays[0][0] > self.now:
            self.expire(instance, instance.arrival)
        for start, ready, until in self.stays:
            self.at(came + start, START, self.start, instance, instance.arrival, came + ready, came + until)

    def start(self, instance, arrival, ready, until):
        if instance.arrival != arrival:
            return  # the floor kept it up, and it has served since
        if instance.gone is not None:
            instance = self.birth(ready)
        instance.overdue = False
        self.at(ready, READY, self.hold, instance, until)


class OnRequest(Renewal):
    """Instances start when a request finds none idle, and stay for the platform's shortest time."""

    def request(self, arrival):
        for _ in range(self.together):
            idlers = self.idlers()
            instance = idlers[-1] if idlers else self.birth(self.now + self.cold_start)
            self.late += arrival >= SETTLING and not idlers
            self.serve(instance, arrival, max(self.now, instance.free))

    def afterwards(self, instance):
        # Without a time to stay it ends with its service, and serves no arrival of the same instant.
        if self.keep:
            self.hold(instance, self.now + self.keep)
        else:
            self.expire(instance, instance.arrival)


class OnArrival(OnRequest):
    """Requests are announced, T ahead where that is possible, and claim an instance or start one."""

    def announce(self, arrival):
        comes = arrival * self.period + self.earliest_start
        for _ in range(self.together):
            able = sorted((i for i in self.up if i.free <= comes and i.arrival != arrival), key=lambda i: i.free)
            instance = able[-1] if able else self.birth(self.now + self.cold_start)
            self.serve(instance, arrival, max(comes, instance.free))

    def request(self, arrival):
        pass
