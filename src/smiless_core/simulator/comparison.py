"""Many runs: policies side by side, on the same arrivals and with the same draws of chance."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

from smiless_core.errors import InvalidInputError
from smiless_core.execution import key_of, pickled, run_cells
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Problem
from smiless_core.model.trace import Trace
from smiless_core.policies import Policy
from smiless_core.simulator.engine import simulate
from smiless_core.simulator.runs import Run
from smiless_core.simulator.storage import decode_run, encode_run
from smiless_core.validation import number, sequence, shown

_Noun = TypeVar("_Noun", Problem, Trace)

__all__ = ["Comparison", "compare", "sweep"]

_TIMELINE = 20_000  # service records: runs with more keep none, unless asked to


class _Cell(NamedTuple):
    """One run to be made."""

    problem: Problem
    trace: Trace
    policy: Policy
    seed: int
    timeline: bool


class Comparison(Noun, frozen=True, eq=False):
    """Runs, in the order in which they were asked for. It iterates over them.

    Attributes
    ----------
    runs : tuple of Run
        Those that ended.
    failed : mapping of str to str
        What was asked for and did not, and why: one line each.
    """

    runs: tuple[Run, ...]
    failed: Mapping[str, str] = MappingProxyType({})

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, policy: str) -> Run:
        """Return the first run of a policy, by its name.

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        for run in self.runs:
            if run.policy == policy:
                return run
        raise InvalidInputError.unknown("policy", policy, [run.policy for run in self.runs])

    def to_dict(self) -> dict[str, Any]:
        """Return what ``smiless compare --json`` prints."""
        return {"schema": 1, "runs": [run.to_dict() for run in self.runs], "failed": dict(self.failed)}

    def __str__(self) -> str:
        from smiless_core.simulator.tables import comparison_text  # late: rich is loaded by those who print

        return comparison_text(self)


