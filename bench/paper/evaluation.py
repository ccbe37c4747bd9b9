"""What the runs of one experiment come to: a result for each system, application and SLA."""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import smiless_core
from bench.paper.lineup import HINDSIGHT, OURS
from smiless_core import Comparison, Policy, Problem, Run, Trace, sweep

BEST = "best keep-alive, with hindsight"


class Place(NamedTuple):
    """What is asked of all systems."""

    application: str
    sla: float

    def __str__(self) -> str:
        return f"{self.application} at {self.sla:g} s"


class Result(NamedTuple):
    """All runs of one system at one place, as one.

    Attributes
    ----------
    system : str
    simplified : bool
        Whether it lacks something of its source.
    cost, least : float
        Dollars per invocation, and those of the clairvoyant bound.
    attainment, target : float
        Fractions of invocations.
    late, count, cold_starts : int
    p99 : float
        Seconds, the highest of the runs.
    setting : str
        What was chosen, where there was a choice.
    """

    system: str
    simplified: bool
    cost: float
    least: float
    attainment: float
    target: float
    late: int
    count: int
    cold_starts: int
    p99: float
    setting: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.attainment >= self.target

    @property
    def ratio(self) -> float:
        """The cost over that of the clairvoyant bound."""
        return self.cost / self.least if self.least else math.nan

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "Result":
        count = sum(run.count for run in runs)
        late = sum(int(run.late.sum()) for run in runs)
        return cls(
            system=runs[0].policy,
            simplified=runs[0].fidelity.startswith("simplified"),
            cost=math.fsum(run.total_cost for run in runs) / count,
            least=math.fsum(run.clairvoyant for run in runs) / count,
            attainment=1.0 - late / count,
            target=runs[0].target,
            late=late,
            count=count,
            cold_starts=sum(run.cold_starts for run in runs),
            p99=max(run.percentile(99) for run in runs),
        )


Results = dict[Place, dict[str, Result]]


class Experiment(NamedTuple):
    """Results on some arrivals, taken together.

    Attributes
    ----------
    results : dict
        By place and system, complete ones only.
    fidelity : dict of str to str
        By system.
    failed : dict of str to str
        What was to be run and was not, and why.
    """

    results: Results
    fidelity: dict[str, str]
    failed: dict[str, str]


def run_all(
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    policies: Sequence[Policy],
    *,
    slas: Sequence[float],
    directory: Path,
    progress: Callable[[int, int], None],
) -> Comparison:
    """Run every policy; what has been run before with the same code is taken from the directory."""
    return sweep(problems, traces, policies, slas=slas, directory=directory / _code(), progress=progress)


def summed(*comparisons: Comparison) -> Experiment:
    """Sum runs up over their traces."""
    runs = [run for comparison in comparisons for run in comparison]
    return _experiment(runs, {title: why for each in comparisons for title, why in each.failed.items()})


def by_trace(comparison: Comparison) -> dict[str, Experiment]:
    """Sum runs up for each trace by itself."""
    return {
        name: _experiment([run for run in comparison if run.trace == name], dict(comparison.failed))
        for name in dict.fromkeys(run.trace for run in comparison)
    }


def _experiment(runs: Sequence[Run], failed: dict[str, str]) -> Experiment:
    grouped: dict[Place, dict[str, list[Run]]] = {}
    for run in runs:
        grouped.setdefault(Place(run.application.name, run.sla), {}).setdefault(run.policy, []).append(run)
    results: Results = {}
    tried = [policy.name for policy in HINDSIGHT]
    for place, systems in grouped.items():
        # Who failed on some of the traces cannot be compared with the others, and without us there is nothing to say.
        wanted = max(map(len, systems.values()))
        found = {name: Result.of(made) for name, made in systems.items() if len(made) == wanted}
        if OURS.name not in found:
            continue
        choices = [found[name] for name in tried if name in found]
        if choices:
            # The cheapest that meets the target on these very arrivals, else the one that comes closest.
            best = min(choices, key=lambda each: (not each.met, each.cost if each.met else -each.attainment))
            found[BEST] = best._replace(system=BEST, setting=best.system)
        results[place] = found
    return Experiment(results, {run.policy: run.fidelity for run in runs}, failed)


def ours(results: dict[str, Result]) -> Result:
    """Return the result of this library at a place."""
    return results[OURS.name]


def _code() -> str:
    """Tell the code that runs depend on from that of other days."""
    root = Path(smiless_core.__file__).parent
    native = root.parent.parent / "csrc"
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.pyx"), *root.rglob("*.yaml"), *native.rglob("*.[ch]pp")]):
        part = path.relative_to(root.parent.parent)
        if not {"cli", "report"} & set(part.parts):
            digest.update(f"{part}\n".encode() + path.read_bytes())
    return digest.hexdigest()
