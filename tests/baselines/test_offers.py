"""What the platform offers, and what it imposes."""

from __future__ import annotations

import pytest

from problems import chain, diamond
from smiless_core.baselines.offers import Offer, lingering, offers_for, within
from smiless_core.model import Configuration, Hardware, Limits, Stay
from smiless_core.policies import Directive

CPU = Configuration("cpu", 1)


def test_a_configuration_is_offered_at_its_planned_terms() -> None:
    problem = chain(2.0)
    assert offers_for(problem, 0) == (Offer(CPU, 1.0, 2.0, 3.0),)
    model = problem.profiles["f0"].hardware[Hardware.CPU].replace(cold_start_std=0.5, batches=(2, 4))
    spread = problem.replace(profiles={"f0": problem.profiles["f0"].replace(hardware={"cpu": model})})
    assert offers_for(spread, 0) == (Offer(CPU.replace(batch=2), 1.0, 2.0, 4.5),)


def test_only_sizes_on_offer_are_offered() -> None:
    problem = diamond(limits=Limits(sizes={"cpu": (2.0,)}))
    assert [offer.configuration for offer in offers_for(problem, 0)] == [Configuration("cpu", 2)]


@pytest.mark.parametrize(("wanted", "allowed"), [(0, 2), (2, 2), (3, 3), (9, 4)])
def test_the_number_of_instances_is_bounded(wanted: int, allowed: int) -> None:
    assert within(Limits(min_replicas=2, max_replicas=4), wanted) == allowed
    assert within(Limits(), wanted) == wanted


def test_instances_stay_for_as_long_as_the_platform_has_them_stay() -> None:
    limits = Limits(min_keep_alive=60.0)

    def stays(directive: Directive) -> tuple[Stay, ...]:
        lingers = lingering(limits, directive)
        assert (lingers.from_finish, lingers.repeats) == (True, True)
        assert lingers.replace(schedules=(), readiness="on_request") == directive.replace(
            schedules=(), readiness="on_request", from_finish=True, repeats=True
        )
        (schedule,) = lingers.schedules
        return schedule

    least = Stay(0.0, 0.0, 60.0)
    assert stays(Directive(configuration=CPU, min_replicas=3)) == (least,)
    assert stays(Directive.keep_alive(CPU, 10.0)) == (least,)
    assert stays(Directive.keep_alive(CPU, 70.0)) == (Stay(0.0, 0.0, 70.0),)
    assert stays(Directive.keep_alive(CPU, 9.0, prewarm=100.0, cold_start=3.0)) == (least, Stay(100.0, 103.0, 109.0))
    # There is no time to be away.
    assert stays(Directive.keep_alive(CPU, 9.0, prewarm=60.0, cold_start=3.0)) == (Stay(0.0, 0.0, 69.0),)
    assert lingering(Limits(), directive := Directive(configuration=CPU)) is directive