def compare(
    problem: Problem | Sequence[Problem],
    trace: Trace,
    policies: Sequence[Policy],
    *,
    seed: int = 0,
    timeline: bool | None = None,
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Let policies serve the same arrivals, one after the other.

    Parameters
    ----------
    problem : Problem or sequence of Problem
        What is served, and on what; of several, one after the other.
    trace : Trace
        The arrivals.
    policies : sequence of Policy
        What to compare.
    seed : int, default 0
        Of cold starts, which are the same ones for all policies, and of the policies.
    timeline : bool, optional
        Whether runs keep every instance and service, for the timelines of a report; by default those with fewer than
        20,000 services do.
    executor : concurrent.futures.Executor, optional
        Where to run them; in this process by default.
    directory : path-like, optional
        Where finished runs are kept, and found again; see `sweep`.
    progress : callable, optional
        Called with the number of runs that are over, and of all.

    Returns
    -------
    Comparison
        A run for each policy, by problem. ``print`` shows a table.

    Raises
    ------
    InvalidInputError
        If an argument makes no sense, or a policy fails: the error names it.

    Examples
    --------
    >>> import smiless_core as sc
    >>> problem = sc.Problem(sc.catalog.application("image-query"), sc.catalog.profiles(), sc.catalog.prices())
    >>> trace = sc.Trace.from_seconds([0.0, 30.0, 60.0])
    >>> runs = sc.compare(problem, trace, [sc.baselines.AlwaysWarm(), sc.baselines.FixedKeepAlive(seconds=10.0)])
    >>> [(run.policy, run.cold_starts) for run in runs]
    [('always warm', 3), ('keep-alive 10 s', 9)]
    """
    found = _runs(
        [problem] if isinstance(problem, Problem) else problem,
        [trace],
        policies,
        seeds=[seed],
        timeline=timeline,
        executor=executor,
        directory=directory,
        retries=0,
        progress=progress,
    )
    for message in found.failed.values():
        raise InvalidInputError(message)
    return found


def sweep(
    problems: Iterable[Problem],
    traces: Iterable[Trace],
    policies: Sequence[Policy],
    *,
    seeds: Iterable[int] = (0,),
    slas: Iterable[float] | None = None,
    targets: Iterable[float] | None = None,
    timeline: bool | None = False,
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    retries: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Let every policy serve every trace of every application, in parallel.

    Parameters
    ----------
    problems : iterable of Problem
        What is served, and on what.
    traces : iterable of Trace
        The arrivals.
    policies : sequence of Policy
        What decides. They have to pickle where runs are made in other processes, and where there is a directory.
    seeds : iterable of int, default (0,)
        One run for each.
    slas, targets : iterable of float, optional
        SLAs and attainment targets to judge by, one run for each; those of the applications by default.
    timeline : bool or None, default False
        As for `compare`.
    executor : concurrent.futures.Executor, optional
        Where to run them, such as that of a ``dask.distributed`` client (``client.get_executor()``). By default
        processes of this machine, as many as it has cores.
    directory : path-like, optional
        Every finished run is written there at once. What is found there is not computed again, if problem, trace,
        policy, seed and the version of this library are the same.
    retries : int, default 1
        How often a run is tried again that failed.
    progress : callable, optional
        Called with the number of runs that are over, and of all.

    Returns
    -------
    Comparison
        By problem, SLA, target, trace, seed and policy, in this order. Runs that failed are in `failed`.

    Raises
    ------
    InvalidInputError
        If an argument makes no sense.
    OSError
        If the directory cannot be used.
    """
    variations = list(_variations(slas, targets))
    varied = [
        problem.replace(application=problem.application.replace(**changes))
        for problem in _all_of(problems, Problem, "problems")
        for changes in variations
    ]
    settings: dict[str, Any] = {
        "seeds": seeds,
        "timeline": timeline,
        "directory": directory,
        "retries": retries,
        "progress": progress,
    }
    if executor is not None:
        return _runs(varied, traces, policies, executor=executor, **settings)
    with ProcessPoolExecutor() as processes:
        return _runs(varied, traces, policies, executor=processes, **settings)


def _variations(slas: Iterable[float] | None, targets: Iterable[float] | None) -> Iterator[dict[str, float]]:
    """Yield what is changed about applications."""
    of_slas: list[dict[str, float]] = [{}]
    if slas is not None:
        of_slas = [{"sla": number(sla, "slas", above=0.0)} for sla in slas]
    of_targets: list[dict[str, float]] = [{}]
    if targets is not None:
        of_targets = [{"attainment_target": number(each, "targets", above=0.0, at_most=1.0)} for each in targets]
    for sla in of_slas:
        for target in of_targets:
            yield sla | target


def _runs(
    problems: Iterable[Problem],
    traces: Iterable[Trace],
    policies: Sequence[Policy],
    *,
    seeds: Iterable[int],
    timeline: bool | None,
    executor: Executor | None,
    directory: str | os.PathLike[str] | None,
    retries: int,
    progress: Callable[[int, int], None] | None,
) -> Comparison:
    problems = _all_of(problems, Problem, "problem")
    traces = _all_of(traces, Trace, "trace")
    deciding, seeds = sequence(policies, "policies"), list(seeds)
    asked: list[str] = []
    cells: dict[str, _Cell] = {}
    for problem in problems:
        for trace in traces:
            keep = timeline
            if keep is None:
                keep = trace.count * len(problem.application.functions) < _TIMELINE
            for seed in seeds:
                for policy in deciding:
                    cell = _Cell(problem, trace, cast(Policy, policy), seed, keep)
                    asked.append(_key(cell, exact=directory is not None, number=len(asked)))
                    cells[asked[-1]] = cell
    if not cells:
        raise InvalidInputError("there is nothing to run: expected problems, traces, policies and seeds")
    finished, failed = run_cells(
        _simulated,
        cells,
        encode=encode_run,
        decode=decode_run,
        executor=executor,
        directory=directory,
        retries=retries,
        progress=progress,
    )
    reported: dict[str, str] = {}
    for key in asked:
        if key in failed:
            title = _title(cells[key])
            alike = sum(each == title or each.startswith(f"{title} (") for each in reported)
            reported[f"{title} ({alike + 1})" if alike else title] = failed[key]
    return Comparison(tuple(finished[key] for key in asked if key in finished), MappingProxyType(reported))


def _all_of(given: object, kind: type[_Noun], place: str) -> list[_Noun]:
    """Return what is given as a list of nouns of one kind."""
    if not isinstance(given, Iterable):
        raise InvalidInputError(f"expected instances of {kind.__name__}, got {shown(given)}", place=place)
    nouns = list(given)
    for at, each in enumerate(nouns):
        if not isinstance(each, kind):
            raise InvalidInputError(f"expected a {kind.__name__}, got {shown(each)}", place=f"{place}[{at}]")
    return nouns


def _simulated(cell: _Cell) -> Run:
    return simulate(cell.problem, cell.trace, cell.policy, seed=cell.seed, timeline=cell.timeline)


def _title(cell: _Cell) -> str:
    application = cell.problem.application
    name = getattr(cell.policy, "name", type(cell.policy).__name__)
    return f"{name}, {application.name}, SLA {application.sla:g} s, {cell.trace.name}, seed {cell.seed}"


def _key(cell: _Cell, *, exact: bool, number: int) -> str:
    """Return what tells a run from all others; `exact` if it has to do so for ever."""
    if not exact:
        return f"{number}: {_title(cell)}"
    return key_of(
        _title(cell),
        repr(cell.problem),
        pickled(cell.policy, "policies"),
        cell.trace.name,
        cell.trace.times.tobytes(),
        cell.seed,
        cell.timeline,
    )
