"""Adding up: frontiers, means, targets, and what is printed."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from smiless_core.backtests import ChainSwitching, Curve, FixedKeepAlives, Played, Point, Scene, keep_target
from smiless_core.targets import ApplicationTarget, FleetTarget, FleetTargetWithCeiling
from strategies import examples

pytestmark = pytest.mark.native


def traces(count=6, arrivals=60, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"f{k}": sc.Trace.from_seconds(np.cumsum(rng.exponential(20.0 * (k + 1), arrivals)), name=f"f{k}")
        for k in range(count)
    }


def curve(pairs):
    return Curve("m", "own rule", tuple(Point("s", m, c, m, c, math.nan) for m, c in pairs), None)


def test_costs_at_misses_by_hand():
    found = curve([(0.01, 8.0), (0.03, 4.0), (0.02, 9.0)])
    assert found.cost_at(0.005) != found.cost_at(0.005)  # NaN: none misses as few
    assert found.cost_at(0.01) == 8.0
    assert found.cost_at(0.02) == pytest.approx(6.0)
    assert found.cost_at(0.03) == 4.0
    assert found.cost_at(0.9, mean=True) == 4.0


parts = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@examples(80)
@given(st.lists(st.tuples(parts, st.floats(1, 50)), min_size=1, max_size=8), parts)
def test_costs_at_misses_are_those_of_the_best_random_choice(pairs, misses):
    found = curve(pairs).cost_at(misses)
    grid = [c for m, c in pairs if m <= misses]
    for m, c in pairs:
        for n, d in pairs:
            for part in np.linspace(0.0, 1.0, 41):
                if part * m + (1 - part) * n <= misses:
                    grid.append(part * c + (1 - part) * d)
    if not grid:
        assert math.isnan(found)
        return
    assert found <= min(grid) + 1e-9
    assert found >= min(c for _, c in pairs) - 1e-9
    if misses + 0.001 < 1.0:
        assert not curve(pairs).cost_at(misses + 0.001) > found + 1e-9  # more misses cost no more


def test_the_whole_is_the_sum_of_the_functions():
    given_traces = traces()
    method = FixedKeepAlives(seconds=(0.0, 30.0))
    found = sc.backtest(given_traces, [method])
    watched = max(trace.times[-1] for trace in given_traces.values())
    spent, missed, least = np.zeros(2), np.zeros(2), 0.0
    for trace in given_traces.values():
        gaps = np.diff(trace.times)
        played = method.play(Scene(gaps, int(watched - trace.times[-1]), 5 * 10**9, 0))
        spent += played.residency
        missed += played.missed
        least += np.minimum(trace.inter_arrivals, 5.0).sum()
    assert [point.cost for point in found.curves[0].points] == pytest.approx((spent / least).tolist())
    assert [point.misses for point in found.curves[0].points] == pytest.approx((missed / 354).tolist())
    assert found.gaps.tolist() == [59] * 6
    assert found.clairvoyant.sum() == pytest.approx(least)


def test_workers_and_kept_cells_change_nothing(tmp_path):
    given_traces = traces(3, 30)
    alone = sc.backtest(given_traces, targets=[FleetTarget(misses=0.05)])
    with ThreadPoolExecutor(2) as executor:
        other = sc.backtest(
            given_traces, targets=[FleetTarget(misses=0.05)], executor=executor, directory=tmp_path / "cells"
        )
    again = sc.backtest(given_traces, targets=[FleetTarget(misses=0.05)], directory=tmp_path / "cells")
    written = [json.dumps(each.to_dict(), allow_nan=False) for each in (alone, other, again)]
    assert written[0] == written[1] == written[2]
    assert str(alone) == str(other)


class Faulty:
    name, fidelity, settings = "faulty", "own rule", ("only",)

    def play(self, scene):
        if scene.gaps.size == 29 and scene.end == 0:
            raise ZeroDivisionError("no")
        return Played(np.zeros(1), np.zeros(1, np.int64))


class Unpicklable(FixedKeepAlives):
    def __reduce__(self):
        raise TypeError("no")


def test_what_is_kept_is_of_the_same_method(tmp_path):
    """Other settings under the same name are played anew."""
    given_traces = traces(2, 20)
    first = sc.backtest(given_traces, [FixedKeepAlives(seconds=(5.0,))], directory=tmp_path)
    other = sc.backtest(given_traces, [FixedKeepAlives(seconds=(50.0,))], directory=tmp_path)
    assert other.curves[0].points[0].cost != first.curves[0].points[0].cost


def test_progress_goes_from_nothing_to_all():
    told = []
    sc.backtest(
        traces(3, 30),
        [FixedKeepAlives()],
        targets=[FleetTarget(misses=0.1), ApplicationTarget(misses=0.1)],
        progress=lambda done, of: told.append((done, of)),
    )
    assert told[-1] == (3 + 2 * 87, 3 + 2 * 87)
    assert told == sorted(told)


def test_a_method_that_fails_is_left_out_and_told():
    found = sc.backtest(traces(3, 30), [Faulty(), FixedKeepAlives()])
    assert [each.method for each in found.curves] == ["fixed-keep-alive"]
    assert list(found.failures) == ["faulty"]
    assert "faulty: failed on 1 of 3 functions, on f" in str(found)
    assert "ZeroDivisionError: no" in sc.report.backtest_page(found)


@pytest.mark.parametrize("kind", [FleetTarget, FleetTargetWithCeiling, ApplicationTarget])
def test_a_target_is_kept_as_single_steps_keep_it(kind):
    """In the order in which gaps end, at the price of the moment."""
    given_traces = traces(4, 40, seed=3)
    target = kind(misses=0.1)
    names = list(given_traces)
    scenes = {n: Scene(np.diff(t.times), 0, 5 * 10**9, 0) for n, t in given_traces.items()}
    kept = keep_target(target, scenes, firsts=[int(t.times[0]) for t in given_traces.values()])
    prices = target.start(len(names))
    method = ChainSwitching()
    chains = [method.forecaster(scenes[n]) for n in names]
    events = sorted(
        (int(at), f, i) for f, n in enumerate(names) for i, at in enumerate(given_traces[n].times[1:].tolist())
    )
    spent, missed = [0.0] * 4, [0] * 4
    for _, f, i in events:
        gap = scenes[names[f]].gaps[i : i + 1]
        price, began = np.array([5.0 * prices.price(f)]), int(given_traces[names[f]].times[i])
        residency, late, _, _ = chains[f].meet(gap, price, cold_start=5.0, began=began)
        spent[f] += residency[0]
        missed[f] += int(late[0])
        prices.observe(f, missed=bool(late[0]))
    assert kept.missed.tolist() == missed
    assert kept.residency == pytest.approx(spent)
    assert kept.prices == pytest.approx([prices.price(f) for f in range(4)])


def test_a_fleet_comes_near_its_target():
    given_traces = traces(20, 300, seed=1)
    found = sc.backtest(given_traces, [], targets=[FleetTarget(misses=0.05), ApplicationTarget(misses=0.05)])
    for point in found.kept_points():
        assert point.misses == pytest.approx(0.05, abs=0.02)


def test_forecasts_of_random_arrivals_are_calibrated():
    """Stated misses come true, and the positions of gaps in their forecasts are even."""
    found = sc.backtest(traces(4, 1500, seed=2), [ChainSwitching()])
    (only,) = found.curves
    assert only.positions.sum() == pytest.approx(1.0)
    assert np.abs(only.positions - 0.05).max() < 0.02
    for point in only.points:
        if point.misses > 0.03:
            assert point.stated == pytest.approx(point.misses, rel=0.15)


def test_what_makes_no_sense():
    some = traces(2, 5)
    for wrong, place in [
        (lambda: sc.backtest({}), "traces"),
        (lambda: sc.backtest({"a": sc.Trace.from_seconds([1.0])}), "traces"),
        (lambda: sc.backtest({"a": 3}), "traces['a']"),
        (lambda: sc.backtest(some, []), "methods"),
        (lambda: sc.backtest(some, 5), "methods"),
        (lambda: sc.backtest(some, [5]), "methods[0]"),
        (lambda: sc.backtest([], None), "traces"),
        (lambda: sc.backtest(some, targets=[0.02]), "targets[0]"),
        (lambda: sc.backtest(some, [Unpicklable()], directory="cells"), "methods"),
        (lambda: sc.backtest(some, [FixedKeepAlives(), FixedKeepAlives()]), "methods"),
        (lambda: sc.backtest(some, cold_start=0.0), "cold_start"),
        (lambda: sc.backtest(some, tolerated_wait=-1.0), "tolerated_wait"),
        (lambda: sc.backtest(some, most_arrivals=1), "most_arrivals"),
    ]:
        with pytest.raises(sc.InvalidInputError) as caught:
            wrong()
        assert caught.value.place == place


def test_what_is_cut_off_is_watched_until_it_goes_on():
    """Of four arrivals three are looked at: the instance stays until the fourth comes, and not to the end."""
    times = [0.0, 10.0, 20.0, 27.0]
    found = sc.backtest(
        {"a": sc.Trace.from_seconds(times), "b": sc.Trace.from_seconds([0.0, 500.0])},
        [FixedKeepAlives(seconds=(100.0,))],
        most_arrivals=3,
    )
    a = 10.0 + 10.0 + 7.0
    b = 100.0 + 5.0  # gone after 100 s; and watched no longer than its last arrival
    assert found.curves[0].points[0].cost == pytest.approx((a + b) / found.clairvoyant.sum())


def test_only_settings_that_are_worth_it_are_drawn():
    found = sc.backtest(traces(4, 60), [FixedKeepAlives(seconds=(0.0, 5.0, 5.0, 1000.0, 2000.0, 30.0))])
    page = sc.report.backtest_page(found)
    drawn = json.loads(page.split('data-plot="frontier-plot">')[1].split("</script>")[0])
    for trace in drawn["data"]:
        assert trace["x"] == sorted(trace["x"])
        assert trace["y"] == sorted(set(trace["y"]), reverse=True)
