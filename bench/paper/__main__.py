"""Write the page: see bench/paper/__init__.py."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.paper import lineup, pictures
from bench.paper.evaluation import by_trace, run_all, summed
from bench.paper.page import FIGURES, Findings, page
from bench.paper.planning import LENGTHS, enumerated, overhead
from bench.summary import measured_where, provenance
from smiless_core import Comparison, Policy, SmilessError, Trace

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = 2
HOURS = 4.0


def main() -> int:
    """Run what has not been run with this code, and write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.paper", description="The evaluation of the SMIless paper, in the simulator."
    )
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="PATH",
        default=os.environ.get("SMILESS_TRACES") or None,
        help="recorded arrivals, such as the Azure trace of 2019: a trace or a directory of traces"
        " (default: $SMILESS_TRACES)",
    )
    parser.add_argument("--slas", type=_numbers, default=lineup.SLAS, metavar="S,S,...", help="seconds")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many traces are drawn of each kind")
    parser.add_argument("--hours", type=float, default=HOURS, help="of each of them")
    parser.add_argument("--lengths", type=_numbers, default=LENGTHS, metavar="N,N,...", help="of chains")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", help="directory to write")
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "paper", help="directory that keeps runs")
    arguments = parser.parse_args()
    try:
        findings = found(arguments)
    except (SmilessError, ValueError, OSError) as error:
        print(f"python -m bench.paper: {error}", file=sys.stderr)
        return 1
    arguments.results.mkdir(parents=True, exist_ok=True)
    drawn = (
        pictures.systems(findings.mixed),
        pictures.scattered(findings.bursts, "Cost against attainment under bursts"),
        pictures.overheads(findings.overheads),
    )
    for name, picture in zip(FIGURES, drawn, strict=True):
        (arguments.results / name).write_text(picture, encoding="utf-8")
    for title, why in findings.failed.items():
        print(f"failed: {title}: {why}", file=sys.stderr)
    (arguments.results / "paper.md").write_text(page(findings), encoding="utf-8")
    print(arguments.results / "paper.md")
    return 0


def found(arguments: argparse.Namespace) -> Findings:
    """Run everything, and show how far it is."""
    seconds = 3600.0 * arguments.hours
    mixed = lineup.mixed(arguments.seeds, seconds=seconds)
    sampled = lineup.sampled(arguments.trace) if arguments.trace else []
    problems, policies, ends = lineup.problems(), lineup.systems(), lineup.ends(arguments.slas)
    with Progress(
        TextColumn("{task.description:<32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:

        def run(title: str, policies: Sequence[Policy], traces: Sequence[Trace], slas: Sequence[float]) -> Comparison:
            task = progress.add_task(title, total=None)

            def shown(finished: int, total: int) -> None:
                progress.update(task, completed=finished, total=total)

            return run_all(problems, traces, policies, slas=slas, directory=arguments.runs, progress=shown)

        all_mixed = summed(
            run("all systems", policies, mixed, arguments.slas),
            run("ours on CPUs only", [lineup.OURS_HOMOGENEOUS], mixed, ends),
        )
        all_bursts = summed(run("bursts", policies, lineup.bursts(arguments.seeds, seconds=seconds), ends))
        every = [lineup.OURS_HOMOGENEOUS, *policies]
        regular = by_trace(run("arrivals at fixed intervals", every, lineup.regular(), ends[:1]))
        recorded = by_trace(run("recorded arrivals", policies, sampled, ends)) if sampled else {}
        optimum = enumerated(problems, arguments.slas)
        lengths = [int(length) for length in arguments.lengths]
        overheads = [overhead(length) for length in progress.track(lengths, description="planning time")]
    return Findings(
        command=_command(arguments),
        where=provenance(measured_where(_command(arguments))),
        mixed=all_mixed,
        bursts=all_bursts,
        regular=regular,
        sampled=recorded,
        traces=[f"{trace.count} arrivals" for trace in mixed],
        optimum=optimum,
        overheads=overheads,
    )


def _command(arguments: argparse.Namespace) -> str:
    options = " --trace TRACES" if arguments.trace else ""
    if tuple(arguments.slas) != lineup.SLAS:
        options += f" --slas {','.join(f'{sla:g}' for sla in arguments.slas)}"
    if arguments.seeds != SEEDS:
        options += f" --seeds {arguments.seeds}"
    if arguments.hours != HOURS:
        options += f" --hours {arguments.hours:g}"
    if tuple(arguments.lengths) != LENGTHS:
        options += f" --lengths {','.join(f'{length:g}' for length in arguments.lengths)}"
    return f"python -m bench.paper{options}"


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(each) for each in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
