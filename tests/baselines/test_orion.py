"""Orion: sizes step by step, and starts just in time, by hand."""

from __future__ import annotations

import math

import pytest

from observations import names_all, seen
from problems import chain, diamond, hardware_profile
from smiless_core.baselines import Orion
from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Function, Hardware, Prices, Problem, Profile
from smiless_core.policies import FunctionState, Policy, TimedStart

CPU = Hardware.CPU


def parallel_work(work: dict[str, float], *, edges: tuple[tuple[str, str], ...], sla: float) -> Problem:
    """Functions of so many core-seconds each, on 1, 2 or 4 cores at a dollar per core-second."""
    profiles = {
        name: Profile(name, {CPU: hardware_profile(alpha=seconds, beta=0.0, sizes=(1, 2, 4))})
        for name, seconds in work.items()
    }
    functions = tuple(Function(name, name) for name in profiles)
    return Problem(Application(functions, edges, sla=sla), profiles, Prices(cpu=1.0, gpu=1.0))


def sizes(problem: Problem, **settings: float) -> list[float]:
    """Return the cores of each function."""
    decision = Orion(**settings).start(problem, now=0.0, seed=0)(seen(problem, 0.0))
    assert names_all(problem, decision)
    return [each.configuration.size for each in decision.directives.values()]


@pytest.mark.parametrize(
    ("sla", "cores"),
    [
        (12.0, [1, 1]),  # 8 + 4
        (11.9, [2, 1]),  # 4 + 4: a step saves 4 s or 2 s
        (7.9, [2, 2]),  # 4 + 2: either saves 2 s, the step from 2 to 4 cores costs $2, and that from 1 to 2 costs $1
        (5.9, [4, 2]),
        (3.9, [4, 4]),
        (1.0, [4, 4]),  # nothing is left to take
    ],
)
def test_the_step_that_shortens_the_response_most_is_taken(sla: float, cores: list[int]) -> None:
    assert sizes(parallel_work({"a": 8.0, "b": 4.0}, edges=(("a", "b"),), sla=sla)) == cores


def test_branches_are_sped_up_together_where_neither_helps_alone() -> None:
    problem = parallel_work({"a": 8.0, "b": 8.0}, edges=(), sla=4.0)
    assert sizes(problem) == [2, 2]
    # What is not on the longest path stays as it is.
    assert sizes(parallel_work({"a": 8.0, "b": 3.0}, edges=(), sla=4.0)) == [2, 1]


def test_a_share_of_the_sla_leaves_room() -> None:
    problem = parallel_work({"a": 8.0}, edges=(), sla=8.0)
    assert sizes(problem) == [1]
    assert sizes(problem, share=0.5) == [2]


def test_configurations_that_are_slower_than_cheaper_ones_are_skipped() -> None:
    slow = hardware_profile(alpha=0.0, beta=9.0, sizes=(0.5,))
    fast = hardware_profile(alpha=0.0, beta=2.0, sizes=(1.0,))
    profiles = {"f": Profile("f", {CPU: hardware_profile(alpha=0.0, beta=5.0, sizes=(1,)), Hardware.GPU: slow})}
    problem = Problem(Application.chain("f", sla=3.0), profiles, Prices(cpu=1.0, gpu=4.0))
    assert sizes(problem) == [1.0]
    better = {"f": profiles["f"].replace(hardware={CPU: profiles["f"].hardware[CPU], Hardware.GPU: fast})}
    decision = Orion().start(problem.replace(profiles=better), now=0.0, seed=0)(seen(problem, 0.0))
    assert decision.directives["f"].configuration.hardware is Hardware.GPU


