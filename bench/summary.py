"""From the JSON of pytest-benchmark to the tables that people read.

    python -m bench.summary RUN.json

writes bench/results/results.json (what was measured, where and when), bench/results/RESULTS.md (all of it,
case by case) and the table of README.md, between its markers. Rows about held-out halves are taken from
bench/results/heldout.json, which `bench.heldout` writes. It demands nothing: a target that is missed is written down.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info
from pytest_benchmark.utils import get_commit_info

from bench.rows import QUANTITIES, ROWS, Cases, Row, shown

COMMAND = "make bench"
ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def stripped(run: dict[str, Any]) -> dict[str, Any]:
    """Keep what the tables need: no samples, no host name, no paths."""
    rows: dict[str, Cases] = {}
    for benchmark in run["benchmarks"]:
        info = benchmark["extra_info"]
        rows.setdefault(info["row"], {}).setdefault(info["case"], {}).update(info["measured"])
    return {
        **_where(COMMAND, run["datetime"], run["machine_info"], run["commit_info"]),
        "rivals": {package: version(package) for package in ("highspy", "lowtime", "simfaas")},
        "rows": rows,
    }


def measured_where(command: str) -> dict[str, Any]:
    """Describe a run of a script here and now, as `stripped` describes one of pytest-benchmark."""
    machine: dict[str, Any] = pytest_benchmark_generate_machine_info()
    return _where(command, datetime.now(UTC).isoformat(), machine, get_commit_info())


def _where(command: str, moment: str, machine: dict[str, Any], commit: dict[str, Any]) -> dict[str, Any]:
    return {
        "command": command,
        "date": moment[:10],
        "commit": commit["id"] + (", with changes" if commit["dirty"] else ""),
        "cpu": machine["cpu"]["brand_raw"],
        "cores": machine["cpu"]["count"],
        "system": f"{machine['system']} {machine['machine']}",
        "python": f"{machine['python_implementation']} {machine['python_version']}",
    }


def provenance(results: dict[str, Any]) -> str:
    """Say where the numbers come from."""
    packages = "".join(f", {package} {number}" for package, number in results.get("rivals", {}).items())
    return (
        f"Measured by `{results['command']}` on {results['date']}, commit {results['commit']}, on one of"
        f" {results['cores']} cores ({results['cpu']}), {results['system']}, {results['python']}{packages}."
    )


def heldout_cases(heldout: dict[str, Any]) -> Cases:
    """Return the row of held-out halves: a case for each setting, the halves that were held out."""
    return {
        f"SLA {setting['sla']:g} s, target {setting['target']:g}": {
            quantity: setting["summary"][half][quantity]
            for half, quantities in (
                ("second", ("attainment_off", "cost_off", "within_a_point", "within_3_percent")),
                ("first", ("attainment_error", "cost_error")),
            )
            for quantity in quantities
        }
        for setting in heldout["settings"]
    }


def table(header: list[str], lines: list[list[str]]) -> str:
    """Lay out a table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *lines])


def measured(row: Row, cases: Cases) -> str:
    """Write what a row has targets for, in its worst case, and the range of what else is worth showing."""
    parts = []
    for target in row.targets:
        value = target.worst(cases)
        if value is not None:
            parts.append(f"{QUANTITIES[target.quantity].what} {shown(target.quantity, value)}")
    for quantity in row.also:
        values = [case[quantity] for case in cases.values() if quantity in case]
        ends = dict.fromkeys(shown(quantity, value) for value in (min(values), max(values))) if values else ()
        if ends:
            parts.append(f"{QUANTITIES[quantity].what} {' to '.join(ends)}")
    return "; ".join(parts) or "not measured"


def verdict(row: Row, cases: Cases) -> str:
    """Say whether every target of a row is met in every case, and else by how much it is missed."""
    if not row.targets or not cases:
        return ""
    misses = []
    for target in row.targets:
        value = target.worst(cases)
        if value is None:
            misses.append(f"{QUANTITIES[target.quantity].what} not measured")
        elif not target.met(value):
            misses.append(f"{QUANTITIES[target.quantity].what} {target.missed_by(value)}")
    return f"no: {', '.join(misses)}" if misses else "yes"


def overview(results: dict[str, Any]) -> str:
    """One line for each row, the worst of its cases."""
    lines = []
    for row in ROWS:
        cases = results["rows"].get(row.key, {})
        target = "; ".join(map(str, row.targets))
        lines.append([row.what, target, measured(row, cases), verdict(row, cases)])
    return table(["what", "target", "measured, worst case", "met"], lines)


def details(row: Row, cases: Cases) -> str:
    """All cases of a row, with everything that was measured."""
    names = [name for name in QUANTITIES if any(name in case for case in cases.values())]
    lines = [
        [case, *(shown(name, values[name]) if name in values else "" for name in names)]
        for case, values in cases.items()
    ]
    return f"## {row.what}\n\n{table(['', *(QUANTITIES[name].what for name in names)], lines)}"


def report(results: dict[str, Any]) -> str:
    """Write the whole page of results."""
    rows = [(row, results["rows"][row.key]) for row in ROWS if row.key in results["rows"]]
    pages = [
        "# Results",
        provenance(results),
        "How this was measured: [../README.md](../README.md).",
        overview(results),
    ]
    return "\n\n".join(pages + [details(row, cases) for row, cases in rows]) + "\n"


def between_markers(page: str, text: str) -> str:
    """Replace what stands between the markers of a page."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN} and, after it, {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main() -> int:
    """Read one run and write the tables; nothing is written if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.summary", description="Write the tables of one run.")
    parser.add_argument("run", type=Path, help="what pytest --benchmark-json wrote")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="page with the markers")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", help="directory to write")
    arguments = parser.parse_args()
    results = stripped(json.loads(arguments.run.read_text(encoding="utf-8")))
    where = provenance(results)
    heldout = arguments.results / "heldout.json"
    if heldout.exists():
        halves = json.loads(heldout.read_text(encoding="utf-8"))
        results["rows"]["heldout"] = heldout_cases(halves)
        where += f" Held-out halves: {provenance(halves)[0].lower()}{provenance(halves)[1:]}"
    text = f"{overview(results)}\n\n{where}"
    try:
        page = between_markers(arguments.readme.read_text(encoding="utf-8"), text)
    except (OSError, ValueError) as error:
        print(f"{arguments.readme}: {error}", file=sys.stderr)
        return 1
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (arguments.results / "RESULTS.md").write_text(report(results), encoding="utf-8")
    arguments.readme.write_text(page, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
