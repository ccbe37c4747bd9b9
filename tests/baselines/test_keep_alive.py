"""Fixed keep-alive and always warm: one decision, for good."""

from __future__ import annotations

import math

import pytest

from observations import names_all, seen
from problems import chain, diamond
from smiless_core.baselines import AlwaysWarm, FixedKeepAlive
from smiless_core.errors import InvalidInputError
from smiless_core.model import Limits, Stay
from smiless_core.policies import Policy, cheapest_configurations


def test_every_instance_is_kept_from_the_end_of_each_service() -> None:
    problem = chain(1.0, 2.0)
    policy: Policy = FixedKeepAlive(seconds=90.0)
    decision = policy.start(problem, now=0.0, seed=0)(seen(problem, 0.0))
    assert names_all(problem, decision)
    assert (decision.wake, decision.at_arrivals) == (None, False)
    for directive in decision.directives.values():
        assert directive.schedules == ((Stay(0.0, 0.0, 90.0),),)
        assert (directive.from_finish, directive.repeats) == (True, True)
        assert (directive.min_replicas, directive.max_replicas) == (0, None)
    assert (policy.name, policy.fidelity) == ("keep-alive 90 s", "paper rule")
    assert repr(policy) == "FixedKeepAlive(seconds=90.0, residency=60.0)"


def test_a_keep_alive_may_last_for_ever() -> None:
    problem = chain(1.0)
    decision = FixedKeepAlive(seconds=math.inf).start(problem, now=0.0, seed=0)(seen(problem, 0.0))
    assert decision.directives["f0"].schedules[0][0].until == math.inf


def test_always_warm_holds_a_floor_and_lets_more_start() -> None:
    problem = diamond()
    policy: Policy = AlwaysWarm(replicas=3)
    decision = policy.start(problem, now=0.0, seed=0)(seen(problem, 0.0))
    assert names_all(problem, decision)
    assert {each.min_replicas for each in decision.directives.values()} == {3}
    assert {each.max_replicas for each in decision.directives.values()} == {None}
    assert (policy.name, policy.fidelity) == ("always warm, 3 each", "paper rule")


@pytest.mark.parametrize(("limits", "floor"), [(Limits(max_replicas=2), 2), (Limits(min_replicas=5), 5)])
def test_always_warm_keeps_within_the_limits(limits: Limits, floor: int) -> None:
    problem = chain(1.0, limits=limits)
    decision = AlwaysWarm(replicas=3).start(problem, now=0.0, seed=0)(seen(problem, 0.0))
    assert decision.directives["f0"].min_replicas == floor


def test_both_run_on_what_the_common_scaler_chooses() -> None:
    problem = diamond()
    for residency in (0.0, 1000.0):
        chosen = cheapest_configurations(problem, residency=residency)
        for policy in (FixedKeepAlive(residency=residency), AlwaysWarm(residency=residency)):
            directives = policy.start(problem, now=0.0, seed=0)(seen(problem, 0.0)).directives
            assert {name: each.configuration for name, each in directives.items()} == dict(chosen)


@pytest.mark.parametrize(
    ("kind", "settings", "place"),
    [
        (FixedKeepAlive, {"seconds": -1.0}, "seconds"),
        (FixedKeepAlive, {"seconds": math.nan}, "seconds"),
        (FixedKeepAlive, {"residency": -1.0}, "residency"),
        (AlwaysWarm, {"replicas": 0}, "replicas"),
        (AlwaysWarm, {"residency": math.inf}, "residency"),
    ],
)
def test_a_bad_setting_is_named(kind: type, settings: dict[str, float], place: str) -> None:
    with pytest.raises(InvalidInputError, match=place):
        kind(**settings)
