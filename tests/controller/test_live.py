"""End to end: the controller as its users run it, real containers, real invocations, and kills."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import smiless_core as sc
from smiless_core.controller.state import Store

pytestmark = pytest.mark.repository

LIVE = Path(__file__).parents[2] / "examples" / "live"
RUNC = shutil.which("runc", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@pytest.fixture(scope="module")
def demo():
    """Return the demonstration as a module."""
    specification = importlib.util.spec_from_file_location("live_demo", LIVE / "demo.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["live_demo"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(params=["runc", "processes"])
def runtime(request):
    if request.param == "runc" and (RUNC is None or os.geteuid() != 0):
        if os.environ.get("SMILESS_ALLOW_NO_CONTAINERS") == "1":
            pytest.skip("no containers here, which is allowed")
        pytest.fail("no runc, or not the superuser: install runc, or set SMILESS_ALLOW_NO_CONTAINERS=1")
    return request.param


def events(directory):
    """Return what the controllers told; the last line of one that was killed may be half a line."""
    told = []
    for line in (directory / "control.log").read_text().splitlines():
        try:
            told.append(json.loads(line))
        except ValueError:
            assert not line.startswith("Traceback"), line
    return told


def test_predicted_beside_measured(demo, runtime, tmp_path):
    problem, times = demo.the_problem(), demo.drawn(15.0, seed=3)
    measured = asyncio.run(demo.replay(problem, times, runtime=runtime, directory=tmp_path))
    run = sc.simulate(problem, sc.Trace.from_seconds(times), sc.Smiless(), seed=3)
    print(demo.described(problem, measured, run))

    assert len(measured.responses) == len(times)
    assert np.isfinite(measured.responses).all()  # every invocation was answered
    assert measured.controllers == 1
    # How near they are is for people to see: machines differ. That they are of the same size is not.
    assert 0.2 < np.median(measured.responses[1:]) / np.median(run.responses[1:]) < 10.0
    assert 0.3 < measured.cost / run.total_cost < 5.0
    assert all(0.05 < seconds < 30.0 for each in measured.cold_starts.values() for seconds in each)
    told = events(tmp_path)
    assert not [each for each in told if each["event"] in ("policy_error", "platform_error", "stale")]
    assert sum(each["count"] for each in told if each["event"] == "arrivals") == len(times)


def test_twenty_kills(demo, tmp_path):
    problem, times = demo.the_problem(), demo.drawn(30.0, seed=4)
    rng = np.random.default_rng(4)
    kills = tuple(np.sort(rng.uniform(0.0, 28.0, 20)).tolist())
    runtime = "runc" if RUNC and os.geteuid() == 0 else "processes"
    measured = asyncio.run(demo.replay(problem, [*times, 34.0], runtime=runtime, directory=tmp_path, kills=kills))
    assert measured.controllers == 21
    assert np.isfinite(measured.responses).all()

    with Store.open(tmp_path / "state.db", application=problem.application) as store:
        history, count, lost = store.history(), store.count, store.lost
    # All that was acknowledged is there, the node's log has told the rest, and nothing twice.
    assert (len(history), count, lost) == (len(times) + 1, len(times) + 1, 0)
    gaps = np.diff(history) - np.diff([*times, 34.0])
    assert np.abs(gaps).max() < 2.0  # in the same order, at about the same times

    told = events(tmp_path)
    begun = Counter(key for each in told if each["event"] == "action" for key in each["entries"])
    assert all(often == 1 for often in begun.values()), begun.most_common(3)
    resumed = [each["resumed"] for each in told if each["event"] == "started"]
    assert resumed.count(False) <= 1
    assert len(resumed) >= 5  # the others were killed before they had begun