def test_later_functions_start_just_in_time() -> None:
    """Latencies 4, 2 and 1 s, 3 s to start each."""
    problem = chain(4.0, 2.0, 1.0, sla=10.0)
    decide = Orion(keep_alive=50.0).start(problem, now=100.0, seed=0)
    first = decide(seen(problem, 100.0))
    assert first[1:] == (None, True)
    assert {each.schedules[0][0].until for each in first.directives.values()} == {50.0}

    # The first one goes cold: its work begins at 103, that of the others at 107 and 109.
    cold = FunctionState(initializing=1, under_way=1, requests=1, cold_starts=1)
    decision = decide(seen(problem, 100.0 + 1e-9, [100.0], f0=cold))
    assert list(decision.directives) == ["f1", "f2"]
    assert decision.directives["f1"].starts == (TimedStart(104.0, 157.0),)
    assert decision.directives["f2"].starts == (TimedStart(106.0, 159.0),)

    # The second invocation finds it ready, and the other two still busy with the first one.
    warm = FunctionState(busy=1, under_way=1, requests=2, cold_starts=1)
    busy = FunctionState(busy=1, under_way=1, requests=1, cold_starts=1)
    waiting = FunctionState(initializing=1, cold_starts=1)
    decision = decide(seen(problem, 107.5, [100.0, 107.5], f0=warm, f1=busy, f2=waiting))
    assert decision.directives["f1"].starts == (TimedStart(108.5, 161.5, 2),)
    assert decision.directives["f2"].starts == (TimedStart(110.5, 163.5, 2),)


def test_starts_that_are_still_to_come_are_kept() -> None:
    problem = chain(4.0, 2.0, sla=10.0)
    decide = Orion(keep_alive=0.0).start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    one = FunctionState(initializing=1, under_way=1, requests=1, cold_starts=1)
    decide(seen(problem, 0.0, [0.0], f0=one))
    two = FunctionState(initializing=2, under_way=2, requests=2, cold_starts=2)
    starts = decide(seen(problem, 1.0, [0.0, 1.0], f0=two)).directives["f1"].starts
    # Unasked for, they stay for as long as the SLA.
    assert starts == (TimedStart(4.0, 17.0, 1), TimedStart(5.0, 18.0, 2))


def test_what_takes_longer_to_start_than_the_work_before_it_starts_at_once() -> None:
    problem = chain(1.0, 1.0, 1.0, sla=10.0)
    decide = Orion().start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    ready = FunctionState(busy=1, under_way=1, requests=1)
    decision = decide(seen(problem, 0.0, [0.0], f0=ready))
    # The second one is ready at 3 and done at 4: the third one starts at 1.
    assert [each.starts[0].start for each in decision.directives.values()] == [0.0, 1.0]
    # With an instance of the second one there, the third one is needed at 2 already.
    decide = Orion().start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    decision = decide(seen(problem, 0.0, [0.0], f0=ready, f1=FunctionState(idle=1)))
    assert [each.starts[0].start for each in decision.directives.values()] == [0.0, 0.0]


def test_a_single_function_needs_one_decision() -> None:
    problem = chain(1.0)
    assert Orion().start(problem, now=0.0, seed=0)(seen(problem, 0.0))[1:] == (None, False)


def test_any_application_will_do() -> None:
    problem = diamond()
    decide = Orion().start(problem, now=0.0, seed=0)
    assert names_all(problem, decide(seen(problem, 0.0)))
    assert list(decide(seen(problem, 0.0, [0.0])).directives) == ["left", "right", "join"]


def test_what_it_says_of_itself() -> None:
    policy: Policy = Orion(keep_alive=math.inf)
    assert policy.name == "Orion"
    assert policy.fidelity.startswith("simplified: planned latencies")
    assert repr(policy) == "Orion(keep_alive=inf, share=1.0)"


@pytest.mark.parametrize(("settings", "place"), [({"keep_alive": -1.0}, "keep_alive"), ({"share": 0.0}, "share")])
def test_a_bad_setting_is_named(settings: dict[str, float], place: str) -> None:
    with pytest.raises(InvalidInputError, match=place):
        Orion(**settings)
