"""The enumerating oracle against hand-worked numbers, against itself, and against the slow twin."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction as F

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedule_oracle as oracle
import twin
from schedule_oracle import Mode
from strategies import examples

ONE_OF_TWO = oracle.exact([(10, 0.5), (100, 0.5)])
THREE = oracle.exact([(10, 0.09), (11, 0.9), (100, 0.01)])
MOSTLY_SIX = oracle.exact([(6, 0.9), (1000, 0.05), (10000, 0.05)])


def points(*values: float) -> list[tuple[F, F]]:
    return [(oracle.fraction(x), oracle.fraction(x)) for x in values]


def cost(atoms, ready_set, *, latency, cold_start, bridged=None):
    return oracle.planning_cost(atoms, ready_set, latency=latency, cold_start=cold_start, bridged=bridged).cost


def always(x: float) -> tuple[tuple[F, F], ...]:
    return oracle.exact([(x, 1)])


# --- worked examples ------------------------------------------------------------------------------


def test_chain_costs():
    assert cost(ONE_OF_TWO, points(10, 100), latency=1, cold_start=2) == 4
    assert cost(ONE_OF_TWO, points(10, 100), latency=1, cold_start=1) == F(5, 2)


def chain_modes() -> tuple[list[Mode], list[Mode]]:
    def modes(cold_start: int, *readinesses: str) -> list[Mode]:
        stays = oracle.planning_cost(ONE_OF_TWO, points(10, 100), latency=1, cold_start=cold_start).stays
        return [Mode(F(1), F(cold_start), r, stays if r == "prewarmed" else ()) for r in readinesses]

    return modes(2, "prewarmed", "on_request"), modes(1, "prewarmed", "on_arrival", "on_request")


@pytest.mark.parametrize(
    ("sla", "announced", "best", "choice"),
    [
        (4, True, 5, ("on_request", "on_arrival")),
        (3, True, 6, ("prewarmed", "on_arrival")),
        (2, True, 6, ("prewarmed", "on_arrival")),
        (4, False, F(11, 2), ("on_request", "prewarmed")),
        (3, False, 6, ("prewarmed", "on_request")),
        (2, False, F(13, 2), ("prewarmed", "prewarmed")),
        (F(199, 100), True, None, None),
        (F(199, 100), False, None, None),
    ],
)
def test_chain_table(sla, announced, best, choice):
    found = {}
    for modes in itertools.product(*chain_modes()):
        if not announced and any(m.readiness == "on_arrival" for m in modes):
            continue
        if oracle.attainment(ONE_OF_TWO, modes, [(0, 1)], sla=sla, announced=announced) == 1:
            total = sum(oracle.mode_cost(ONE_OF_TWO, m) for m in modes)
            found[tuple(m.readiness for m in modes)] = total
    assert min(found.values(), default=None) == best
    if choice is not None:
        assert found[choice] == best


def test_chain_shortest_response_is_two():
    for announced in (False, True):
        responses = [
            oracle.response(F(10), modes, [(0, 1)], announced=announced)
            for modes in itertools.product(*chain_modes())
            if announced or modes[1].readiness != "on_arrival"
        ]
        assert min(responses) == 2


def test_equal_latency_and_summed_cold_start_do_not_give_equal_cost():
    both = [sum(cost(always(8), points(8), latency=0, cold_start=t) for t in pair) for pair in ((5, 5), (0, 10))]
    assert both == [10, 8]


def test_bridging_a_gap_shorter_than_the_cold_start():
    assert cost(always(10), points(10), latency=0.5, cold_start=20) == 10
    assert cost(always(10), points(10), latency=0.5, cold_start=20, bridged=[False]) == F(41, 2)


def test_bridging_across_probability():
    pair = points(10, 100)
    assert cost(THREE, pair, latency=1, cold_start=5) == F(780, 100)
    assert cost(THREE, pair, latency=1, cold_start=5, bridged=[False, True]) == F(780, 100)
    assert cost(THREE, pair, latency=1, cold_start=5, bridged=[False, False]) == F(1055, 100)
    assert cost(THREE, [(10, 11), (100, 100)], latency=1, cold_start=5) == F(696, 100)
    best = oracle.cheapest(THREE, latency=1, cold_start=5, ready_set=pair)
    assert best.cost == F(696, 100)
    assert oracle.contains(best.stays, [(10, 11), (100, 100)])


def test_cold_tolerant():
    """Keeping until 6 costs 6.5 and initialising for 6 costs 5.7: on_request, 5.2, is cheapest either way.

    5.92 is .9 * 6 + .1 * (T + L): what keeping costs if nothing is kept in the gaps that turn out long.
    """
    keep = cost(MOSTLY_SIX, points(6), latency=0.2, cold_start=5, bridged=[True])
    assert keep == F(65, 10)
    assert cost(MOSTLY_SIX, points(6), latency=0.2, cold_start=5) == F(57, 10)
    assert keep - F(1, 10) * (6 - F(2, 10)) == F(592, 100)
    best = oracle.cheapest(MOSTLY_SIX, latency=0.2, cold_start=5)
    assert (best.cost, best.stays) == (F(52, 10), ())
    mostly_one = oracle.exact([(1, 0.9), (1000, 0.05), (10000, 0.05)])
    assert cost(mostly_one, points(1), latency=0.2, cold_start=5) == F(15, 10)
    assert oracle.cheapest(mostly_one, latency=0.2, cold_start=5).cost == F(15, 10)


def test_waiting_counts():
    atoms = oracle.exact([(9, 0.75), (10, 0.25)])
    result = oracle.planning_cost(atoms, points(10), latency=2, cold_start=4)
    assert result.cost == 6
    assert result.waits == (1, 0)
    mode = Mode(F(2), F(4), "prewarmed", result.stays)
    assert oracle.attainment(atoms, [mode], sla=4) == 1
    best = oracle.cheapest(atoms, latency=2, cold_start=4, miss_price=1000, tolerated_wait=2)
    assert (best.value, best.misses) == (6, 0)
    assert oracle.cheapest(atoms, latency=2, cold_start=4, miss_price=1000).value == F(625, 100)


@pytest.mark.parametrize(("latency", "cold_start", "x"), [(1, 2, 10), (1, 30, 10), (F(1, 2), 20, 10), (0, 5, 8)])
def test_deterministic_rule(latency, cold_start, x):
    atoms = always(x)
    assert cost(atoms, points(x), latency=latency, cold_start=cold_start) == min(cold_start + latency, x)


def test_alternating_cold_and_warm_is_outside_the_class():
    best = oracle.cheapest(always(1), latency=0.05, cold_start=0.9, miss_price=1000, tolerated_wait=0.9)
    assert best.cost == F(95, 100)


def test_overlap_is_refused():
    with pytest.raises(ValueError, match="overlap"):
        cost(always(3), points(3), latency=10, cold_start=100)


def test_schedules_of_a_ready_set():
    """T = 5, L = 1: started for 10, bridged to 12, started for 100; work comes 8 s after the arrival."""
    stays = (
        oracle.Held(F(5), F(10), F(11), False),
        oracle.Held(F(11), F(12), F(12), True),
        oracle.Held(F(95), F(100), F(105), False),
    )
    options = {"latency": F(1), "cold_start": F(5), "earliest_start": F(8)}
    spans = [tuple(held[:3]) for held in oracle.schedule(stays, **options)]
    assert spans == [(13, 18, 19), (19, 19, 20), (103, 108, 113)]
    # Announced: the first two merge and would start at 13, after 12.
    spans = [tuple(held[:3]) for held in oracle.schedule(stays, announced=True, **options)]
    assert spans == [(103, 108, 105)]
    kept = (oracle.Held(F(1), F(10), F(10), True), stays[1]._replace(start=F(10)))
    spans = [tuple(held[:3]) for held in oracle.schedule(kept, announced=True, **options)]
    assert spans == [(9, 9, 12)]


# --- the oracle against itself --------------------------------------------------------------------

halves = st.integers(1, 24).map(lambda k: F(k, 2))


@st.composite
def arrivals(draw, least=F(0), most=5):
    xs = draw(st.lists(halves, min_size=1, max_size=most, unique=True))
    weights = [draw(st.integers(1, 4)) for _ in xs]
    return tuple(sorted((least + x, F(w, sum(weights))) for x, w in zip(xs, weights, strict=True)))


@examples(60)
@given(st.data(), halves, halves, halves)
def test_enumeration_is_the_direct_formula(data, latency, cold_start, sigma):
    atoms = data.draw(arrivals(least=latency, most=4))
    miss_price = data.draw(st.integers(0, 40))
    values = []
    for stays in oracle.every_schedule([x for x, _ in atoms], latency=latency, cold_start=cold_start):
        direct = oracle.planning_cost(
            atoms,
            [(s.ready, s.until) for s in stays],
            latency=latency,
            cold_start=cold_start,
            bridged=[s.bridged for s in stays],
        )
        assert direct.stays == stays
        late = sum(p for (_, p), missed in zip(atoms, direct.missed(sigma), strict=True) if missed)
        values.append(direct.cost + miss_price * late)
    best = oracle.cheapest(atoms, latency=latency, cold_start=cold_start, miss_price=miss_price, tolerated_wait=sigma)
    assert best.value == min(values)
    assert best.schedules == len(values)


@examples(60)
@given(st.data(), halves, halves)
def test_the_bridging_rule_is_the_cheapest_choice(data, latency, cold_start):
    atoms = data.draw(arrivals(least=latency))
    chosen = data.draw(st.lists(st.sampled_from(atoms), min_size=1, unique=True))
    ready_set = [(x, x) for x, _ in sorted(chosen)]
    by_rule = cost(atoms, ready_set, latency=latency, cold_start=cold_start)
    every = itertools.product((True, False), repeat=len(ready_set))
    assert by_rule == min(
        cost(atoms, ready_set, latency=latency, cold_start=cold_start, bridged=choice) for choice in every
    )


@examples(40)
@given(st.data(), halves, halves, halves)
def test_later_readiness_helps_only_where_a_wait_is_tolerated(data, latency, cold_start, sigma):
    """Endpoints halfway between the breakpoints never beat atoms and atoms + sigma."""
    atoms = data.draw(arrivals(least=latency, most=2))
    options = {"latency": latency, "cold_start": cold_start, "miss_price": 50, "tolerated_wait": sigma}
    few = oracle.endpoints(atoms, tolerated_wait=sigma)
    between = [(a + b) / 2 for a, b in itertools.pairwise(few)]
    assert (
        oracle.cheapest(atoms, points=few, **options).value
        == oracle.cheapest(atoms, points=[*few, *between], **options).value
    )


def test_later_readiness_is_cheaper_when_a_wait_is_tolerated():
    atoms = oracle.exact([(10, 0.9), (20, 0.1)])
    options = {"latency": 1, "cold_start": 4, "miss_price": 1000, "tolerated_wait": 3}
    at_atoms = oracle.cheapest(atoms, **options)
    later = oracle.cheapest(atoms, points=oracle.endpoints(atoms, tolerated_wait=F(3)), **options)
    assert at_atoms.misses == later.misses == 0
    assert (later.value, at_atoms.value) == (F(54, 10), F(54, 10))
    atoms = oracle.exact([(10, 0.45), (12, 0.45), (20, 0.1)])
    assert oracle.cheapest(atoms, **options).value == F(54, 10)
    options["tolerated_wait"] = F(5, 2)
    atoms = oracle.exact([(10, 0.45), (13, 0.45), (20, 0.1)])
    at_atoms = oracle.cheapest(atoms, **options)
    later = oracle.cheapest(atoms, points=oracle.endpoints(atoms, tolerated_wait=F(5, 2)), **options)
    assert at_atoms.misses == later.misses == 0
    assert later.value < at_atoms.value


# --- the oracle against the twin ------------------------------------------------------------------


def as_plan(mode: Mode, *, earliest_start: F = F(0), announced: bool = False) -> twin.FunctionPlan:
    stays = oracle.schedule(
        mode.stays,
        latency=mode.latency,
        cold_start=mode.cold_start,
        earliest_start=earliest_start,
        announced=announced,
    )
    schedules = (tuple(twin.Stay(*stay[:3]) for stay in stays),) if mode.readiness == "prewarmed" else ()
    return twin.FunctionPlan(mode.price, mode.latency, mode.cold_start, mode.readiness, schedules)


@st.composite
def cycles(draw, least):
    """Gaps of one cycle and their atoms."""
    few = draw(st.lists(halves, min_size=1, max_size=4, unique=True))
    gaps = [least + x for x in draw(st.lists(st.sampled_from(few), min_size=1, max_size=7))]
    atoms = tuple((x, F(gaps.count(x), len(gaps))) for x in sorted(set(gaps)))
    return gaps, atoms


@examples(250)
@given(st.data(), halves, halves)
def test_planning_cost_is_the_replay_where_it_is_exact(data, latency, cold_start):
    """All X >= T + L, one function: equal to the twin's long run, exactly, if no late finish meets a stay.

    That is: every X is met ready, or every stay begins at least T + L after the arrival.  Else a miss only
    saves: the late finish takes over a stay that had begun, and `gap` follows the sequence.
    """
    gaps, atoms = data.draw(cycles(latency + cold_start))
    every = list(oracle.every_schedule([x for x, _ in atoms], latency=latency, cold_start=cold_start))
    stays = data.draw(st.sampled_from(every))
    mode = Mode(latency, cold_start, "prewarmed", stays, F(3))
    replayed = twin.long_run_cost(gaps, [as_plan(mode)])
    planned = oracle.mode_cost(atoms, mode)

    wait, billed = cold_start, F(0)
    for lap in range(3):
        for x in gaps:
            spent, wait = oracle.gap(wait, x, stays, latency=latency, cold_start=cold_start)
            billed += spent if lap == 2 else 0
    assert replayed == 3 * billed / len(gaps)

    waits = oracle.evaluate(atoms, stays, price=F(3), latency=latency, cold_start=cold_start).waits
    if max(waits) == 0 or all(s.start >= latency + max(waits) for s in stays):
        assert replayed == planned
        assert replayed == oracle.replay_cost(atoms, stays, price=3, latency=latency, cold_start=cold_start)
    else:
        assert replayed <= planned


def test_a_late_finish_eats_into_the_stay_that_is_kept():
    """T = 2, L = 1, kept until 10, X = 10 or 20: planned with 9 idle seconds after a miss, not with 7."""
    atoms = oracle.exact([(10, 0.5), (20, 0.5)])
    options = {"latency": F(1), "cold_start": F(2)}
    result = oracle.planning_cost(atoms, points(10), bridged=[True], **options)
    assert result.cost == 1 + 9 + F(2, 2)
    mode = Mode(F(1), F(2), "prewarmed", result.stays)
    # Of the four pairs of gaps each comes once in this cycle.
    replayed = twin.long_run_cost([10, 10, 20, 20], [as_plan(mode)])
    assert replayed == result.cost - F(2, 2)
    assert oracle.replay_cost(atoms, result.stays, **options) == replayed


def test_replay_cost_of_independent_gaps():
    """Against the twin on a cycle in which every pair of gaps comes once, where one gap settles the next
    wait.
    """
    xs, options = [F(6), F(8), F(30)], {"latency": F(2), "cold_start": F(4)}
    atoms = tuple((x, F(1, 3)) for x in xs)
    cycle = [xs[i] for i in (0, 0, 1, 1, 2, 2, 0, 2, 1)]
    assert len(set(zip(cycle, cycle[1:] + cycle[:1], strict=True))) == 9
    compared = differ = 0
    for stays in oracle.every_schedule(xs, **options):
        follow = {x: {oracle.gap(w, x, stays, **options)[1] for w in (F(0), F(2), F(4))} for x in xs}
        if all(len(waits) == 1 for waits in follow.values()):
            expected = oracle.replay_cost(atoms, stays, **options)
            mode = Mode(*options.values(), "prewarmed", stays)
            assert twin.long_run_cost(cycle, [as_plan(mode)]) == expected
            compared += 1
            differ += expected != oracle.mode_cost(atoms, mode)
    assert compared >= 12
    assert differ > 1


def test_replay_cost_with_a_long_memory():
    """Gaps of 6 alternate between waiting and not: solved by hand as a two-state chain, and drawn."""
    xs, options = [F(6), F(8), F(30)], {"latency": F(2), "cold_start": F(4)}
    atoms = tuple((x, F(1, 3)) for x in xs)
    stays = (oracle.Held(F(4), F(8), F(8), False),)
    expected = oracle.replay_cost(atoms, stays, **options)
    draw = random.Random(3)
    gaps = [draw.choice(xs) for _ in range(20_000)]
    plan = as_plan(Mode(*options.values(), "prewarmed", stays))
    assert float(twin.replay(twin.times(gaps), [plan]).cost) == pytest.approx(float(expected), abs=0.03)


# --- whole applications against the twin ----------------------------------------------------------


@st.composite
def applications(draw):
    n = draw(st.integers(1, 4))
    edges = [(u, v) for v in range(n) for u in range(v) if draw(st.booleans())]
    return n, edges


@examples(150)
@given(st.data(), applications(), st.booleans())
def test_responses_of_an_application(data, application, announced):
    """The second of two arrivals, the first of which found everything ready."""
    n, edges = application
    readinesses = ["prewarmed", "on_request", *(["on_arrival"] if announced else [])]
    drawn = [(data.draw(halves), data.draw(halves), data.draw(st.sampled_from(readinesses))) for _ in range(n)]
    _, atoms = data.draw(cycles(sum(latency + cold_start for latency, cold_start, _ in drawn)))
    modes = []
    for latency, cold_start, readiness in drawn:
        every = list(oracle.every_schedule([x for x, _ in atoms][:4], latency=latency, cold_start=cold_start))
        stays = data.draw(st.sampled_from(every)) if readiness == "prewarmed" else ()
        modes.append(Mode(latency, cold_start, readiness, stays))
    starts = oracle.earliest_starts(modes, edges)
    plans = [
        as_plan(mode, earliest_start=start, announced=announced) for mode, start in zip(modes, starts, strict=True)
    ]
    warm = [int(mode.readiness == "prewarmed") for mode in modes]
    for x, _ in atoms:
        pair = twin.replay(twin.times([x]), plans, edges=edges, announced=announced, warm=warm)
        expected = oracle.response(x, modes, edges, announced=announced)
        assert pair.responses[1] == twin.nanoseconds(expected)
