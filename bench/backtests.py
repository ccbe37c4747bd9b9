"""Backtests on recorded arrivals: ``python -m bench.backtests TRACES`` writes results/backtests.md.

TRACES is anything that `smiless backtest` takes: an Azure trace of 2019 with counts per minute. Its functions are
halved in the order of the file; the first half is to look at, the second one to report on.
"""

import argparse
import time
from pathlib import Path

import smiless_core as sc
from bench.summary import measured_where, provenance
from smiless_core.backtests import HybridHistograms, usual_methods, usual_targets

PAGE = Path(__file__).parent / "results/backtests.md"
PLACEMENTS = ("uniform", "equidistant", "fixed-phase")
SEED = 1
TEN_MINUTES = HybridHistograms()
MISSES = (0.01, 0.02, 0.05)


def halves(path, placement):
    """Return the functions of a trace: all of them, the first and the second half."""
    traces = sc.read_traces(path, placement=placement, seed=SEED)
    names = list(traces)
    middle = len(names) // 2
    parts = {"first": names[:middle], "second": names[middle:], "all": names}
    return {part: {name: traces[name] for name in each} for part, each in parts.items()}


def section(title, traces):
    """Yield the lines of one half at one placement."""
    start = time.perf_counter()
    found = sc.backtest(traces, usual_methods())
    seconds = time.perf_counter() - start
    targets = [target for misses in MISSES for target in usual_targets(misses)]
    kept = sc.backtest(traces, [TEN_MINUTES], targets=targets)
    (hybrid,) = kept.curves[0].points
    ours = found.curves[0]
    yield f"\n## {title}\n"
    yield f"{found.scene['functions']:,} functions, {found.scene['gaps']:,} gaps; all methods took {seconds:.0f} s.\n"
    yield (
        "| cost / clairvoyant at | "
        + " | ".join(f"{100 * at:g} %" for at in MISSES)
        + " | "
        + " | ".join(f"mean, {100 * at:g} %" for at in MISSES)
        + " |"
    )
    yield "| --- |" + " --- |" * 6
    for each in found.curves:
        costs = [each.cost_at(at, mean=mean) for mean in (False, True) for at in MISSES]
        mark = " †" if each.fidelity.startswith("simplified") else ""
        yield f"| {each.method}{mark} | " + " | ".join("-" if cost != cost else f"{cost:.2f}" for cost in costs) + " |"
    yield ""
    ratio = ours.cost_at(hybrid.misses) / hybrid.cost
    mean = ours.cost_at(hybrid.mean_misses, mean=True) / hybrid.mean_cost
    yield (
        f"The hybrid histogram† with a fallback of ten minutes, as it comes: {hybrid.cost:.2f} at"
        f" {100 * hybrid.misses:.2f} % (means: {hybrid.mean_cost:.1f} at {100 * hybrid.mean_misses:.2f} %). At the same"
        f" misses bandwidth-chain costs {ratio:.2f}x as much (means: {mean:.2f}x).\n"
    )
    yield (
        "| target, without hindsight | missed | cost | over one price in hindsight | mean missed | mean cost | worst |"
        " mean absolute error |"
    )
    yield "| --- |" + " --- |" * 7
    for each, point in zip(kept.kept, kept.kept_points(), strict=True):
        counts = kept.gaps >= 20
        error = abs(each.missed / kept.gaps - each.target.misses)[counts].mean()
        over = point.cost / ours.cost_at(point.misses) - 1.0
        yield (
            f"| {point.setting} | {100 * point.misses:.2f} % | {point.cost:.2f} | {100 * over:+.0f} % |"
            f" {100 * point.mean_misses:.2f} % | {point.mean_cost:.2f} | {100 * kept.worst(each):.0f} % |"
            f" {100 * error:.2f} points |"
        )


def dense(path):
    """Yield what is lost to the best fixed keep-alive where functions are called all the time."""
    traces = sc.read_traces(path, placement="uniform", seed=SEED)
    busy = {name: trace for name, trace in traces.items() if trace.count > 1 and trace.interval < 2.0}
    found = sc.backtest(busy, usual_methods())
    fixed = next(each for each in found.curves if each.method == "fixed-keep-alive")
    yield "\n## Functions that are called more than every 2 s\n"
    yield f"{found.scene['functions']:,} functions. Cost over that of the best fixed keep-alive that misses no more:\n"
    yield "| price of a miss, cold starts | missed | cost / clairvoyant | over the best fixed keep-alive |"
    yield "| --- | --- | --- | --- |"
    for point in found.curves[0].points:
        least = fixed.cost_at(point.misses)
        over = "-" if least != least else f"{100 * (point.cost / least - 1.0):+.1f} %"
        price = point.setting.removeprefix("a miss costs ").removesuffix(" cold starts")
        yield f"| {price} | {100 * point.misses:.3f} % | {point.cost:.3f} | {over} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("traces", metavar="TRACES", type=Path)
    path = parser.parse_args().traces
    lines = [
        "# Backtests on recorded arrivals",
        "",
        f"Written by `python -m bench.backtests TRACES` ({path.name}, seed {SEED}). One instance a function, a cold"
        " start of 5 s, the first 3,000 arrivals; settings are the best ones in hindsight, for all methods alike, and"
        " nothing was tuned on these figures. Means are over functions with 20 gaps or more. † simplified.",
    ]
    for placement in PLACEMENTS:
        for part, traces in halves(path, placement).items():
            if part == "first":
                continue
            what = "the second half of the functions" if part == "second" else "all functions"
            lines += section(f"{placement} placement, {what}", traces)
    lines += dense(path)
    lines += ["", provenance(measured_where(f"python -m bench.backtests {path.name}"))]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
