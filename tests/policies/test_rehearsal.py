"""What the policy of this library tries out before it changes anything, by hand."""

from __future__ import annotations

import numpy as np
import pytest

import smiless_core as sc
from problems import chain, hardware_profile
from smiless_core.model import Configuration, Hardware, Profile
from smiless_core.policies.candidates import Candidates
from smiless_core.policies.rehearsal import rehearse

CPU = Configuration("cpu", 1)


def two_sizes(sla: float) -> sc.Problem:
    """A function that takes 1 s on one core and a quarter of it on four; both cost the same per second of work."""
    profile = Profile("f0", {Hardware.CPU: hardware_profile(alpha=1.0, beta=0.0, sizes=(1, 4), batches=(1,))})
    return sc.Problem(sc.Application.chain("f0", sla=sla), {"f0": profile}, sc.Prices(cpu=1.0, gpu=1.0))


def test_the_beginning_does_not_count():
    problem = chain(1.0, cold_start=3.0, sla=2.0)
    kept = {"f0": sc.Directive.keep_alive(CPU, 60.0)}
    found = rehearse(problem, np.array([0.0, 10.0, 20.0, 20.5]), kept, skipped=1)
    # From 10 s to 24.5 s for the first instance, and for the second from 20.5 s, when it starts for the last request.
    assert found.cost == pytest.approx((14.5 + 4.0) / 3)
    assert found.late == pytest.approx(1 / 3)
    assert rehearse(problem, np.array([5.0, 15.0]), kept, skipped=1).cost == pytest.approx(1.0)


def test_it_begins_with_half_of_the_sla_left_to_queue():
    assert {each.configuration.size for each in Candidates(two_sizes(2.5)).cautious().values()} == {1.0}
    assert {each.configuration.size for each in Candidates(two_sizes(1.5)).cautious().values()} == {4.0}


def test_neighbors_differ_in_one_step():
    start = {"f0": sc.Directive.keep_alive(CPU, 9.0).replace(min_replicas=2, max_replicas=2)}
    found = [
        (each["f0"].configuration.size, each["f0"].max_replicas) for each in Candidates(two_sizes(2.0)).neighbors(start)
    ]
    assert sorted(found) == [(1.0, 1), (1.0, 3), (4.0, 2)]


def test_what_would_have_been_late_is_not_done_again():
    """Pairs of requests: a single instance on one core would answer every second one too late, and is the cheapest."""
    problem = two_sizes(1.5)
    pairs = np.repeat(20.0 * np.arange(100), 2)
    pairs[1::2] += 0.1
    run = sc.simulate(problem, sc.Trace.from_seconds(pairs), sc.Smiless(), seed=4)
    assert run.late[60:].mean() <= 0.02
    slow = sc.Directive.keep_alive(CPU, np.inf).replace(min_replicas=1, max_replicas=1)
    found = rehearse(problem, pairs, {"f0": slow}, skipped=2)
    assert found.late == pytest.approx(0.5)
    assert found.cost < np.diff([0.0, run.total_cost])[0] / run.count


def test_what_serves_stays_until_what_replaces_it_is_ready():
    """Cold starts last longer than gaps: whoever lets go first is late."""
    problem = two_sizes(1.5)
    run = sc.simulate(problem, sc.Trace.from_seconds(2.0 * np.arange(120)), sc.Smiless(), sampled=False)
    assert {each.configuration.size for each in run.functions[0].usage} == {1.0, 4.0}
    assert not run.late[3:].any()


def test_headroom_is_part_of_the_sla():
    problem = chain(1.0, sla=1.1, cold_start=3.0)
    kept = {"f0": sc.Directive.keep_alive(sc.Configuration("cpu", 1), 1000.0)}
    arrivals = np.array([0.0, 100.0, 200.0])
    assert rehearse(problem, arrivals, kept, skipped=1, headroom=0.05).late == 0.0
    assert rehearse(problem, arrivals, kept, skipped=1, headroom=0.2).late == 1.0
