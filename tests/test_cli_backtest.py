"""`smiless backtest` and `smiless train`: what they answer, and how they end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from commandline import assert_refused, smiless, smiless_process
from smiless_core import backtest, read_traces
from smiless_core.backtests import ChainSwitching, FixedKeepAlives, usual_targets
from smiless_core.predictors import BandwidthChain


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(4)
    rows = ["HashOwner,HashApp,HashFunction,Trigger," + ",".join(map(str, range(1, 181)))]
    for k in range(6):
        every = [1, 2, 5, 7, 10, 30][k]
        counts = [int(minute % every == 0) if k % 2 else int(rng.poisson(1 / every)) for minute in range(180)]
        rows.append(f"o,a,f{k},{'timer' if k % 2 else 'http'}," + ",".join(map(str, counts)))
    (tmp_path / "invocations.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_has_all_methods_and_targets():
    outcome = smiless("backtest", "invocations.csv", "--workers", "1")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "6 functions, 371 gaps, uniform placement; cold start 5 s" or lines[0].startswith(
        "6 functions, "
    )
    for name in ("bandwidth-chain", "hybrid-histogram *", "point-window *", "fixed-keep-alive"):
        assert sum(line.startswith(name + " ") for line in lines) == 1
    for name in ("fleet, 2 %", "fleet with ceiling, 2 %", "each application, 2 %"):
        assert sum(line.startswith(name) for line in lines) == 1


def test_the_answer_is_that_of_the_library():
    asked = ("--policy", "fixed-keep-alive", "--target", "0.95", "--placement", "fixed-phase", "--seed", "3")
    outcome = smiless(
        "backtest", "invocations.csv", *asked, "--cold-start", "4", "--wait", "0.5", "--arrivals", "50", "--json"
    )
    traces = read_traces("invocations.csv", placement="fixed-phase", seed=3)
    found = backtest(
        traces,
        [ChainSwitching(), FixedKeepAlives()],
        targets=usual_targets(0.05),
        cold_start=4.0,
        tolerated_wait=0.5,
        most_arrivals=50,
    )
    assert json.loads(outcome.out) == json.loads(json.dumps(found.to_dict()))


def test_one_and_two_workers_and_the_report_are_the_same():
    outs = []
    for workers in ("1", "2"):
        outcome = smiless_process(
            "backtest", "invocations.csv", "--workers", workers, "-o", f"{workers}.html", "--json"
        )
        assert outcome.code == 0
        outs.append(outcome.out)
    assert outs[0] == outs[1]
    assert Path("1.html").read_bytes() == Path("2.html").read_bytes()


def test_halves_are_different_functions():
    both = [
        json.loads(smiless("backtest", "invocations.csv", "--part", part, "--policy", "fixed-keep-alive", "--json").out)
        for part in ("first-half", "second-half", "all")
    ]
    assert [each["functions"] for each in both] == [3, 3, 6]
    assert both[0]["gaps"] + both[1]["gaps"] == both[2]["gaps"]


def test_a_forecaster_is_trained_and_tried_out():
    few = smiless("train", "invocations.csv", "-o", "few.model")
    if few.code:  # too few gaps, said in one line
        assert_refused(few)
    rng = np.random.default_rng(1)
    lines = ["timestamp,function"]
    for k in range(8):
        at = np.cumsum(rng.exponential(10.0 * (k + 1), 60))
        lines += [f"{t:.3f},f{k}" for t in at]
    Path("many.csv").write_text("\n".join(lines) + "\n")
    outcome = smiless("train", "many.csv", "--part", "first-half", "-o", "hazards.model")
    assert outcome.code == 0
    assert outcome.out == "Model: hazards.model\n"
    tried = smiless(
        "backtest", "many.csv", "--part", "second-half", "--predictor", "hazard:hazards.model",
        "--policy", "fixed-keep-alive", "--arrivals", "12", "--workers", "1", "--json",
    )  # fmt: skip
    assert tried.code == 0
    assert [each["method"] for each in json.loads(tried.out)["methods"]] == ["hazard:hazards.model", "fixed-keep-alive"]
    whole = Path("hazards.model").read_bytes()
    Path("hazards.model").write_bytes(whole[: len(whole) // 2])
    assert_refused(smiless("backtest", "many.csv", "--predictor", "hazard:hazards.model"), "hazards.model")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch.csv",), "nosuch.csv"),
        (("invocations.csv", "--predictor", "crystal-ball"), "--predictor"),
        (("invocations.csv", "--policy", "nosuch"), "--policy"),
        (("invocations.csv", "--target", "1.5"), "--target"),
        (("invocations.csv", "--cold-start", "0"), "--cold-start"),
        (("invocations.csv", "--wait", "-1"), "--wait"),
        (("invocations.csv", "--arrivals", "1"), "--arrivals"),
        (("invocations.csv", "--part", "third"), "--part"),
        (("invocations.csv", "-o", "nowhere/report.html"), "nowhere/report.html"),
        (("invocations.csv", "--predictor", "hazard:nosuch.model"), "nosuch.model"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    assert_refused(smiless("backtest", *arguments), said)
    assert not Path("nowhere").exists()


def test_training_needs_a_place():
    assert_refused(smiless("train", "invocations.csv", "-o", "nowhere/model"), "nowhere/model")
    assert_refused(smiless("train", "nosuch.csv", "-o", "model"), "nosuch.csv")
    assert not Path("model").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch, workers: str):
    """Ctrl-C while the plays have begun: this process is told, and ends those that it started."""

    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = sorted(here.iterdir())
    monkeypatch.setattr("smiless_core.backtests.running.keep_target", interrupted)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs may have it ignored
    try:
        outcome = smiless("backtest", "invocations.csv", "--workers", workers, "-o", "report.html")
    finally:
        signal.signal(signal.SIGINT, usual)
    assert outcome == (130, "", "smiless: interrupted\n")
    assert sorted(here.iterdir()) == before


def test_long_native_plays_answer_to_an_interrupt():
    gaps = np.full(2_000_000, 60 * 10**9)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    usual = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            BandwidthChain().meet(gaps, np.ones(16), cold_start=5.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, usual)
