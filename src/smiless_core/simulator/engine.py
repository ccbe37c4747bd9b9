"""A policy serves the arrivals of an application, event by event.

`serving` advances from one decision to the next; this module asks the policy, checks what it answers and hands it on.
The policy is shown what has happened up to now and nothing else: the arrays that it sees hold no later arrival.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from os import PathLike
from time import perf_counter
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.model.problem import Problem
from smiless_core.model.trace import Trace
from smiless_core.policies import Decide, Decision, Observation, Policy, checked_decision
from smiless_core.serving import FAR, Serving
from smiless_core.simulator.clairvoyant import clairvoyant_cost
from smiless_core.simulator.records import Noted, RecordsFile
from smiless_core.simulator.runs import FunctionRun, Run
from smiless_core.validation import number, shown, whole_number

__all__ = ["simulate"]

_AT_A_TIME = 200_000  # arrivals, between two reports of progress
_MOST_SEED = 2**64 - 1

T = TypeVar("T")


def simulate(
    problem: Problem,
    trace: Trace,
    policy: Policy,
    *,
    seed: int = 0,
    until: float | None = None,
    sampled: bool = True,
    timeline: bool = False,
    records: str | PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Let a policy serve recorded arrivals.

    Time begins with the first arrival, which is at 0 s of every clock. There are no instances then.

    Parameters
    ----------
    problem : Problem
        The application, its profiles and prices, and what the platform can do. That `min_keep_alive` is kept is up to
        the policy.
    trace : Trace
        The arrivals, at least one.
    policy : Policy
        What decides.
    seed : int, default 0
        Of cold starts, and for the policy; 0 to 2**64 - 1. The same seed gives the same run on every machine.
    until : float, optional
        Where time and billing end, seconds; not before the last arrival. By default with the last response.
    sampled : bool, default True
        Whether cold starts are drawn from the profile's mean and standard deviation (a normal distribution, cut at 0),
        or all last as long as planned.
    timeline : bool, default False
        Whether the run is to keep every instance and every service.
    records : path, optional
        A Parquet file that is to hold every service, one row each (`RECORDED`); written while the simulation runs, in
        bounded memory, and not there unless it has ended.
    progress : callable, optional
        Called now and then with the number of arrivals that are past, and of all.

    Returns
    -------
    Run
        What happened.

    Raises
    ------
    InvalidInputError
        If there is no arrival, an argument is out of range, or the policy fails or answers what makes no sense: the
        error names the policy, the time and the value.
    MissingExtraError
        If records are asked for and pyarrow is not installed.

    Examples
    --------
    >>> import smiless_core as sc
    >>> problem = sc.Problem(sc.catalog.application("image-query"), sc.catalog.profiles(), sc.catalog.prices())
    >>> trace = sc.Trace.from_seconds([0.0, 30.0, 60.0])
    >>> run = sc.simulate(problem, trace, sc.baselines.FixedKeepAlive(seconds=60.0))
    >>> run.late.tolist(), run.cold_starts
    ([True, False, False], 3)
    """
    if not isinstance(problem, Problem):
        raise InvalidInputError(f"expected a Problem, got {shown(problem)}", place="problem")
    if not isinstance(trace, Trace):
        raise InvalidInputError(f"expected a Trace, got {shown(trace)}", place="trace")
    if not trace.count:
        raise InvalidInputError("there is no arrival", place=trace.name)
    seed = whole_number(seed, "seed", at_least=0, at_most=_MOST_SEED)
    end = None if until is None else number(until, "until", at_least=trace.span, at_most=FAR)
    with RecordsFile.perhaps(records, problem.application.names) as file:
        noted = Noted(file, keep=timeline)
        course = _Course(problem, trace, policy, seed, sampled, noted=noted.wanted)
        horizon = course.run(end, noted, progress)
        instances, services = (
            noted.timeline([list(used) for used in course.serving.usage()]) if timeline else (None, None)
        )
    return Run(
        policy=course.name,
        settings=_settings(policy),
        fidelity=course.fidelity,
        application=problem.application,
        trace=trace.name,
        seed=seed,
        arrivals_ns=course.times,
        responses_ns=course.serving.responses,
        end=horizon,
        functions=course.functions(),
        clairvoyant=clairvoyant_cost(problem, trace, sampled=sampled),
        decisions=course.decisions,
        decision_time=course.decision_time,
        instances=instances,
        services=services,
    )


