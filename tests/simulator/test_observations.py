"""What a policy sees and when it is asked: the past, at the moments that it named, and nothing else."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from problems import chain, hardware_profile, problems
from small_policies import Told, Whims, always
from strategies import examples

pytestmark = pytest.mark.native

CPU = sc.Configuration("cpu", 1)
ON_REQUEST = sc.Directive(configuration=CPU)


def kept(problem: sc.Problem, seconds: float = math.inf) -> dict[str, sc.Directive]:
    return {name: sc.Directive.keep_alive(CPU, seconds) for name in problem.application.names}


def nanoseconds(trace: list[int]) -> sc.Trace:
    return sc.Trace(np.array(trace, np.int64))


class Spy:
    """Records all that a policy is shown, as it is then."""

    fidelity = "of a test"

    def __init__(self, whim: int) -> None:
        self.inner = Whims(whim)
        self.name = self.inner.name

    def start(self, problem, *, now, seed):
        decide = self.inner.start(problem, now=now, seed=seed)
        self.shown = []

        def spy(seen):
            behind = seen.arrivals
            while isinstance(behind, np.ndarray):
                assert not (behind > seen.now).any(), "an array that can be reached knows of later arrivals"
                behind = behind.base
            assert behind is None
            responses = seen.responses
            with pytest.raises(ValueError, match="read-only"):
                seen.arrivals[:] = 0.0
            with pytest.raises(TypeError):
                seen.functions["f0"] = None
            self.shown.append((round(seen.now * 1e9), seen.arrivals.copy(), responses.copy(), dict(seen.functions)))
            return decide(seen)

        return spy


@examples(100)
@given(
    problems(),
    st.lists(st.sampled_from([0, 0, 1, 40, 700, 2500, 9000]), max_size=8),
    st.integers(0, 10**6),
    st.sampled_from([None, 2]),
)
def test_observations_are_what_had_happened_by_then(problem, gaps, whim, most):
    """The finished run tells what had happened before each question, strictly before it."""
    problem = problem.replace(limits=problem.limits.replace(max_replicas=most))
    times = np.cumsum([0, *gaps]) * 1_000_000
    spy = Spy(whim)
    run = sc.simulate(problem, sc.Trace(times), spy, seed=3, timeline=True)
    assert run.decisions == len(spy.shown)
    there, served = run.instances, run.services
    begun, ready, ended, comes, begins, finishes = (
        np.rint(each * 1e9).astype(np.int64)
        for each in (there.starts, there.ready, there.ends, served.comes, served.begins, served.finishes)
    )
    before = 0
    for now, arrivals, responses, functions in spy.shown:
        past = times < now
        assert np.rint(arrivals * 1e9).astype(np.int64).tolist() == times[past].tolist()
        done = times[past] + run.responses_ns[past] < now
        assert np.isnan(responses).tolist() == (~done).tolist()
        assert np.rint(responses[done] * 1e9).tolist() == run.responses_ns[past][done].tolist()
        assert tuple(functions) == problem.application.names
        for v, state in enumerate(functions.values()):
            own, work = there.function == v, served.function == v
            alive = own & (begun < now) & (ended >= now)
            busy = {
                int(serial)
                for serial in served.serial[work & (begins < now) & (finishes >= now)]
                if (served.batch > 0).all()
            }
            assert state.initializing == (alive & (ready >= now)).sum()
            assert state.busy == len(busy)
            assert state.instances == alive.sum()
            assert state.idle == state.instances - state.busy - state.initializing
            assert state.cold_starts == (own & (begun < now)).sum()
            assert state.requests == (work & (comes < now)).sum()
            assert state.under_way == (work & (comes < now) & (finishes >= now)).sum()
            assert 0 <= state.queued <= (work & (comes < now) & (begins >= now)).sum()
            spent = np.clip(np.minimum(finishes, now) - np.maximum(comes, before), 0, None)[work].sum()
            assert state.concurrency == pytest.approx(spent / (now - before) if now > before else 0.0)
        before = now


def test_the_queue_is_what_nothing_initializes_for():
    problem = chain(1.0, cold_start=3.0, limits=sc.Limits(max_replicas=1))
    queued = []

    def decide(seen):
        queued.append(seen.functions["f0"].queued)
        return sc.Decision({"f0": ON_REQUEST} if seen.now == 0.0 else {}, at_arrivals=True)

    sc.simulate(problem, sc.Trace.from_seconds([0.0, 0.5, 0.5, 1.0, 20.0]), Told(decide))
    assert queued == [0, 0, 2, 3, 0]


def test_a_kept_observation_does_not_come_to_know_of_later_arrivals():
    observations = []

    def decide(seen):
        observations.append(seen)
        return sc.Decision({"f0": ON_REQUEST} if seen.now == 0.0 else {}, at_arrivals=True)

    sc.simulate(chain(1.0, cold_start=3.0), sc.Trace.from_seconds([0.0, 1.0, 30.0]), Told(decide))
    assert [seen.arrivals.tolist() for seen in observations] == [[], [0.0], [0.0, 1.0], [0.0, 1.0, 30.0]]
    assert [len(seen.responses) for seen in observations] == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_clock_and_seed_are_handed_over(seed):
    told = always({"f0": ON_REQUEST})
    problem = chain(1.0)
    run = sc.simulate(problem, sc.Trace.from_seconds([1e9]), told, seed=seed)
    assert told.started == (problem, 0.0, seed)
    assert run.seed == seed
    assert run.arrivals.tolist() == [0.0]


def test_chance_is_the_same_for_all_policies_and_another_with_another_seed():
    model = hardware_profile(cold_start_mean=3.0, cold_start_std=0.5, sizes=(1,), alpha=0.0, beta=1.0)
    problem = chain(1.0, sla=30.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    trace = sc.Trace.from_seconds(np.arange(40) * 100.0)
    cold = [
        sc.simulate(problem, trace, policy, seed=seed, timeline=True).instances
        for policy, seed in [
            (always({"f0": ON_REQUEST}), 1),
            (sc.baselines.FixedKeepAlive(seconds=10.0), 1),
            (always({"f0": ON_REQUEST}), 2),
        ]
    ]
    # The first 20 initializations, whenever they begin: 3 s in the mean, give or take four standard errors.
    lasted = [(each.ready - each.starts)[np.argsort(each.serial)][:40] for each in cold]
    assert lasted[0] == pytest.approx(lasted[1], abs=1e-9)
    assert not np.isclose(lasted[0], lasted[2], atol=1e-6).any()
    assert lasted[0].mean() == pytest.approx(3.0, abs=4 * 0.5 / math.sqrt(40))
    assert 0.25 < lasted[0].std() < 0.8


# --- when it is asked --------------------------------------------------------------------------------------


@examples(150)
@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 10, 500_000_000, 10**9, 86_400 * 10**9]), max_size=6),
    st.lists(
        st.tuples(st.none() | st.sampled_from([1, 2, 7, 10**6, 250_000_001, 3 * 10**9, math.inf]), st.booleans()),
        min_size=1,
        max_size=9,
    ),
)
def test_it_is_asked_at_the_nanosecond_that_it_named(gaps, script):
    """Until the script ends, or the last response is there."""
    times = np.cumsum([0, *gaps]).tolist()
    asked: list[int] = []
    answers = iter(script)
    steps: list[tuple[int | float | None, bool]] = []

    def decide(seen):
        asked.append(round(seen.now * 1e9))
        steps.append(next(answers, (None, False)))
        after, at_arrivals = steps[-1]
        wake = None if after is None else math.inf if after == math.inf else (asked[-1] + after) / 1e9
        if wake is not None and wake <= seen.now:  # days in, a double is too coarse for a nanosecond
            wake = None
            steps[-1] = (None, at_arrivals)
        return sc.Decision({"f0": ON_REQUEST} if len(asked) == 1 else {}, wake, at_arrivals)

    # Of no length to speak of: all is over 3 ns after the last arrival.
    model = hardware_profile(alpha=0.0, beta=1e-9, cold_start_mean=2e-9, sizes=(1,))
    problem = chain(1.0, sla=1.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    run = sc.simulate(problem, nanoseconds(times), Told(decide), until=times[-1] / 1e9 + 3600.0)

    expected, now = [0], 0
    for after, at_arrivals in steps:
        moments = [now + after] if after not in (None, math.inf) else []
        moments += [at + 1 for at in times if at >= now][:1] if at_arrivals else []
        if not moments or min(moments) > times[-1] + 3600 * 10**9:
            break
        now = min(moments)
        expected.append(now)
    assert len(expected) == len(asked) == run.decisions
    # What a double says of a time days away is a nanosecond at most beside it.
    assert all(abs(one - other) <= (0 if one < 2**50 else 1) for one, other in zip(expected, asked, strict=True))


def test_simultaneous_arrivals_are_one_reason_to_ask():
    asked = []

    def decide(seen):
        asked.append((round(seen.now * 1e9), len(seen.arrivals)))
        return sc.Decision({"f0": ON_REQUEST} if len(asked) == 1 else {}, at_arrivals=True)

    sc.simulate(chain(1.0), nanoseconds([5, 5, 5, 10**9, 10**9]), Told(decide))
    assert asked == [(0, 0), (1, 3), (999_999_996, 5)]


def test_it_is_asked_no_more_when_all_is_over():
    asked = []

    def decide(seen):
        asked.append(seen.now)
        return sc.Decision({"f0": ON_REQUEST} if len(asked) == 1 else {}, wake=seen.now + 1.0)

    problem = chain(1.0, cold_start=3.0)
    sc.simulate(problem, sc.Trace.from_seconds([0.0]), Told(decide))
    assert asked == [0.0, 1.0, 2.0, 3.0, 4.0]  # the response is there just after the last of them
    asked.clear()
    sc.simulate(problem, sc.Trace.from_seconds([0.0]), Told(decide), until=6.5)
    assert asked == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


# --- what it may answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (None, "expected a Decision, got nothing"),
        ({"f0": ON_REQUEST}, "expected a Decision, got {"),
        (sc.Decision([ON_REQUEST]), "directives: expected a mapping of functions, got ["),
        (sc.Decision({7: ON_REQUEST}), "directives: no function named 7"),
        (sc.Decision({"f0": None}), "directives['f0']: expected a Directive, got nothing"),
        (sc.Decision({"f0": CPU}), "directives['f0']: expected a Directive, got Configuration("),
        (sc.Decision(wake="soon"), "wake: expected a finite number, got 'soon'"),
        (sc.Decision(wake=True), "wake: expected a finite number, got True"),
        (sc.Decision(wake=-math.inf), "wake: expected a finite number, got -inf"),
        (sc.Decision(wake=1.0), "asks to be woken at 1 s, which is not later than now"),
        (sc.Decision(wake=-5.0), "asks to be woken at -5 s, which is not later than now"),
        (sc.Decision({"f0": sc.Directive(configuration=sc.Configuration("gpu", 0.5))}), "f0.configuration.hardware: "),
        (sc.Decision({"f0": sc.Directive(configuration=sc.Configuration("cpu", 2))}), "f0.configuration.size: 2 is"),
        (sc.Decision({"f0": sc.Directive(configuration=sc.Configuration("cpu", 1, 9))}), "f0.configuration.batch: 9"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(later, said):
    def decide(seen):
        return sc.Decision({"f0": ON_REQUEST}, wake=1.0) if seen.now == 0.0 else later

    with pytest.raises(sc.InvalidInputError) as caught:
        sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0, 10.0]), Told(decide))
    assert str(caught.value).startswith(f"policy 'told' at 1 s: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines"), r"ValueError: two\nlines"),
        (KeyError("f7"), "KeyError: 'f7'"),
        (sc.InvalidInputError("no good", place="here"), "here: no good"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_an_error_of_a_policy_is_one_line(error, said):
    def fail(seen):
        raise error

    with pytest.raises(sc.InvalidInputError) as caught:
        sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0]), Told(fail))
    assert str(caught.value).startswith(f"policy 'told' at 0 s: {said}")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


class Without:
    """Decides well, but lacks something."""

    name, fidelity = "without", "of a test"

    def start(self, problem, *, now, seed):
        return lambda seen: sc.Decision({"f0": ON_REQUEST})


def _without(attribute: str, value: object) -> object:
    return type("Without", (Without,), {attribute: value})()


@pytest.mark.parametrize(
    "policy",
    [
        None,
        7,
        sc.Smiless,  # the class, not one of it
        _without("start", None),
        _without("start", lambda self: None),
        _without("start", lambda self, problem, *, now, seed: sc.Decision({"f0": ON_REQUEST})),
    ],
)
def test_what_is_no_policy_is_refused(policy):
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0]), policy)
    assert "policy" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": -1}, "seed: "),
        ({"seed": 2**64}, "seed: "),
        ({"seed": 1.5}, "seed: "),
        ({"until": 9.9}, "until: "),
        ({"until": math.nan}, "until: "),
        ({"until": math.inf}, "until: "),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0, 10.0]), always({"f0": ON_REQUEST}), **options)
    assert str(caught.value).startswith(said)


def test_a_policy_for_every_event_takes_ten_lines():
    class OneInReserve:
        name, fidelity = "one in reserve", "own rule"

        def start(self, problem, *, now, seed):
            chosen = sc.cheapest_configurations(problem)

            def decide(seen):
                up = {name: state.busy + 1 for name, state in seen.functions.items()}
                held = {name: sc.Directive(configuration=chosen[name], min_replicas=up[name]) for name in up}
                return sc.Decision(held, wake=seen.now + 5.0, at_arrivals=True)

            return decide

    run = sc.simulate(chain(1.0, cold_start=3.0), sc.Trace.from_seconds([0.0, 20.0, 20.5, 40.0]), OneInReserve())
    # The second one starts when the first is seen at work, 1 ns after 20 s; the third request joins it, and waits.
    assert run.responses.tolist() == [4.0, 1.0, 2.5 + 1.0 + 1e-9, 1.0]
    assert run.decisions > 10


# --- until ------------------------------------------------------------------------------------------------------


def test_time_ends_where_it_is_told_to():
    problem = chain(1.0, cold_start=3.0)
    run = sc.simulate(problem, sc.Trace.from_seconds([0.0, 10.0]), always(kept(problem)), until=50.0)
    assert run.end == 50.0
    assert run.cost_split == {"initializing": 3.0, "busy": 2.0, "idle": 45.0}


def test_what_was_not_answered_when_time_ended_was_not_answered_in_time():
    """The last request comes at 10 s and would be answered at 14 s; time ends at 11 s."""
    problem = chain(1.0, cold_start=3.0, sla=3.5)
    try:
        run = sc.simulate(
            problem, sc.Trace.from_seconds([0.0, 10.0]), always({"f0": ON_REQUEST}), until=11.0, timeline=True
        )
    except sc.InvalidInputError:
        return  # a clear refusal is as good
    assert run.end == 11.0
    assert run.total_cost == pytest.approx(4.0 + 1.0)
    assert not (run.responses < 0.0).any(), "no response takes less than no time"
    assert run.late.tolist() == [True, True]
    assert run.percentile(99) >= 4.0


# --- announced arrivals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("announced", "readiness", "responses", "cost"),
    [
        # f0 is ready at 3 and done at 4; f1 starts when told at 0 so as to be ready at 4, or when its request comes.
        (True, "on_arrival", [5.0, 5.0], 2 * (4.0 + 4.0)),
        (True, "on_request", [8.0, 8.0], 2 * (4.0 + 4.0)),
        (False, "on_request", [8.0, 8.0], 2 * (4.0 + 4.0)),
    ],
)
def test_announced_arrivals(announced, readiness, responses, cost):
    problem = chain(1.0, 1.0, cold_start=3.0, limits=sc.Limits(announces_arrivals=announced))
    told = always({"f0": ON_REQUEST, "f1": sc.Directive(configuration=CPU, readiness=readiness)})
    run = sc.simulate(problem, sc.Trace.from_seconds([0.0, 50.0]), told, sampled=False, timeline=True)
    assert run.responses.tolist() == responses
    assert run.total_cost == pytest.approx(cost)


def test_what_is_not_announced_cannot_be_prepared_for():
    told = always({"f0": ON_REQUEST, "f1": sc.Directive(configuration=CPU, readiness="on_arrival")})
    with pytest.raises(sc.InvalidInputError, match=r"policy 'told' at 0 s: f1: .*announced"):
        sc.simulate(chain(1.0, 1.0), sc.Trace.from_seconds([0.0]), told)


# --- progress and interruptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("at_arrivals", [False, True])
def test_progress_grows_to_the_end(at_arrivals):
    count = 2_000 if at_arrivals else 450_000
    problem = chain(1.0)
    reports: list[tuple[int, int]] = []

    def decide(seen):
        return sc.Decision(kept(problem) if seen.now == 0.0 else {}, at_arrivals=at_arrivals)

    trace = sc.Trace(np.arange(count) * 2_000_000_000)
    sc.simulate(problem, trace, Told(decide), progress=lambda done, total: reports.append((done, total)))
    done = [each for each, _ in reports]
    assert done == sorted(done)
    assert done[-1] == count
    assert {total for _, total in reports} == {count}
    assert len(set(done)) > 2


@contextmanager
def interrupted_after(seconds: float) -> Iterator[list[float]]:
    """Send this process an interruption, and note when; what runs in the background of a shell ignores it."""
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(seconds, interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        yield sent
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("recorded", [False, True])
def test_an_interruption_is_answered_within_a_second_and_leaves_nothing(tmp_path: Path, recorded: bool):
    if recorded:
        pytest.importorskip("pyarrow")
    problem = chain(1.0, 1.0, 1.0, 1.0)
    trace = sc.Trace(np.arange(2_500_000) * 2_000_000_000)
    path = tmp_path / "records.parquet" if recorded else None
    with interrupted_after(0.4) as sent:
        with pytest.raises(KeyboardInterrupt):
            sc.simulate(problem, trace, always(kept(problem)), records=path)
        took = time.perf_counter() - sent[0]
    assert took < 1.0
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_of_a_policy_is_no_failure_of_it():
    def decide(seen):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0]), Told(decide))


# --- the end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [None, 0.7, 5.0, 3600.0])
def test_billing_ends_with_the_last_response_whenever_the_policy_would_be_asked_next(every):
    problem = chain(1.0, cold_start=3.0)

    def decide(seen):
        return sc.Decision(kept(problem) if seen.now == 0.0 else {}, None if every is None else seen.now + every)

    run = sc.simulate(problem, sc.Trace.from_seconds([0.0, 10.0]), Told(decide))
    assert run.end == 11.0
    assert run.total_cost == 11.0
