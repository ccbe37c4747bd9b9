"""Plans for the first half of real traces, replayed on the second half, beside simpler rules for the same functions.

    python -m bench.heldout TRACES_DIR [--limit N] [--json FILE]

TRACES_DIR holds trace files, each with any number of functions. An application of the catalog is planned for the gaps
of the first half of every trace with enough arrivals, as if they were its own. What the plan states is set against
replays by the slow, event-by-event twin of the tests (which has to agree with the native replay to the nanosecond):
once more of the first half, where differences are errors, and of the second half, where they are drift and chance as
well. Writes bench/results/heldout.json and, to read, bench/results/heldout.md.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import track

from bench.halves import LEAST_GAPS, Fleet, Halves, fleet_of, halves, outcome
from bench.heldout_page import page, summarized
from bench.schedule_rivals import RIVALS, ScheduleRivals
from bench.summary import measured_where
from smiless_core import CompiledProblem, Problem, catalog
from smiless_core.traces import Placement

RESULTS = Path(__file__).resolve().parent / "results"
APPLICATION = "amber-alert"
CAP = 3000


class Setting(NamedTuple):
    """What is asked of every plan: a bound in seconds, and the fraction of invocations to keep it."""

    sla: float
    target: float


def evaluated(compiled: CompiledProblem, given: Halves, setting: Setting) -> dict[str, Any]:
    """Plan for the first half, and replay both; the same for every rival."""
    sla, target = setting
    started = time.perf_counter()
    solution = compiled.solve(given.first.arrivals(), sla=sla, target=target)
    plan = solution.closest
    seconds = time.perf_counter() - started
    assert solution.attainment is not None, "the SLA can be met when everything is ready"
    rivals = ScheduleRivals(compiled, given, sla)
    fleets = {name: rule(rivals) for name, rule in RIVALS.items()}
    kept = rivals.fixed_keep_alive(target)
    fleets["best fixed keep-alive"] = kept.fleet

    def replayed(fleet: Fleet) -> dict[str, dict[str, float]]:
        scene = given.first.times
        return {
            half: outcome(scene, times, fleet, compiled.problem, sla, slowly=True)._asdict()
            for half, times in (("first", given.again), ("second", given.second.times))
        }

    return {
        "source": given.source,
        "name": given.name,
        "arrivals": [given.first.count, given.second.count],
        "interval": [given.first.interval, given.second.interval],
        "status": str(solution.status),
        "gap": solution.gap if solution.feasible else None,
        "seconds": seconds,
        "stated": {
            # Without a plan that reaches the target, what comes closest is judged all the same.
            "attainment": plan.attainment,
            "cost": plan.cost,
            "replay_cost": solution.replay_cost if solution.feasible else None,
        },
        "replayed": replayed(fleet_of(plan)),
        "rivals": {name: replayed(fleet) for name, fleet in fleets.items()},
        "keep_alive": None if kept.seconds == float("inf") else kept.seconds,
    }


def main() -> int:
    """Evaluate every trace of a directory and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.heldout", description="Plans against held-out halves.")
    parser.add_argument("traces", type=Path, metavar="TRACES_DIR", help="directory of trace files")
    parser.add_argument("--limit", type=int, help="only so many traces, taken evenly")
    parser.add_argument("--cap", type=int, default=CAP, help="arrivals of a half at most, those next to the middle")
    parser.add_argument("--placement", choices=list(map(str, Placement)), default=str(Placement.UNIFORM))
    parser.add_argument("--seed", type=int, default=0, help="of the placement")
    parser.add_argument("--json", type=Path, default=RESULTS / "heldout.json", help="file to write, and .md beside it")
    arguments = parser.parse_args()
    if not arguments.traces.is_dir():
        parser.error(f"{arguments.traces}: not a directory")

    application = catalog.application(APPLICATION)
    compiled = CompiledProblem(Problem(application, catalog.profiles(), catalog.prices()))
    settings = (
        Setting(application.sla, application.attainment_target),
        Setting(3 * application.sla, application.attainment_target),
        Setting(3 * application.sla, 0.95),
    )
    given = list(halves(arguments.traces, cap=arguments.cap, placement=arguments.placement, seed=arguments.seed))
    if not given:
        parser.error(f"{arguments.traces}: no trace with {LEAST_GAPS} gaps in either half")
    if arguments.limit is not None and arguments.limit < len(given):
        given = [given[at * len(given) // arguments.limit] for at in range(arguments.limit)]

    started = time.perf_counter()
    evaluations: list[list[dict[str, Any]]] = [[] for _ in settings]
    for each in track(given, description="planning and replaying", disable=not sys.stderr.isatty()):
        for setting, found in zip(settings, evaluations, strict=True):
            found.append(evaluated(compiled, each, setting))
    options = "" if arguments.limit is None else f" --limit {arguments.limit}"
    if arguments.cap != CAP:
        options += f" --cap {arguments.cap}"
    if arguments.placement != Placement.UNIFORM or arguments.seed:
        options += f" --placement {arguments.placement} --seed {arguments.seed}"
    results = {
        **measured_where(f"python -m bench.heldout TRACES_DIR{options}"),
        "seconds": time.perf_counter() - started,
        "application": APPLICATION,
        "cap": arguments.cap,
        "placement": arguments.placement,
        "settings": [
            {**setting._asdict(), "summary": summarized(found, setting.target), "traces": found}
            for setting, found in zip(settings, evaluations, strict=True)
        ],
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    text = page(results)
    arguments.json.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
