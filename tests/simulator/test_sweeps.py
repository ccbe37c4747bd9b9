"""Many runs: what is asked for is what comes back, whoever makes it, and what is finished is never made again."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import small_policies
import smiless_core as sc
from commandline import environment
from problems import chain, diamond, hardware_profile
from small_policies import Marking, Told

pytestmark = pytest.mark.native

TRACE = sc.Trace(np.cumsum(np.random.default_rng(8).integers(0, 2 * 10**10, 30)), name="drawn")
OTHER = sc.Trace.from_seconds([0.0, 5.0, 90.0], name="three")
KEEP = sc.baselines.FixedKeepAlive


def spread() -> sc.Problem:
    """Return a chain of two functions with random cold starts."""
    model = hardware_profile(alpha=0.0, beta=1.0, cold_start_std=0.5, sizes=(1,))
    problem = chain(1.0, 1.0, sla=4.0)
    return problem.replace(profiles={name: sc.Profile(name, {"cpu": model}) for name in ("f0", "f1")})


def written(found: sc.Comparison, tmp_path: Path) -> bytes:
    """Return all that runs say, but for the time that decisions took."""
    path = tmp_path / "written.json"
    sc.write_runs(path, [run.replace(decision_time=0.0) for run in found])
    return path.read_bytes()


class Marked:
    """A directory for runs, and a count of those made."""

    def __init__(self, tmp_path: Path) -> None:
        self.marks, self.kept = tmp_path / "marks", tmp_path / "kept"
        self.marks.touch()

    @property
    def made(self) -> int:
        return self.marks.stat().st_size

    def policy(self, **settings: float) -> Marking:
        return Marking(self.marks, **settings)


@pytest.fixture
def marked(tmp_path: Path) -> Marked:
    return Marked(tmp_path)


def test_the_order_is_that_of_the_question(tmp_path):
    problems = [spread(), diamond()]
    policies = [KEEP(seconds=5.0), sc.baselines.AlwaysWarm(), KEEP(seconds=1.0)]
    with ThreadPoolExecutor(2) as executor:
        found = sc.sweep(
            iter(problems),
            iter([TRACE, OTHER]),
            policies,
            seeds=iter([4, 2]),
            slas=iter([9.0, 3.0]),
            targets=iter([0.5, 1.0]),
            executor=executor,
        )
    assert [(run.application.name, run.sla, run.target, run.trace, run.seed, run.policy) for run in found] == [
        (problem.application.name, sla, target, trace.name, seed, policy.name)
        for problem in problems
        for sla in (9.0, 3.0)
        for target in (0.5, 1.0)
        for trace in (TRACE, OTHER)
        for seed in (4, 2)
        for policy in policies
    ]
    assert not found.failed
    # Each is what it would have been alone.
    for run in list(found)[::17]:
        problem = next(each for each in problems if each.application.name == run.application.name)
        problem = problem.replace(application=problem.application.replace(sla=run.sla, attainment_target=run.target))
        trace = TRACE if run.trace == TRACE.name else OTHER
        policy = next(each for each in policies if each.name == run.policy)
        assert sc.simulate(problem, trace, policy, seed=run.seed).to_dict() == run.to_dict()


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_asked_for_twice_comes_twice(tmp_path, kept):
    """Two policies of the same settings, and a problem given twice: as many runs as were asked for."""
    directory = tmp_path / "kept" if kept else None
    found = sc.compare(spread(), TRACE, [KEEP(), sc.baselines.AlwaysWarm(), KEEP()], directory=directory)
    assert [run.policy for run in found] == ["keep-alive 600 s", "always warm", "keep-alive 600 s"]


@pytest.fixture(scope="module", params=[1, 2])
def processes(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with ProcessPoolExecutor(request.param, mp_context=get_context("spawn")) as executor:
        yield executor


QUESTION = {"seeds": (0, 3), "slas": (4.0, 2.5), "timeline": True}
POLICIES = [KEEP(seconds=12.0), sc.PublishedSmiless(), sc.Smiless(), sc.baselines.HybridHistogram()]


@pytest.fixture(scope="module")
def in_threads(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with ThreadPoolExecutor(1) as executor:
        found = sc.sweep([spread()], [TRACE], POLICIES, executor=executor, **QUESTION)
    return written(found, tmp_path_factory.mktemp("threads"))


def test_processes_give_the_same_bytes(processes, in_threads, tmp_path):
    found = sc.sweep([spread()], [TRACE], POLICIES, executor=processes, **QUESTION)
    assert len(found) == 16
    assert written(found, tmp_path) == in_threads


def test_a_directory_gives_the_same_bytes(processes, in_threads, tmp_path):
    question = {"executor": processes, "directory": tmp_path / "kept", **QUESTION}
    first, second = (sc.sweep([spread()], [TRACE], POLICIES, **question) for _ in range(2))
    assert written(first, tmp_path) == written(second, tmp_path) == in_threads
    assert [run.decision_time for run in second] == [run.decision_time for run in first], "they were found there"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    directory = tmp_path_factory.mktemp("dask")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=directory
        ) as started,
        distributed.Client(started) as client,
    ):
        yield client.get_executor()


def test_a_cluster_gives_the_same_bytes(cluster, in_threads, tmp_path):
    found = sc.sweep([spread()], [TRACE], POLICIES, executor=cluster, **QUESTION)
    assert written(found, tmp_path) == in_threads


def test_a_cluster_makes_what_is_new_and_tries_again_what_failed(cluster, marked):
    policies = [marked.policy(), marked.policy(seconds=-1.0)]
    for expected in (1 + 2, 1 + 2 + 2):
        found = sc.sweep([spread()], [TRACE], policies, executor=cluster, retries=1, directory=marked.kept)
        assert [run.policy for run in found] == ["marking"]
        (why,) = found.failed.values()
        assert why == "policy 'marking' at 0 s: seconds: expected a finite number of at least 0, got -1.0"
        assert marked.made == expected, "tried twice, in every sweep"
        del found


# --- what is kept ------------------------------------------------------------------------------------------------


def test_only_the_same_question_has_the_same_answer(marked):
    """Everything that a run depends on, one at a time: another run is made for each, and none for all of them again."""
    base = {"problem": spread(), "trace": TRACE, "policy": {"seconds": 10.0}, "seed": 0, "timeline": False}
    application = base["problem"].application
    profiles = dict(base["problem"].profiles)
    faster = profiles["f1"].hardware["cpu"].replace(cold_start_std=0.25)
    questions = [
        base,
        base | {"problem": spread().replace(application=application.replace(sla=5.0))},
        base | {"problem": spread().replace(application=application.replace(attainment_target=0.5))},
        base | {"problem": spread().replace(application=application.replace(name="other"))},
        base | {"problem": spread().replace(prices=sc.Prices(cpu=1.5, gpu=1.0))},
        base | {"problem": spread().replace(limits=sc.Limits(max_replicas=7))},
        base | {"problem": spread().replace(std_multiple=2.0)},
        base | {"problem": spread().replace(profiles=profiles | {"f1": sc.Profile("f1", {"cpu": faster})})},
        base | {"trace": sc.Trace(TRACE.times + np.arange(30) // 29, name="drawn")},  # the last one, by 1 ns
        base | {"trace": TRACE.replace(name="other")},
        base | {"policy": {"seconds": 11.0}},
        base | {"seed": 1},
        base | {"timeline": True},
    ]

    def ask(problem, trace, policy, seed, timeline) -> sc.Run:
        options = {"seed": seed, "timeline": timeline, "directory": marked.kept}
        (run,) = sc.compare(problem, trace, [marked.policy(**policy)], **options)
        assert (run.sla, run.seed, run.trace) == (problem.application.sla, seed, trace.name)
        assert (run.services is not None) == timeline
        return run

    for count, question in enumerate(questions, start=1):
        ask(**question)
        assert marked.made == count, question
    for question in reversed(questions):
        ask(**question)
    assert marked.made == len(questions)


def test_the_same_values_are_the_same_question(marked):
    """However they came to be: read anew, sent through a pickle, or written as other kinds of numbers."""
    sc.compare(spread(), TRACE, [marked.policy(seconds=10.0)], directory=marked.kept)
    again = pickle.loads(pickle.dumps((spread(), TRACE, marked.policy(seconds=10.0))))
    sc.compare(again[0], again[1], [again[2]], directory=marked.kept)
    sc.compare(
        spread().replace(std_multiple=3), sc.Trace(TRACE.times.copy(), name="drawn"), [again[2]], directory=marked.kept
    )
    assert marked.made == 1


def test_another_process_finds_what_this_one_made(marked):
    """Whatever seed it hashes texts with."""
    code = (
        "import sys, pathlib, numpy as np, smiless_core as sc;"
        "from small_policies import Marking; from problems import diamond;"
        "marks, kept = map(pathlib.Path, sys.argv[1:]);"
        "sc.compare(diamond(), sc.Trace.from_seconds([0.0, 5.0], name='two'), [Marking(marks)], directory=kept)"
    )
    tests = os.fspath(Path(small_policies.__file__).parent)
    for seed in ("1", "2", "3"):
        env = environment(PYTHONHASHSEED=seed)
        env["PYTHONPATH"] = os.pathsep.join([tests, *filter(None, [env.get("PYTHONPATH")])])
        command = [sys.executable, "-c", code, os.fspath(marked.marks), os.fspath(marked.kept)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert marked.made == 1


def test_an_interrupted_sweep_goes_on_where_it_was(marked):
    policies = [marked.policy(seconds=float(seconds)) for seconds in range(6)]

    def enough(done: int, total: int) -> None:
        assert total == 6
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sc.compare(spread(), OTHER, policies, directory=marked.kept, progress=enough)
    assert marked.made == 3
    reports: list[tuple[int, int]] = []
    found = sc.compare(
        spread(), OTHER, policies, directory=marked.kept, progress=lambda done, total: reports.append((done, total))
    )
    assert marked.made == 6
    assert len(found) == 6
    assert reports == [(done, 6) for done in range(1, 7)]


# --- failures ----------------------------------------------------------------------------------------------------


def test_a_failure_does_not_stop_a_sweep_and_says_what_failed(tmp_path):
    def broken(seen: object) -> object:
        raise ValueError("no\nidea")

    with ThreadPoolExecutor(1) as executor:
        found = sc.sweep(
            [spread()], [TRACE, OTHER], [Told(broken), KEEP()], seeds=[5], executor=executor, directory=None
        )
    assert [(run.trace, run.policy) for run in found] == [("drawn", "keep-alive 600 s"), ("three", "keep-alive 600 s")]
    assert len(found.failed) == 2
    for title, trace in zip(found.failed, ("drawn", "three"), strict=True):
        assert "told" in title
        assert trace in title
        assert "seed 5" in title
    assert set(found.failed.values()) == {r"policy 'told' at 0 s: ValueError: no\nidea"}
    said = found.to_dict()
    assert json.loads(json.dumps(said, allow_nan=False))["failed"] == dict(found.failed)
    assert "Failed: " in str(found)


def test_failures_of_the_same_title_are_all_there():
    """Two policies of one name, or one that fails at two targets."""

    def broken(seen: object) -> object:
        raise ValueError("no idea")

    with ThreadPoolExecutor(1) as executor:
        found = sc.sweep([spread()], [OTHER], [Told(broken)], targets=[0.5, 0.9], executor=executor)
    assert len(found) == 0
    assert len(found.failed) == 2


def test_a_comparison_ends_with_the_failure(tmp_path):
    def broken(seen: object) -> object:
        return 7

    with pytest.raises(sc.InvalidInputError, match=r"^policy 'told' at 0 s: expected a Decision, got 7$"):
        sc.compare(spread(), OTHER, [KEEP(), Told(broken)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policies": []}, "there is nothing to run"),
        ({"problem": []}, "there is nothing to run"),
        ({"seed": -1}, "seed"),
        ({"trace": sc.Trace(np.array([], np.int64), name="empty")}, "empty: there is no arrival"),
        ({"executor": 3}, "executor: "),
        ({"directory": 3}, "directory: "),
        ({"problem": 3}, ""),
        ({"problem": [3]}, ""),
        ({"trace": 3}, ""),
        ({"policies": 3}, ""),
        ({"policies": [3]}, "policy 'int'"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense(changes, said):
    given = {"problem": spread(), "trace": OTHER, "policies": [KEEP()]} | changes
    problem, trace, policies = given.pop("problem"), given.pop("trace"), given.pop("policies")
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.compare(problem, trace, policies, **given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slas": [0.0]}, "slas"),
        ({"slas": [float("nan")]}, "slas"),
        ({"targets": [1.5]}, "targets"),
        ({"targets": [0.0]}, "targets"),
        ({"slas": []}, "there is nothing to run"),
        ({"targets": []}, "there is nothing to run"),
        ({"seeds": []}, "there is nothing to run"),
        ({"retries": -1}, "retries"),
    ],
    ids=str,
)
def test_sweeps_that_make_no_sense(options, said):
    with ThreadPoolExecutor(1) as executor, pytest.raises(sc.InvalidInputError) as caught:
        sc.sweep([spread()], [OTHER], [KEEP()], executor=executor, **options)
    assert said in str(caught.value)


def test_a_policy_that_does_not_pickle_is_named_where_it_has_to(tmp_path):
    with pytest.raises(sc.InvalidInputError, match="does not pickle"):
        sc.compare(spread(), OTHER, [Told(lambda seen: None)], directory=tmp_path)


def test_a_directory_that_cannot_be_used(tmp_path, marked):
    (tmp_path / "file").write_text("")
    with pytest.raises((OSError, sc.InvalidInputError), match="file"):
        sc.compare(spread(), OTHER, [marked.policy()], directory=tmp_path / "file")
    assert marked.made == 0


def test_timelines_are_kept_of_short_runs_only():
    short, long = (sc.Trace(np.arange(count) * 10**10) for count in (9_999, 10_000))
    assert sc.compare(spread(), short, [KEEP()])[KEEP().name].services is not None  # 19,998 services
    assert sc.compare(spread(), long, [KEEP()])[KEEP().name].services is None
    assert sc.compare(spread(), OTHER, [KEEP()], timeline=False)[KEEP().name].instances is None
