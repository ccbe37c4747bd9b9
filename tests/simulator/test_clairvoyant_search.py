"""The bound on all policies against all that one could do: by exhaustive search, and by policies that know the future.

The search knows no more than what an instance is: one service at a time, idle or initialized anew before each, and all
billed. Times are whole seconds, in which there is always an optimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import norm

import smiless_core as sc
from problems import Made, chain, hardware_profile, made_up, problems
from small_policies import Told, Whims
from strategies import examples

pytestmark = pytest.mark.native

CPU, GPU = sc.Configuration("cpu", 1), sc.Configuration("gpu", 1)


class Can(NamedTuple):
    """A configuration in whole seconds; the latencies of 1, 2, ... requests."""

    price: int
    latency: tuple[int, ...]
    cold_start: int


def partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """Yield all ways to put items into groups, in order within each."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for groups in partitions(rest):
        yield [[first], *groups]
        for at, group in enumerate(groups):
            yield [*groups[:at], [first, *group], *groups[at + 1 :]]


def instances_cost(services: Sequence[tuple[int, int]], cold_start: int) -> float:
    """Return the least instance-seconds for services (begin, end), in ascending order, on one configuration.

    Before each service its instance was idle since another one, or it initialized: just in time, after 0 s.
    """
    least = math.inf
    for lives in partitions(range(len(services))):
        seconds: float = 0
        for life in lives:
            done = None
            for k in life:
                begins, ends = services[k]
                anew = cold_start if begins >= cold_start else math.inf
                stayed = begins - done if done is not None and begins >= done else math.inf
                seconds += min(anew, stayed) + ends - begins
                done = ends
        least = min(least, seconds)
    return least


def least_cost(functions: Sequence[Sequence[Can]], arrivals: Sequence[int], sla: int) -> float:
    """Return what the invocations of a chain cost at least, each on any configurations, in groups or not."""
    everyone = range(len(arrivals))
    known: dict[tuple[int, tuple[int, ...]], float] = {}

    def stage(v: int, comes: tuple[int, ...]) -> float:
        """Return the least cost of function v and all after it."""
        if v == len(functions):
            return 0.0
        if (v, comes) in known:
            return known[v, comes]
        best = math.inf
        for groups in partitions(everyone):
            if any(len(group) > max(len(each.latency) for each in functions[v]) for group in groups):
                continue
            for chosen in product(functions[v], repeat=len(groups)):
                if any(len(group) > len(each.latency) for group, each in zip(groups, chosen, strict=True)):
                    continue
                spans = []
                for group, each in zip(groups, chosen, strict=True):
                    first = max(comes[k] for k in group)
                    last = min(arrivals[k] for k in group) + sla - each.latency[len(group) - 1]
                    spans.append(range(first, last + 1))
                for begins in product(*spans):
                    done = list(comes)
                    cost = 0.0
                    for each in set(chosen):
                        services = sorted(
                            (begin, begin + each.latency[len(group) - 1])
                            for group, other, begin in zip(groups, chosen, begins, strict=True)
                            if other == each
                        )
                        cost += each.price * instances_cost(services, each.cold_start)
                    if cost >= best:
                        continue
                    for group, each, begin in zip(groups, chosen, begins, strict=True):
                        for k in group:
                            done[k] = begin + each.latency[len(group) - 1]
                    best = min(best, cost + stage(v + 1, tuple(done)))
        known[v, comes] = best
        return best

    return stage(0, tuple(arrivals))


def test_the_search_by_hand():
    one = [Can(1, (1,), 3)]
    assert least_cost([one], [0], 4) == 4
    assert least_cost([one], [0], 3) == math.inf  # the first request waits for an initialization
    assert least_cost([one], [0, 10], 4) == 4 + 4
    assert least_cost([one], [0, 5], 4) == 4 + 1 + 1
    assert least_cost([one], [0, 5], 6) == 4 + 1  # begin at 5 and at 6
    assert least_cost([one], [0, 0], 4) == 4 + 4
    assert least_cost([one], [0, 0], 5) == 4 + 1
    assert least_cost([[Can(1, (1, 1), 3)]], [0, 0], 4) == 4
    assert least_cost([[Can(1, (5,), 0), Can(1, (1,), 3)]], [0], 4) == 4
    assert least_cost([one, one], [0], 8) == 8
    assert least_cost([one, one], [0], 5) == 8  # the second initializes while the first does


