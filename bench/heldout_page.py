"""What the evaluation on held-out halves comes to: quantities of all functions, and the page that shows them."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bench.summary import provenance, table

POINT, PERCENTS = 0.01, 0.03
STEADY = 0.1  # change of the mean gap between the halves
WORST = 10
HALVES = {"first": "first half once more", "second": "second half, held out"}

Evaluation = dict[str, Any]


def summarized(found: Sequence[Evaluation], target: float) -> dict[str, Any]:
    """Sum up one setting over its functions.

    Differences are replayed less stated: in attainment as a fraction of invocations, in cost as a fraction of what was
    stated. *Pooled* numbers weigh functions by invocations.
    """
    steady = [each for each in found if abs(_drift(each)) <= STEADY]
    return {
        "functions": len(found),
        "short": sum(each["status"] == "infeasible" for each in found),
        "first": _against_stated(found, "first"),
        "second": _against_stated(found, "second"),
        "steady": _against_stated(steady, "second") if steady else None,
        "gap": _quartiles(each["gap"] for each in found if each["gap"] is not None),
        "seconds": _quartiles(each["seconds"] for each in found),
        "ours": _attained(found, lambda each: each["replayed"]["second"], target),
        "rivals": {name: _beside(found, name, target) for name in found[0]["rivals"]},
    }


def _against_stated(found: Sequence[Evaluation], half: str) -> dict[str, Any]:
    stated = np.array([each["stated"]["attainment"] for each in found])
    attained = np.array([each["replayed"][half]["attainment"] for each in found])
    cost = np.array([each["replayed"][half]["cost"] for each in found])
    counts = np.array([each["arrivals"][half == "second"] for each in found])
    promised = np.array([each["stated"]["cost"] for each in found])
    replays = [
        each["replayed"][half]["cost"] / each["stated"]["replay_cost"] - 1
        for each in found
        if each["stated"]["replay_cost"] is not None
    ]
    by_attainment, by_cost = attained - stated, cost / promised - 1
    # What chance alone does to a fraction of so many invocations, twice its standard deviation.
    chance = 2 * np.sqrt(stated * (1 - stated) / counts)
    off = "off" if half == "second" else "error"
    return {
        "functions": len(found),
        f"attainment_{off}": float(np.median(np.abs(by_attainment))),
        f"cost_{off}": float(np.median(np.abs(by_cost))),
        "attainment": _quartiles(by_attainment),
        "cost": _quartiles(by_cost),
        "replay_cost": _quartiles(replays),
        "within_a_point": float(np.mean(np.abs(by_attainment) <= POINT)),
        "within_chance": float(np.mean(np.abs(by_attainment) <= np.maximum(POINT, chance))),
        "within_3_percent": float(np.mean(np.abs(by_cost) <= PERCENTS)),
        "pooled_attainment": float(counts @ attained / counts.sum()),
        "pooled_stated": float(counts @ stated / counts.sum()),
        "pooled_cost": float(counts @ cost / (counts @ promised)) - 1,
    }


def _attained(
    found: Sequence[Evaluation], of: Callable[[Evaluation], dict[str, float]], target: float
) -> dict[str, float]:
    attained = np.array([of(each)["attainment"] for each in found])
    counts = np.array([each["arrivals"][1] for each in found])
    return {
        "pooled_attainment": float(counts @ attained / counts.sum()),
        "mean_attainment": float(attained.mean()),
        "within_a_point_of_target": float(np.mean(attained >= target - POINT)),
    }


def _beside(found: Sequence[Evaluation], name: str, target: float) -> dict[str, Any]:
    """Set a rival beside the plans, on the second half."""
    own = [each["replayed"]["second"] for each in found]
    other = [each["rivals"][name]["second"] for each in found]
    counts = np.array([each["arrivals"][1] for each in found])
    ratios = np.array([b["cost"] / a["cost"] for a, b in zip(own, other, strict=True)])
    total = counts @ np.array([b["cost"] for b in other]) / (counts @ np.array([a["cost"] for a in own]))
    return {
        **_attained(found, lambda each: each["rivals"][name]["second"], target),
        "pooled_cost_ratio": float(total),
        "cost_ratio": _quartiles(ratios),
        "beaten": sum(_beats(a, b) for a, b in zip(own, other, strict=True)),
        "beats": sum(_beats(b, a) for a, b in zip(own, other, strict=True)),
    }


def _beats(a: dict[str, float], b: dict[str, float]) -> bool:
    """Whether one is at least as good as the other in both respects, and better in one."""
    return (
        a["attainment"] >= b["attainment"]
        and a["cost"] <= b["cost"]
        and (a["attainment"], a["cost"]) != (b["attainment"], b["cost"])
    )


def _drift(each: Evaluation) -> float:
    """Return by how much the mean gap changes from the first half to the second, as a fraction."""
    first, second = each["interval"]
    return float(second / first - 1)


def _quartiles(values: Iterable[float]) -> list[float]:
    given = list(values)
    return np.quantile(given, [0.25, 0.5, 0.75]).tolist() if given else []


# --- the page ----------------------------------------------------------------------------------------


def page(results: dict[str, Any]) -> str:
    """Write the whole page."""
    count = results["settings"][0]["summary"]["functions"]
    parts = [
        "# Held-out halves",
        f"{provenance(results)} It took {results['seconds'] / 60:.1f} minutes.",
        f"Each of {count} functions of real traces lends the application `{results['application']}` its arrivals. A"
        f" plan is made for the gaps of the first half of the time, and replayed event by event on the second half."
        f" Halves of more than {results['cap']:,} arrivals are cut to those next to the middle; arrivals that a trace"
        f" only counts by the minute are placed by the rule `{results['placement']}`. On the *first half once more*,"
        f" what differs from the statement is error; on the *second half* it is drift and chance as well.",
    ]
    for setting in results["settings"]:
        parts += _setting(setting)
    return "\n\n".join(parts) + "\n"


def _setting(setting: dict[str, Any]) -> list[str]:
    summary, found = setting["summary"], setting["traces"]
    gap, seconds = summary["gap"], summary["seconds"]
    parts = [
        f"## SLA {setting['sla']:g} s, target {_percent(setting['target'])}",
        f"Solving took {1e3 * seconds[1]:.1f} ms (median; quartiles {1e3 * seconds[0]:.1f} and {1e3 * seconds[2]:.1f}),"
        f" plan included, with a gap of {_percent(gap[1])} ({_percent(gap[0])} and {_percent(gap[2])})."
        + (
            f" No plan was found for {summary['short']} functions; what came closest is judged."
            if summary["short"]
            else ""
        ),
        "### Stated against replayed",
        _stated(summary),
        "### Against simpler rules, on the second half",
        _rivals(summary),
        "### Where plans do worst",
        _worst(found),
    ]
    for name in summary["rivals"]:
        losses = _losses(found, name)
        if losses:
            parts += [f"Beaten by *{name}*, by most first:", losses]
    return parts


def _stated(summary: dict[str, Any]) -> str:
    columns = {
        **{what: summary[half] for half, what in HALVES.items()},
        f"of these, mean gap within {_percent(STEADY)}": summary["steady"],
    }
    columns = {what: values for what, values in columns.items() if values}
    rows: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("functions", lambda column: str(column["functions"])),
        ("attainment, replayed less stated: median (quartiles), points", lambda c: _spread(c["attainment"])),
        ("functions within 1 point", lambda c: _percent(c["within_a_point"])),
        ("within 1 point or two standard errors", lambda c: _percent(c["within_chance"])),
        ("cost, replayed against stated: median (quartiles), %", lambda c: _spread(c["cost"])),
        ("functions within 3 %", lambda c: _percent(c["within_3_percent"])),
        ("cost against `replay_cost`: median (quartiles), %", lambda c: _spread(c["replay_cost"])),
        (
            "all invocations: attainment stated, replayed",
            lambda c: f"{_percent(c['pooled_stated'])}, {_percent(c['pooled_attainment'])}",
        ),
        ("all invocations: cost against stated", lambda c: f"{100 * c['pooled_cost']:+.2f} %"),
    ]
    return table(["", *columns], [[what, *map(of, columns.values())] for what, of in rows])


def _rivals(summary: dict[str, Any]) -> str:
    ours = summary["ours"]
    lines = [["plan", *_shares(ours), "1", "1", "", ""]]
    for name, rival in summary["rivals"].items():
        low, middle, high = rival["cost_ratio"]
        lines.append(
            [
                name,
                *_shares(rival),
                f"{rival['pooled_cost_ratio']:.2f}",
                f"{middle:.2f} ({low:.2f} to {high:.2f})",
                str(rival["beaten"]),
                str(rival["beats"]),
            ]
        )
    header = ["", "attainment, all invocations", "mean of functions", "functions at the target less 1 point"]
    costs = ["cost ratio, all invocations", "median of functions (quartiles)"]
    return table([*header, *costs, "functions where the plan is better", "where it is worse"], lines)


def _shares(values: dict[str, float]) -> list[str]:
    return [_percent(values[name]) for name in ("pooled_attainment", "mean_attainment", "within_a_point_of_target")]


def _worst(found: Sequence[Evaluation]) -> str:
    """List the functions whose attainment falls furthest below what was stated."""

    def short(each: Evaluation) -> float:
        return float(each["stated"]["attainment"] - each["replayed"]["second"]["attainment"])

    lines = [
        [
            _name(each),
            f"{each['arrivals'][0]}, {each['arrivals'][1]}",
            f"{each['interval'][0]:.3g}, {each['interval'][1]:.3g}",
            _percent(each["stated"]["attainment"]),
            _percent(each["replayed"]["first"]["attainment"]),
            _percent(each["replayed"]["second"]["attainment"]),
            f"{100 * (each['replayed']['first']['cost'] / each['stated']['cost'] - 1):+.1f} %",
            f"{100 * (each['replayed']['second']['cost'] / each['stated']['cost'] - 1):+.1f} %",
        ]
        for each in sorted(found, key=short, reverse=True)[:WORST]
    ]
    header = [
        "function",
        "arrivals",
        "mean gap, s",
        "stated",
        "first half",
        "second half",
        "cost, first half",
        "second",
    ]
    return table(header, lines)


def _losses(found: Sequence[Evaluation], name: str) -> str:
    """List where a rival is better in both respects; empty where it never is."""
    lost = [each for each in found if _beats(each["rivals"][name]["second"], each["replayed"]["second"])]
    if not lost:
        return ""

    def ratio(each: Evaluation) -> float:
        return float(each["rivals"][name]["second"]["cost"] / each["replayed"]["second"]["cost"])

    lines = [
        [
            _name(each),
            f"{each['arrivals'][0]}, {each['arrivals'][1]}",
            f"{each['interval'][0]:.3g}, {each['interval'][1]:.3g}",
            _percent(each["replayed"]["second"]["attainment"]),
            _percent(each["rivals"][name]["second"]["attainment"]),
            f"{ratio(each):.3f}",
        ]
        for each in sorted(lost, key=ratio)[:WORST]
    ]
    return table(["function", "arrivals", "mean gap, s", "plan attains", "rival attains", "its cost ratio"], lines)


def _name(each: Evaluation) -> str:
    return f"{each['source'].partition('_')[0]} `{each['name'].rpartition('/')[2][:10]}`"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.4g} %"


def _spread(quartiles: Sequence[float]) -> str:
    if not quartiles:
        return ""
    low, middle, high = (100 * value for value in quartiles)
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"
