"""Runs side by side, kept in files and found again."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import smiless_core as sc
from problems import chain
from smiless_core.simulator.storage import decode_run, encode_run

ARRIVALS = sc.Trace.from_seconds(np.cumsum(np.random.default_rng(3).exponential(9.0, 40)), name="nine")
PROBLEM = chain(1.0, 2.0, sla=5.0)
POLICIES = [sc.baselines.FixedKeepAlive(seconds=12.0), sc.baselines.AlwaysWarm()]


class Counting:
    """Keeps instances, and leaves a mark in a directory whenever it starts."""

    name, fidelity = "counting", "own rule"

    def __init__(self, directory: Path, *, failures: int = 0) -> None:
        self.directory, self.failures = directory, failures

    def start(self, problem, *, now, seed):
        marks = len(list(self.directory.iterdir()))
        (self.directory / str(marks)).touch()
        if marks < self.failures:
            raise RuntimeError("not yet")
        return sc.baselines.AlwaysWarm().start(problem, now=now, seed=seed)


def untimed(run: sc.Run) -> bytes:
    return encode_run(run.replace(decision_time=0.0))


def test_runs_are_in_the_order_asked_for():
    found = sc.compare([PROBLEM, chain(1.0)], ARRIVALS, POLICIES, seed=3)
    assert [(run.application.name, run.policy) for run in found] == [
        (problem.application.name, policy.name) for problem in (PROBLEM, chain(1.0)) for policy in POLICIES
    ]
    assert found["always warm"].policy == "always warm"
    assert len(found) == 4
    assert "always warm" in str(found)
    with pytest.raises(sc.InvalidInputError, match="did you mean 'always warm'"):
        found["always worm"]


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_make_the_same_runs(workers):
    alone = sc.compare(PROBLEM, ARRIVALS, POLICIES, seed=3, timeline=True)
    with ProcessPoolExecutor(workers) as executor:
        together = sc.compare(PROBLEM, ARRIVALS, POLICIES, seed=3, timeline=True, executor=executor)
    assert [untimed(run) for run in alone] == [untimed(run) for run in together]


def test_a_sweep_judges_by_every_sla_and_target():
    found = sc.sweep([PROBLEM], [ARRIVALS], POLICIES[:1], slas=[4.0, 9.0], targets=[0.5, 1.0], seeds=[0, 1])
    assert [(run.sla, run.target, run.seed) for run in found] == [
        (sla, target, seed) for sla in (4.0, 9.0) for target in (0.5, 1.0) for seed in (0, 1)
    ]


def test_dask_workers_make_the_same_runs():
    distributed = pytest.importorskip("distributed")
    alone = sc.compare(PROBLEM, ARRIVALS, POLICIES, seed=3)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        together = sc.sweep([PROBLEM], [ARRIVALS], POLICIES, seeds=[3], timeline=True, executor=client.get_executor())
    assert [untimed(run) for run in alone] == [untimed(run) for run in together]


def test_what_is_finished_is_not_computed_again(tmp_path):
    marks, kept = tmp_path / "marks", tmp_path / "kept"
    marks.mkdir()
    policy = Counting(marks)

    def swept(problem=PROBLEM, trace=ARRIVALS, seeds=(0, 1), policy=policy) -> int:
        with ProcessPoolExecutor(1) as executor:
            found = sc.sweep([problem], [trace], [policy], seeds=seeds, directory=kept, executor=executor)
        assert not found.failed
        return len(list(marks.iterdir()))

    assert swept() == 2
    assert swept() == 2
    assert swept(seeds=[0, 1, 2]) == 3
    assert swept(problem=chain(1.0, 2.0, sla=6.0)) == 5
    assert swept(trace=ARRIVALS.replace(times=ARRIVALS.times + 1)) == 7
    assert swept(policy=Counting(marks, failures=1)) == 9
    assert swept() == 9


def test_a_run_that_fails_is_tried_again_and_reported(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    policies = [Counting(tmp_path / "a", failures=1), Counting(tmp_path / "b", failures=9), POLICIES[1]]
    with ProcessPoolExecutor(1) as executor:
        found = sc.sweep([PROBLEM], [ARRIVALS], policies, executor=executor, retries=1)
    assert [run.policy for run in found] == ["counting", "always warm"]
    assert list(found.failed.values()) == ["policy 'counting' at 0 s: RuntimeError: not yet"]
    with pytest.raises(sc.InvalidInputError, match="'counting' at 0 s: RuntimeError: not yet"):
        sc.compare(PROBLEM, ARRIVALS, [Counting(tmp_path / "b", failures=9)])


def test_runs_come_back_to_the_last_bit(tmp_path):
    runs = [
        sc.simulate(PROBLEM, ARRIVALS, POLICIES[0], seed=5, timeline=True),
        sc.simulate(chain(1.0, sla=0.5), ARRIVALS, POLICIES[1]),  # no bound: that is NaN
    ]
    sc.write_runs(tmp_path / "runs.json", runs)
    back = sc.read_runs(tmp_path / "runs.json")
    assert [encode_run(run) for run in back] == [encode_run(run) for run in runs]
    assert [run.to_dict() for run in back] == [run.to_dict() for run in runs]
    assert np.isnan(back[1].clairvoyant)
    for one, other in zip(runs[0].services, back[0].services, strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    assert decode_run(encode_run(runs[0])).late.tolist() == runs[0].late.tolist()


def test_other_files_hold_no_runs(tmp_path):
    path = tmp_path / "runs.json"
    sc.write_runs(path, [sc.simulate(PROBLEM, ARRIVALS, POLICIES[0])])
    whole = path.read_bytes()
    for data in (
        whole[: len(whole) // 2],
        b"",
        b"[]",
        b'{"schema": 2, "runs": []}',
        b'{"schema": 1, "runs": [{}]}',
        b"\xff",
    ):
        path.write_bytes(data)
        with pytest.raises(sc.InvalidInputError) as caught:
            sc.read_runs(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(sc.InvalidInputError, match="no such file"):
        sc.read_runs(tmp_path / "none.json")


def test_records_are_the_services(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "records.parquet"
    run = sc.simulate(PROBLEM, ARRIVALS, POLICIES[0], timeline=True, records=path)
    rows = parquet.read_table(path).to_pydict()
    names = PROBLEM.application.names
    assert rows["function"] == [names[v] for v in run.services.function]
    for column, values in (
        ("invocation", run.services.invocation),
        ("instance", run.services.serial),
        ("batch", run.services.batch),
        ("cold", run.services.cold),
    ):
        assert rows[column] == values.tolist()
    for column in ("comes", "begins", "finishes"):
        assert (np.array(rows[column]) / 1e9).tolist() == getattr(run.services, column).tolist()
    assert len(rows["function"]) == 2 * run.count


def test_no_file_of_records_is_left_of_a_run_that_fails(tmp_path):
    pytest.importorskip("pyarrow")

    class Failing:
        name, fidelity = "failing", "own rule"

        def start(self, problem, *, now, seed):
            decide = POLICIES[1].start(problem, now=now, seed=seed)
            return lambda seen: decide(seen)._replace(wake=20.0) if seen.now < 20.0 else 1 / 0

    with pytest.raises(sc.InvalidInputError, match="ZeroDivisionError"):
        sc.simulate(PROBLEM, ARRIVALS, Failing(), records=tmp_path / "records.parquet")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(sc.InvalidInputError, match="cannot be written"):
        sc.simulate(PROBLEM, ARRIVALS, POLICIES[1], records=tmp_path / "no" / "records.parquet")


def test_the_table_names_no_simplified_policy_in_its_headline():
    runs = sc.compare(PROBLEM, ARRIVALS, [sc.baselines.GrandSLAm(), sc.baselines.FixedKeepAlive(seconds=500.0)])
    headline = str(runs).split("\n\n")[0]
    assert "GrandSLAm" not in headline
    assert "of those that are not simplified" in " ".join(headline.split())
    assert "GrandSLAm *" in str(runs)


def test_settings_hold_no_addresses(tmp_path):
    run = sc.simulate(PROBLEM, ARRIVALS, Counting(tmp_path))
    assert run.settings == "Counting"
    assert sc.simulate(PROBLEM, ARRIVALS, POLICIES[0]).settings.startswith("FixedKeepAlive(seconds=12.0")


@pytest.mark.parametrize("target", [0.05, 0.5, 1.0])
def test_the_policy_of_this_library_takes_any_target(target):
    problem = sc.Problem(sc.catalog.application("image-query"), sc.catalog.profiles(), sc.catalog.prices())
    run = sc.simulate(problem, ARRIVALS, sc.Smiless(target=target) if target < 1.0 else sc.Smiless())
    assert run.count == ARRIVALS.count


def test_failures_of_the_same_title_are_all_reported(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    with ProcessPoolExecutor(1) as executor:
        found = sc.sweep(
            [PROBLEM],
            [ARRIVALS],
            [Counting(tmp_path / "a", failures=9), Counting(tmp_path / "b", failures=9)],
            executor=executor,
            retries=0,
        )
    assert len(found.failed) == 2


def test_other_things_are_no_problems_and_no_traces():
    with pytest.raises(sc.InvalidInputError, match="expected a Problem, got 3"):
        sc.compare([3], ARRIVALS, POLICIES)
    with pytest.raises(sc.InvalidInputError, match="expected a Trace, got 3"):
        sc.compare(PROBLEM, 3, POLICIES)