def bound(functions: Sequence[Sequence[Can]], arrivals: Sequence[int], sla: int) -> float:
    """Return what the library says to the same question; batches are latencies on a line."""
    made = [[Made(Fraction(p), Fraction(latency[0]), Fraction(t)) for p, latency, t in each] for each in functions]
    problem = made_up(made, [(v, v + 1) for v in range(len(functions) - 1)])
    profiles = {}
    for (name, profile), cans in zip(problem.profiles.items(), functions, strict=True):
        hardware = {}
        for (kind, model), can in zip(profile.hardware.items(), cans, strict=True):
            each = can.latency[1] - can.latency[0] if len(can.latency) > 1 else 0
            batches = (1, len(can.latency)) if len(can.latency) > 1 else (1,)
            hardware[kind] = model.replace(beta=float(each), gamma=float(can.latency[0] - each), batches=batches)
        profiles[name] = profile.replace(hardware=hardware)
    problem = problem.replace(application=problem.application.replace(sla=float(sla)), profiles=profiles)
    return sc.clairvoyant_cost(problem, sc.Trace.from_seconds(list(map(float, arrivals))), sampled=False)


cans = st.builds(Can, st.integers(1, 3), st.integers(1, 3).map(lambda each: (each,)), st.integers(0, 4))
batched = st.builds(
    lambda p, one, more, t, most: Can(p, tuple(one + more * k for k in range(most)), t),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
    st.integers(0, 4),
    st.integers(2, 3),
)
gaps = st.one_of(st.integers(0, 3), st.integers(0, 14))


def holds(functions, arrivals, sla) -> None:
    least = least_cost(functions, arrivals, sla)
    stated = bound(functions, arrivals, sla)
    assert math.isnan(stated) or stated <= least * (1 + 1e-12)
    # Where there is no bound, nothing meets the SLA.
    assert not math.isnan(stated) or math.isinf(least)


def times(gaps: Sequence[int]) -> list[int]:
    return np.cumsum([0, *gaps]).tolist()


@pytest.mark.parametrize(("gap", "sla", "cost"), [(5, 4, 4 + 1 + 1), (5, 5, 4 + 1), (4, 4, 4 + 1), (9, 4, 4 + 1 + 3)])
def test_a_gap_costs_nothing_as_far_as_the_sla_absorbs_it(gap, sla, cost):
    can = [Can(1, (1,), 3)]
    assert bound([can], [0, gap], sla) == pytest.approx(cost)
    assert least_cost([can], [0, gap], sla) >= cost


@examples(150)
@given(cans, st.lists(gaps, max_size=2), st.integers(1, 9))
def test_one_function(can, gaps, sla):
    holds([[can]], times(gaps), sla)


@examples(60)
@given(batched, st.lists(gaps, max_size=2), st.integers(1, 9))
def test_batches(can, gaps, sla):
    holds([[can]], times(gaps), sla)


@examples(100)
@given(st.lists(cans, min_size=2, max_size=2), st.lists(gaps, max_size=2), st.integers(1, 6))
def test_a_choice_of_two(choice, gaps, sla):
    holds([choice], times(gaps), sla)


@examples(30)
@given(st.lists(cans, min_size=2, max_size=2), st.lists(gaps, max_size=2), st.integers(2, 8))
def test_a_chain_of_two(chain, gaps, sla):
    holds([[each] for each in chain], times(gaps), sla)


@examples(25)
@given(st.lists(st.lists(cans, min_size=1, max_size=2), min_size=2, max_size=2), gaps, st.integers(2, 8))
def test_a_chain_of_choices(functions, gap, sla):
    holds(functions, times([gap]), sla)


@examples(100)
@given(st.integers(1, 3), st.integers(1, 5), st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=2))
def test_tight_where_the_slack_is_that_of_the_first_cold_start(latency, cold_start, gaps):
    """A service before a short gap waits as long as it may, which costs nothing after a long one."""
    long = 2 * cold_start + latency
    arrivals = times([gap for short, after in gaps for gap in ([short + latency, long] if after else [long])])[:4]
    sla = cold_start + latency
    can = [Can(2, (latency,), cold_start)]
    assert bound([can], arrivals, sla) == pytest.approx(least_cost([can], arrivals, sla))


