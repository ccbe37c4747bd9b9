"""GrandSLAm: slack, batches and the number of instances, by hand."""

from __future__ import annotations

import pytest

from observations import names_all, seen
from problems import chain, diamond, hardware_profile
from smiless_core.baselines import GrandSLAm
from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Function, Hardware, Limits, Prices, Problem, Profile
from smiless_core.policies import FunctionState, Policy


def batching(latencies: dict[str, float], *, edges: tuple[tuple[str, str], ...], sla: float) -> Problem:
    """Functions of a latency per batch, plus 1 s per request; batches of 1, 2, 4 and 8."""
    profiles = {
        name: Profile(
            name,
            {
                Hardware.CPU: hardware_profile(
                    alpha=0.0, beta=1.0, gamma=seconds - 1.0, sizes=(1,), batches=(1, 2, 4, 8)
                )
            },
        )
        for name, seconds in latencies.items()
    }
    functions = tuple(Function(name, name) for name in profiles)
    return Problem(Application(functions, edges, sla=sla), profiles, Prices(cpu=1.0, gpu=1.0))


def batches(problem: Problem) -> list[int]:
    """Return the batch of each function, after checking that one instance of each is there."""
    decision = GrandSLAm().start(problem, now=0.0, seed=0)(seen(problem, 0.0))
    assert names_all(problem, decision)
    assert decision[1:] == (None, True)
    for each in decision.directives.values():
        assert (each.min_replicas, each.max_replicas) == (1, 1)
    return [each.configuration.batch for each in decision.directives.values()]


@pytest.mark.parametrize(
    ("sla", "expected"),
    [
        (8.0, [1, 1]),  # slack 2 and 6: batches of 2 take 3 and 7
        (9.4, [1, 2]),  # 2.35 and 7.05
        (12.0, [2, 4]),  # 3 and 9: of 2 and of 4
        (20.0, [4, 8]),  # 5 and 15: of 4 takes 5, of 8 takes 13
        (3.0, [1, 1]),  # not even one fits
    ],
)
def test_the_batch_is_the_largest_within_the_share_of_the_sla(sla: float, expected: list[int]) -> None:
    assert batches(batching({"a": 2.0, "b": 6.0}, edges=(("a", "b"),), sla=sla)) == expected


def test_the_share_is_that_of_the_longest_path_through_a_function() -> None:
    # a (2 s), then b (6 s) and c (2 s) side by side; c has half of the SLA, a and b a quarter and three quarters.
    problem = batching({"a": 2.0, "b": 6.0, "c": 2.0}, edges=(("a", "b"), ("a", "c")), sla=10.0)
    assert batches(problem) == [1, 2, 4]


def test_the_number_of_instances_follows_the_load() -> None:
    problem = batching({"a": 2.0}, edges=(), sla=5.0)  # batches of 4 in 5 s: 1.25 s of an instance each
    decide = GrandSLAm(interval=10.0).start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    assert decide(seen(problem, 1.0, [1.0], a=FunctionState(busy=1, under_way=1, requests=1)))[1:] == (11.0, False)
    # 20 have come, and 5 of them wait: 25 * 1.25 s in 10 s.
    loaded = FunctionState(busy=1, queued=5, under_way=9, requests=21)
    decision = decide(seen(problem, 11.0, [1.0], a=loaded))
    assert decision.directives["a"].min_replicas == decision.directives["a"].max_replicas == 4
    # Nothing comes any more, but work is left; then nothing is.
    assert decide(seen(problem, 21.0, [1.0], a=FunctionState(busy=4, under_way=4, requests=21)))[1:] == (31.0, False)
    idle = decide(seen(problem, 31.0, [1.0], a=FunctionState(idle=1, requests=21)))
    assert idle[1:] == (None, True)
    assert not idle.directives  # one instance since 21


def test_sizes_leave_room_to_wait() -> None:
    model = hardware_profile(alpha=4.0, beta=0.0, sizes=(1, 2, 4))
    problem = Problem(
        Application.chain("a", sla=4.0), {"a": Profile("a", {Hardware.CPU: model})}, Prices(cpu=1.0, gpu=1.0)
    )
    for policy, size in ((GrandSLAm(), 2.0), (GrandSLAm(share=1.0), 1.0), (GrandSLAm(share=0.1), 4.0)):
        decision = policy.start(problem, now=0.0, seed=0)(seen(problem, 0.0))
        assert decision.directives["a"].configuration.size == size


def test_limits_are_kept() -> None:
    problem = chain(1.0, limits=Limits(min_replicas=2, max_replicas=3))
    decide = GrandSLAm(interval=1.0).start(problem, now=0.0, seed=0)
    assert decide(seen(problem, 0.0)).directives["f0"].min_replicas == 2
    crowd = FunctionState(busy=2, queued=98, under_way=100, requests=100)
    assert decide(seen(problem, 1.0, [1.0], f0=crowd)).directives["f0"].max_replicas == 3


def test_any_application_will_do() -> None:
    problem = diamond()
    assert names_all(problem, GrandSLAm().start(problem, now=0.0, seed=0)(seen(problem, 0.0)))


def test_what_it_says_of_itself() -> None:
    policy: Policy = GrandSLAm(interval=5.0)
    assert policy.name == "GrandSLAm"
    assert policy.fidelity.startswith("simplified: one batch size per function")
    assert repr(policy) == "GrandSLAm(interval=5.0, share=0.5, residency=60.0)"


@pytest.mark.parametrize(
    ("settings", "place"),
    [({"interval": 0.0}, "interval"), ({"share": 0.0}, "share"), ({"residency": -1.0}, "residency")],
)
def test_a_bad_setting_is_named(settings: dict[str, float], place: str) -> None:
    with pytest.raises(InvalidInputError, match=place):
        GrandSLAm(**settings)
