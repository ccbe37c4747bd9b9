"""Draws the ready set of a real function, beneath its gaps, for the README.

    python -m bench.ready_set_picture TRACES_DIR [--function PREFIX] [--sla SECONDS] [--target SHARE] [--output FILE]

The application of `bench.heldout` is planned for the first half of the function's arrivals. What the plan states is
written beside what a replay of the second half makes of it. Colors are legible on light and dark pages.
"""

import argparse
import math
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np

from bench.halves import Halves, fleet_of, halves, outcome
from bench.heldout import APPLICATION, CAP
from smiless_core import CompiledProblem, Plan, Problem, catalog

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "ready-set.svg"

WIDTH, LEFT, RIGHT = 860, 178, 18
TOP, HISTOGRAM, BAR, PITCH = 58, 130, 14, 22
BINS = 48
TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 3600, 7200)  # seconds

INK, FAINT = "#747b84", "#a9b0b8"
GAPS, READY, INITIALIZING, BAND = "#8b93a0", "#2f9e6e", "#e08a1e", "#2f9e6e2e"


def picture(given: Halves, plan: Plan, *, caption: list[str]) -> str:
    """Draw gaps and schedules over the same logarithmic axis, as SVG."""
    gaps = given.first.inter_arrivals
    edges = np.geomspace(max(float(gaps.min()) / 2.2, 0.5), float(gaps.max()) * 1.6, BINS + 1)
    counts, _ = np.histogram(gaps, edges)
    low, high = math.log(edges[0]), math.log(edges[-1])

    def x(seconds: float) -> float:
        place = (math.log(max(seconds, 1e-9)) - low) / (high - low)
        return LEFT + min(max(place, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    floor = TOP + HISTOGRAM
    bars = floor + 42
    bottom = bars + PITCH * len(plan)
    height = bottom + 14 + 19 * len(caption)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' font-family="system-ui, sans-serif" font-size="13" fill="{INK}" role="img" aria-labelledby="title">',
        '<title id="title">Gaps between arrivals, and when instances are ready for them</title>',
    ]
    parts += _legend()
    for begin, end in plan.ready_set:
        parts.append(_box(x(begin), TOP - 4, x(end) - x(begin), bottom - TOP, BAND))
    for count, begin, end in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        tall = HISTOGRAM * count / max(counts)
        if count:
            parts.append(_box(x(begin) + 0.5, floor - tall, x(end) - x(begin) - 1, tall, GAPS))
    parts.append(_text(LEFT - 10, floor - HISTOGRAM / 2, f"{len(gaps)} gaps", anchor="end"))
    parts += _axis(x, edges, floor)
    for row, assignment in enumerate(plan):
        y = bars + PITCH * row
        parts.append(_text(LEFT - 10, y + BAR - 3, assignment.function, anchor="end"))
        parts.append(
            f'<rect x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{BAR}" fill="none" stroke="{FAINT}"/>'
        )
        for stay in assignment.schedule:
            parts.append(_box(x(stay.start), y, x(stay.ready) - x(stay.start), BAR, INITIALIZING))
            parts.append(_box(x(stay.ready), y, max(x(stay.until) - x(stay.ready), 1.0), BAR, READY))
    for line, text in enumerate(caption):
        parts.append(_text(8, bottom + 22 + 19 * line, text))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    parts = [_text(8, 20, "When the next arrival comes, and when instances are there")]
    place = LEFT
    for color, text in ((GAPS, "gaps"), (INITIALIZING, "initializing"), (READY, "ready"), (BAND, "ready set")):
        parts.append(_box(place, 31, 12, 12, color))
        parts.append(_text(place + 17, 42, text))
        place += 40 + 7 * len(text)
    parts.append(f'<rect x="{place + 0.5}" y="31.5" width="11" height="11" fill="none" stroke="{INK}"/>')
    parts.append(_text(place + 17, 42, "absent"))
    return parts


def _axis(x: Callable[[float], float], edges: np.ndarray, floor: float) -> list[str]:
    parts = [f'<path d="M{LEFT} {floor}H{WIDTH - RIGHT}" stroke="{INK}"/>']
    for tick in TICKS:
        if edges[0] <= tick <= edges[-1]:
            parts.append(f'<path d="M{x(tick):.1f} {floor}v5" stroke="{INK}"/>')
            text = f"{tick} s" if tick < 60 else f"{tick // 60} min" if tick < 3600 else f"{tick // 3600} h"
            parts.append(_text(x(tick), floor + 18, text, anchor="middle"))
    parts.append(_text(LEFT - 10, floor + 18, "since the last arrival", anchor="end"))
    return parts


def _box(x: float, y: float, width: float, height: float, color: str) -> str:
    # Eight-digit colors are not understood everywhere.
    opacity = f' fill-opacity="{int(color[7:], 16) / 255:.2f}"' if len(color) > 7 else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color[:7]}"{opacity}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def main() -> int:
    """Plan for one function and draw what comes of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.ready_set_picture", description="Draw a ready set.")
    parser.add_argument("traces", type=Path, metavar="TRACES_DIR", help="directory of trace files")
    parser.add_argument("--function", default="98fd6b20", help="the beginning of its name")
    parser.add_argument("--sla", type=float, default=2.0, help="seconds")
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    for given in halves(arguments.traces, cap=CAP, placement="uniform", seed=0):
        if given.name.rpartition("/")[2].startswith(arguments.function):
            break
    else:
        parser.error(f"{arguments.traces}: no function with enough arrivals begins with {arguments.function}")
    problem = Problem(catalog.application(APPLICATION), catalog.profiles(), catalog.prices())
    plan = CompiledProblem(problem).solve(given.first.arrivals(), sla=arguments.sla, target=arguments.target).plan
    happened = outcome(given.first.times, given.second.times, fleet_of(plan), problem, arguments.sla, slowly=True)
    caption = [
        "A function of the Azure Functions trace of 2019, its arrivals placed at random within the minutes that it"
        " counts. Planned for",
        f"the first half: {100 * arguments.target:g} % of invocations within {arguments.sla:g} s.",
        f"Stated: {100 * plan.attainment:.1f} % at {1e3 * plan.cost:.2f} $ per thousand. Replayed on the second half,"
        f" {given.second.count} arrivals: {100 * happened.attainment:.1f} % at {1e3 * happened.cost:.2f} $.",
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(picture(given, plan, caption=caption), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