@examples(60)
@given(st.lists(cans, min_size=2, max_size=2), st.lists(st.integers(0, 9), min_size=1, max_size=1))
def test_tight_for_a_chain_of_two_and_far_arrivals(chain, gaps):
    """Far apart nobody shares anything: every function is started anew for every invocation."""
    sla = sum(each.latency[0] + each.cold_start for each in chain)
    arrivals = times([gap + 2 * sla + 9 for gap in gaps])
    functions = [[each] for each in chain]
    assert bound(functions, arrivals, sla) == pytest.approx(least_cost(functions, arrivals, sla))


# --- against policies -------------------------------------------------------------------------------------------


def _late(run: sc.Run) -> bool:
    return bool(run.late.any())


@examples(150)
@given(
    problems(),
    st.lists(st.sampled_from([0, 30, 400, 1500, 4000, 9000, 40_000]), max_size=7),
    st.integers(0, 10**6),
    st.sampled_from([1.0, 1.5, 3.0, 8.0]),
)
def test_no_policy_that_meets_every_sla_costs_less(problem, gaps, whim, looseness):
    """SLAs are a multiple of what the first response takes on the fastest configurations, or of one a whim chose."""
    trace = sc.Trace(np.cumsum([0, *gaps]) * 1_000_000)
    first = sc.simulate(problem, trace, Whims(whim), sampled=False)
    sla = float(first.responses.max()) * looseness
    problem = problem.replace(application=problem.application.replace(sla=sla))
    for policy in (
        Whims(whim),
        sc.baselines.FixedKeepAlive(seconds=0.0),
        sc.baselines.FixedKeepAlive(seconds=5.0),
        sc.baselines.AlwaysWarm(),
        sc.baselines.GrandSLAm(interval=5.0),
        sc.PublishedSmiless(),
        sc.PublishedSmiless(windows_follow_dag=False),
    ):
        run = sc.simulate(problem, trace, policy, sampled=False)
        if _late(run):
            continue
        assert not math.isnan(run.clairvoyant), f"{run.policy} does what cannot be done"
        rounding = 1e-9 * trace.count * max(each.price for f in run.functions for each in f.usage)
        assert run.clairvoyant <= run.total_cost * (1 + 1e-9) + rounding, run.policy


def test_no_policy_costs_less_by_a_change_of_configuration():
    """Far apart, requests are served by what starts cheaply; close together, by what stays cheaply.

    On the GPU each of the 40 far ones costs 5 (1 + .1); the CPU is started once, 10, and stays for 200 requests.
    """
    models = {
        "cpu": hardware_profile(alpha=0.0, beta=1.0, cold_start_mean=10.0, sizes=(1,)),
        "gpu": hardware_profile(alpha=0.0, beta=0.1, cold_start_mean=1.0, sizes=(1,)),
    }
    problem = chain(1.0, sla=1.2).replace(profiles={"f0": sc.Profile("f0", models)}, prices=sc.Prices(cpu=1.0, gpu=5.0))
    far, close = 1000.0 * np.arange(40), 40_000.0 + 2.0 * np.arange(200)

    def decide(seen):
        if seen.now == 0.0:
            return sc.Decision({"f0": sc.Directive(configuration=GPU)}, wake=39_985.0)
        start = sc.TimedStart(39_985.0, 40_001.0)
        return sc.Decision({"f0": sc.Directive.keep_alive(CPU, 1.5).replace(starts=(start,))})

    run = sc.simulate(problem, sc.Trace.from_seconds([*far, *close]), Told(decide), sampled=False)
    assert not run.late.any()
    assert run.total_cost < 650.0
    assert run.clairvoyant <= run.total_cost


