"""What the policy of this library takes into consideration."""

from __future__ import annotations

from fractions import Fraction

import pytest

import smiless_core as sc
from problems import Made, chain, made_up
from smiless_core.arrivals import Counts
from smiless_core.policies.candidates import Candidates

pytestmark = pytest.mark.native


def test_no_burst_is_larger_than_what_can_be_rehearsed():
    candidates = Candidates(chain(1.0, 0.5, sla=4.0))
    cut = list(candidates.bursting(Counts([10**6]), target=0.99, most=5))
    assert cut == list(candidates.bursting(Counts([4]), target=0.99, most=5))
    assert max(each.min_replicas for directives in cut for each in directives.values()) <= 5


def test_the_sla_is_divided_along_the_longest_path_through_each_function():
    """Two branches of 1 s and 3 s between functions of 1 s: the short one has as much time as the long one."""
    made = [[(Fraction(1), Fraction(latency), Fraction(0))] for latency in (1, 1, 3, 1)]
    problem = made_up([[Made(*each) for each in modes] for modes in made], [(0, 1), (0, 2), (1, 3), (2, 3)])
    problem = problem.replace(application=problem.application.replace(sla=10.0))
    assert Candidates(problem)._granted[0] == pytest.approx([2.0, 10.0 / 3.0, 6.0, 2.0])


def test_the_beginning_leaves_half_of_the_sla_and_serves_a_burst():
    problem = sc.Problem(sc.catalog.application("image-query"), sc.catalog.profiles(), sc.catalog.prices())
    cautious = Candidates(problem).cautious()
    assert all(each.min_replicas >= 1 for each in cautious.values())
    times = [0.0, 500.0, *(1000.0 + 0.25 * k for k in range(12))]
    told = sc.simulate(problem, sc.Trace.from_seconds(times), _Always(cautious), sampled=False)
    assert told.responses[1] <= 0.5 * problem.application.sla
    assert not told.late[2:].any()


class _Always:
    name, fidelity = "always", "own rule"

    def __init__(self, directives):
        self.directives = directives

    def start(self, problem, *, now, seed):
        return lambda seen: sc.Decision(self.directives)
