"""Small policies for tests, where processes of executors can import them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

from smiless_core.model import Configuration, Hardware, Limits, Problem, Readiness, Stay
from smiless_core.policies import Decide, Decision, Directive, Observation, TimedStart


class Told:
    """Answers with what it is told to, and remembers with what it was started."""

    name, fidelity = "told", "of a test"

    def __init__(self, answer: Callable[[Observation], object]) -> None:
        self.answer = answer

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        self.started = problem, now, seed
        return self.answer


def always(directives: Mapping[str, Directive]) -> Told:
    """Return a policy that decides once."""
    return Told(lambda seen: Decision(directives))


def offered(problem: Problem, v: int) -> list[Configuration]:
    """Return what a function may run on, batches between the measured ones included."""
    return [
        Configuration(hardware, size, batch)
        for hardware, model in problem.profile(v).hardware.items()
        for size in problem.sizes(v, Hardware(hardware))
        for batch in range(model.batches[0], model.batches[-1] + 1)
    ]


class Whims:
    """Decides at any time anything that makes sense."""

    fidelity = "of a test"

    def __init__(self, whim: int) -> None:
        self.name = f"whim {whim}"
        self.whim = whim

    def __repr__(self) -> str:
        return f"Whims({self.whim})"

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        draw = random.Random(self.whim)
        names = problem.application.names

        def decide(seen: Observation) -> Decision:
            first = seen.now == 0.0
            chosen = [v for v in range(len(names)) if first or draw.random() < 0.4]
            directives = {names[v]: whimsical(draw, offered(problem, v), problem.limits, seen.now) for v in chosen}
            wake = seen.now + draw.choice([0.5, 1.0, 2.25, 7.0]) if draw.random() < 0.5 else None
            return Decision(directives, wake, at_arrivals=draw.random() < 0.5)

        return decide


def whimsical(draw: random.Random, configurations: list[Configuration], limits: Limits, now: float) -> Directive:
    """Return any directive."""
    configuration = draw.choice(configurations)
    kinds = [Readiness.PREWARMED, Readiness.PREWARMED, Readiness.ON_REQUEST]
    readiness = draw.choice(kinds + [Readiness.ON_ARRIVAL] * limits.announces_arrivals)
    schedules = []
    for _ in range(draw.randrange(3) if readiness is Readiness.PREWARMED else 0):
        start = draw.choice([0.0, 1.0, 4.0])
        ready = start + draw.choice([0.0, 1.5, 3.0])
        schedules.append((Stay(start, ready, ready + draw.choice([0.0, 1.0, 6.0])),))
    least = draw.choice([0, 0, 0, 1, 2])
    return Directive(
        configuration=configuration,
        readiness=readiness,
        schedules=tuple(schedules),
        repeats=bool(schedules) and draw.random() < 0.5,
        from_finish=draw.random() < 0.5,
        min_replicas=least,
        max_replicas=draw.choice([None, None, max(least, 1), 3]),
        granted=draw.choice([None, None, 0.0, 2.0, 100.0]),
        starts=tuple(
            TimedStart(begin := now + draw.choice([-1.0, 0.0, 2.0, 5.0]), begin + draw.choice([0.0, 3.0]))
            for _ in range(draw.choice([0, 0, 1]))
        ),
    )


class Marking:
    """Keeps instances for a while, and leaves a mark in a file whenever it is started."""

    name, fidelity = "marking", "of a test"

    def __init__(self, marks: Path, *, seconds: float = 10.0) -> None:
        self.marks, self.seconds = marks, seconds

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        with self.marks.open("ab") as file:
            file.write(b".")
        kept = {
            name: Directive.keep_alive(offered(problem, v)[0], self.seconds)
            for v, name in enumerate(problem.application.names)
        }
        return lambda seen: Decision(kept)