class _Course:
    """One simulation under way."""

    def __init__(
        self, problem: Problem, trace: Trace, policy: Policy, seed: int, sampled: bool, *, noted: bool
    ) -> None:
        application = problem.application
        self.problem = problem
        self.times = _from_zero(trace.times)
        if self.times[-1] > FAR * 1e9:
            raise InvalidInputError(f"it spans more than {FAR:g} s", place=trace.name)
        self.name = str(getattr(policy, "name", None) or type(policy).__name__)
        self.serving = Serving(problem, self.times, seed=seed, sampled=sampled, noted=noted)
        self.decisions = 0
        self.decision_time = 0.0
        self._names = application.names
        self._history = np.empty(0)  # grows with what has been seen
        self._seen = 0
        self.fidelity = self._asked(lambda: str(policy.fidelity))
        self._decide: Decide = self._asked(lambda: policy.start(problem, now=0.0, seed=seed))
        if not callable(self._decide):
            raise self._wrong(f"start has to return what can be asked for decisions, got {shown(self._decide)}")

    # --- time -----------------------------------------------------------------------------------------------------

    def run(self, until: float | None, noted: Noted, progress: Callable[[int, int], None] | None) -> float:
        """Ask and advance in turns; return where time ended, seconds."""
        last = None if until is None else round(until * 1e9)
        decision = self._ask()
        if missing := [name for name in self._names if name not in decision.directives]:
            raise self._wrong(f"the first decision has to name every function, and has none for {missing[0]!r}")
        while True:
            moment = self._next(decision)
            if moment is None or (last is not None and moment > last):
                break
            self._advance(moment, noted, progress, no_further=last is None)
            if self.serving.now < moment:
                break
            decision = self._ask()
        self._advance(int(self.times[-1]) + 1, noted, progress)
        end = self.serving.finish(last)
        noted.take(self.serving)
        self._report(progress)
        return end / 1e9

    def _next(self, decision: Decision) -> int | None:
        """Return when the policy is to be asked again."""
        moments = []
        if decision.wake is not None:
            if decision.wake <= self.serving.now / 1e9:
                raise self._wrong(f"asks to be woken at {decision.wake:g} s, which is not later than now")
            if decision.wake < FAR:  # and a moment that is later only by a rounding is the next one
                moments.append(max(math.ceil(decision.wake * 1e9 - 1e-3), self.serving.now + 1))
        if decision.at_arrivals and self._seen < len(self.times):
            moments.append(int(self.times[self._seen]) + 1)
        return min(moments, default=None)

    def _advance(
        self, moment: int, noted: Noted, progress: Callable[[int, int], None] | None, *, no_further: bool = False
    ) -> None:
        reached = int(np.searchsorted(self.times, self.serving.now))
        while (reached := reached + _AT_A_TIME) < len(self.times) and self.times[reached] < moment:
            self.serving.advance(int(self.times[reached]))
            noted.take(self.serving)
            self._report(progress)
        self.serving.advance(moment, no_further=no_further)
        noted.take(self.serving)
        self._report(progress)

    def _report(self, progress: Callable[[int, int], None] | None) -> None:
        if progress is not None:
            progress(int(np.searchsorted(self.times, self.serving.now)), len(self.times))

    # --- what is seen, and what is decided ------------------------------------------------------------------------

    def _observe(self) -> Observation:
        states, count = self.serving.observe()
        if count > len(self._history):
            longer = np.full(min(2 * count, len(self.times)), np.nan)
            longer[: self._seen] = self._history[: self._seen]
            self._history = longer
        self._history[self._seen : count] = self.times[self._seen : count] / 1e9
        self._seen = count
        arrivals, responses = self._history[:count], self.serving.responses
        arrivals.flags.writeable = False

        def past_responses() -> NDArray[np.float64]:
            known = responses[:count]
            return np.where(known >= 0, known / 1e9, np.nan)

        return Observation(self.serving.now / 1e9, arrivals, MappingProxyType(states), past_responses)

    def _ask(self) -> Decision:
        seen = self._observe()
        begun = perf_counter()
        decision = self._asked(lambda: checked_decision(self._decide(seen), self._names))
        self.decision_time += perf_counter() - begun
        self.decisions += 1
        self._carry_out(decision)
        return decision

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except InvalidInputError as error:
            raise self._wrong(error.message, error.place) from error
        except Exception as error:
            raise self._wrong(f"{type(error).__name__}: {error}") from error

    def _wrong(self, message: str, place: str = "") -> InvalidInputError:
        where = f"policy {self.name!r} at {self.serving.now / 1e9:g} s"
        return InvalidInputError(message, place=f"{where}: {place}" if place else where)

    def _carry_out(self, decision: Decision) -> None:
        for name, directive in decision.directives.items():
            try:
                self.serving.direct(name, directive)
            except InvalidInputError as error:
                raise self._wrong(error.message, error.place) from error

    # --- what came of it ------------------------------------------------------------------------------------------

    def functions(self) -> tuple[FunctionRun, ...]:
        """Return what each function had to do, and what was billed for it."""
        states, _ = self.serving.observe()
        return tuple(
            FunctionRun(name, states[name].requests, states[name].cold_starts, tuple(used.values()))
            for name, used in zip(self._names, self.serving.usage(), strict=True)
        )


def _settings(policy: Policy) -> str:
    """Return how a policy was made; its kind where it says no more than where it is in memory."""
    kind = type(policy)
    return kind.__name__ if kind.__repr__ is object.__repr__ else " ".join(repr(policy).split())


def _from_zero(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times counted from the first, read-only; the array itself where they already are."""
    if times[0] == 0:
        return times
    shifted: NDArray[np.int64] = times - times[0]
    shifted.flags.writeable = False
    return shifted
