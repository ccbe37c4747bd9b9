"""The bound on policies that know the future, against search by hand and against policies."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

import smiless_core as sc
from problems import chain
from smiless_core.simulator.clairvoyant import _shorter
from strategies import examples


@given(st.lists(st.integers(1, 40), max_size=5), st.integers(0, 6), st.integers(1, 3))
@examples(60)
def test_one_function_without_slack_costs_what_the_best_choice_of_each_gap_does(gaps, cold_start, latency):
    problem = chain(float(latency), cold_start=float(cold_start), sla=float(latency))
    times = np.cumsum([0, *[gap + latency for gap in gaps]])
    # Stay through the gap, or end and start again so as to be ready in time.
    choices = product(*[(gap, cold_start if gap >= cold_start else math.inf) for gap in gaps])
    best = cold_start + latency * (len(gaps) + 1) + min(map(sum, choices))
    bound = sc.clairvoyant_cost(problem, sc.Trace.from_seconds(times.astype(float)), sampled=False)
    assert bound == pytest.approx(best)


@given(
    st.lists(st.integers(0, 25), max_size=8),
    st.sampled_from([3.0, 5.0, 8.0, 14.0]),
    st.sampled_from([0.0, 4.0, 9.0, 1000.0]),
)
@examples(80)
def test_no_policy_that_meets_every_sla_costs_less(gaps, sla, seconds):
    problem = chain(1.0, 2.0, cold_start=3.0, sla=sla)
    arrivals = sc.Trace.from_seconds(np.cumsum([0, *gaps]).astype(float))
    for policy in (
        sc.baselines.FixedKeepAlive(seconds=seconds),
        sc.baselines.AlwaysWarm(),
        sc.Smiless.published(),
        sc.baselines.Orion(),
    ):
        run = sc.simulate(problem, arrivals, policy, sampled=False)
        if not run.late.any():
            assert run.total_cost >= run.clairvoyant * (1 - 1e-9)


def test_a_gap_that_the_sla_absorbs_costs_nothing():
    problem = chain(1.0, cold_start=3.0, sla=4.0)  # absorbs 3 s
    assert sc.clairvoyant_cost(problem, sc.Trace.from_seconds([0.0, 4.0]), sampled=False) == pytest.approx(3.0 + 2.0)
    assert sc.clairvoyant_cost(problem, sc.Trace.from_seconds([0.0, 5.0]), sampled=False) == pytest.approx(
        3.0 + 2.0 + 1.0
    )


def test_an_sla_that_nothing_meets_has_no_bound():
    assert math.isnan(sc.clairvoyant_cost(chain(1.0, sla=0.5), sc.Trace.from_seconds([0.0, 9.0])))


@pytest.mark.parametrize(("mean", "std"), [(3.0, 0.5), (1.0, 2.0), (0.0, 1.0), (2.0, 0.0)])
def test_the_mean_of_the_shorter_of_a_time_and_a_cold_start(mean, std):
    times = np.array([0.0, 0.3, 2.0, 5.0, 50.0])
    if std == 0.0:
        expected = np.minimum(times, mean)
    else:
        law = stats.norm(mean, std)
        expected = [integrate.quad(law.sf, 0.0, x, points=[min(x, mean)])[0] for x in times]
    assert [_shorter(x, mean, std) for x in times.tolist()] == pytest.approx(expected, abs=1e-7)
    assert _shorter(math.inf, mean, std) == pytest.approx(_shorter(1e3, mean, std))


def test_rounding_gaps_lowers_the_bound_by_little():
    problem = sc.Problem(sc.catalog.application("amber-alert"), sc.catalog.profiles(), sc.catalog.prices())
    many = np.cumsum(np.random.default_rng(1).exponential(6.0, 2003))
    rounded = sc.clairvoyant_cost(problem, sc.Trace.from_seconds(many))
    exact = sc.clairvoyant_cost(problem, sc.Trace.from_seconds(many[:2000]))
    assert exact * 0.98 <= rounded <= exact * 1.001