def test_no_policy_costs_less_alone_where_only_batches_were_measured():
    """An instance for two serves one in less time than two."""
    model = hardware_profile(alpha=0.0, beta=1.0, gamma=0.5, cold_start_mean=0.0, sizes=(1,), batches=(2,))
    problem = chain(1.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    told = Told(lambda seen: sc.Decision({"f0": sc.Directive(configuration=sc.Configuration("cpu", 1, 2))}))
    for sla in (2.0, 20.0):
        problem = problem.replace(application=problem.application.replace(sla=sla))
        run = sc.simulate(problem, sc.Trace.from_seconds([0.0, 100.0]), told, sampled=False)
        assert run.responses.tolist() == [1.5, 1.5]
        assert run.total_cost == 3.0
        assert run.clairvoyant <= 3.0, sla


# --- random cold starts ----------------------------------------------------------------------------------------


@examples(60)
@given(st.floats(0.0, 20.0), st.sampled_from([0.0, 0.01, 0.5, 3.0, 12.0]), st.floats(0.0, 40.0))
def test_random_cold_starts_by_numeric_integration(mean, std, x):
    """Two arrivals x + L apart, an SLA of L: two services, a cold start, and the shorter of x and another."""
    assume(mean > 0.0 or std > 0.0)
    model = hardware_profile(
        alpha=0.0, beta=1.0, cold_start_mean=mean, cold_start_std=std, sizes=(1,), cold_start_samples=(7.0,)
    )
    problem = chain(1.0, sla=1.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    apart = round(x * 1e9) + 10**9
    stated = sc.clairvoyant_cost(problem, sc.Trace(np.array([0, apart])))

    def mean_of_the_shorter(limit: float) -> float:
        if std == 0.0:
            return min(limit, mean)
        knees = [each for each in (mean - 6 * std, mean, mean + 6 * std) if 0.0 < each < limit]
        edges = [0.0, *knees, limit]
        law = norm(mean, std)
        return sum(integrate.quad(law.sf, low, high)[0] for low, high in pairwise(edges))

    expected = 2.0 + mean_of_the_shorter(mean + 12 * std) + mean_of_the_shorter((apart - 10**9) / 1e9)
    assert stated == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_the_mean_cost_of_restarts_is_the_bound_where_there_is_no_other_way():
    """Far apart, all policies start anew: the cost of many draws is that of the bound, within four standard errors."""
    model = hardware_profile(alpha=0.0, beta=1.0, cold_start_mean=2.0, cold_start_std=1.5, sizes=(1,))
    problem = chain(1.0, sla=1000.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    count = 4000
    trace = sc.Trace(np.arange(count) * 10_000 * 10**9)
    run = sc.simulate(problem, trace, sc.baselines.FixedKeepAlive(seconds=0.0), seed=11)
    assert run.total_cost / run.clairvoyant == pytest.approx(1.0, abs=4 * 1.5 / 3.0 / math.sqrt(count))


# --- the trace ----------------------------------------------------------------------------------------------------


@examples(30)
@given(problems(), st.lists(st.integers(0, 20_000), max_size=30), st.integers(-(10**17), 10**18))
def test_the_origin_and_the_concurrency_of_plans_do_not_matter(problem, gaps, origin):
    problem = problem.replace(application=problem.application.replace(sla=30.0))
    at = np.cumsum([0, *gaps]) * 1_000_000
    stated = sc.clairvoyant_cost(problem, sc.Trace(at))
    assert sc.clairvoyant_cost(problem, sc.Trace(at + origin)) == pytest.approx(stated, nan_ok=True)
    other = problem.replace(concurrency=problem.concurrency + 1)
    assert sc.clairvoyant_cost(other, sc.Trace(at)) == pytest.approx(stated, nan_ok=True)


@examples(30)
@given(problems(), st.lists(st.integers(0, 20_000), max_size=30), st.floats(0.5, 40.0), st.floats(1.0, 3.0))
def test_a_looser_sla_costs_no_more(problem, gaps, sla, factor):
    def stated(sla: float) -> float:
        within = problem.replace(application=problem.application.replace(sla=sla))
        return sc.clairvoyant_cost(within, sc.Trace(np.cumsum([0, *gaps]) * 1_000_000))

    tight, loose = stated(sla), stated(sla * factor)
    assert math.isnan(tight) or loose <= tight * (1 + 1e-12)


def test_a_long_trace_is_reckoned_in_parts_and_in_no_time():
    """More than 2**20 gaps, short and long ones; those that may share a batch lie across the boundary, too."""
    model = hardware_profile(alpha=0.0, beta=0.5, gamma=0.5, cold_start_mean=3.0, sizes=(1,), batches=(1, 4))
    problem = chain(1.0, sla=1.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    gaps = np.tile([2, 1, 1, 90], 300_000) * 10**9
    trace = sc.Trace(np.cumsum([0, *gaps]))
    # Two gaps of 1 s make three arrivals that may be served at .625 s each; the fourth is alone, as is the last of all.
    # Of the gaps, 2 s leave 1 s idle and 90 s a cold start.
    count = len(gaps) // 4
    expected = 3.0 + count * (3 * 0.625 + 1.0 + 1.0 + 3.0) + 1.0
    assert sc.clairvoyant_cost(problem, trace, sampled=False) == pytest.approx(expected, rel=1e-12)
