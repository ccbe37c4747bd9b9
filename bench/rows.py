"""What is measured, what is asked of it, and how quantities read."""

from typing import NamedTuple

Cases = dict[str, dict[str, float]]  # case -> quantity -> value


class Target(NamedTuple):
    """A limit on one quantity that every case of a row has to keep."""

    quantity: str
    limit: float
    at_least: bool = False

    def worst(self, cases: Cases) -> float | None:
        """Return the value that is furthest from the target; None where nothing was measured."""
        values = [case[self.quantity] for case in cases.values() if self.quantity in case]
        return (min if self.at_least else max)(values, default=None)

    def met(self, value: float) -> bool:
        """Whether a value keeps the limit."""
        return value >= self.limit if self.at_least else value <= self.limit

    def missed_by(self, value: float) -> str:
        """By how much a value does not keep the limit."""
        if QUANTITIES[self.quantity].unit == "share":
            return f"{100 * abs(value - self.limit):.3g} points {'short' if self.at_least else 'above'}"
        return f"{value / self.limit:.3g} times the target" if self.limit else f"{value:.0f} too many"

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{QUANTITIES[self.quantity].what} {sign} {shown(self.quantity, self.limit)}"


class Row(NamedTuple):
    """One line of the table: what is measured, what is asked of it, and what else is worth showing."""

    key: str
    what: str
    targets: tuple[Target, ...] = ()
    also: tuple[str, ...] = ()


class Quantity(NamedTuple):
    """How one quantity reads."""

    what: str
    unit: str


PROVED = Target("proved", 1.0, at_least=True)

ROWS = (
    Row(
        "releases-zero",
        "search, all releases zero: n = 12, 26 modes, five topologies",
        (PROVED, Target("median", 100e-6), Target("p99", 2e-3), Target("highs_ratio", 100, at_least=True)),
        ("highs_least_ratio", "kernel_median"),
    ),
    Row(
        "readiness",
        "search with readiness: n = 12, 52 modes, five topologies",
        (PROVED, Target("median", 300e-6)),
        ("p99", "highs_ratio"),
    ),
    Row(
        "medium",
        "search within 1 s: series-parallel n = 50, general n = 30, 26 modes",
        (PROVED, Target("median", 5e-3), Target("p99", 0.6)),
    ),
    Row("general-50", "search within 1 s: general n = 50, 26 modes", (Target("worst_gap", 0.05),), ("proved",)),
    Row(
        "large",
        "search within 2 s: n = 1000, 26 modes, five topologies",
        (Target("worst_gap", 0.12), Target("worst", 2.0)),
    ),
    Row(
        "solve",
        "`solve` on a compiled problem, in Python: n = 12, 52 modes, five topologies",
        (PROVED, Target("median", 250e-6)),
        ("with_plan_median",),
    ),
    Row(
        "joint",
        "joint search for a distribution, in Python: n = 12, 52 modes, four laws, five topologies",
        (Target("median", 10e-3), Target("again_median", 1e-3), Target("median_gap", 0.01)),
        ("p99", "proved", "worst_gap"),
    ),
    Row(
        "heldout",
        "plans for the first half of real traces, replayed on the second half",
        (Target("attainment_off", 0.01), Target("cost_off", 0.03)),
        ("within_a_point", "within_3_percent", "attainment_error", "cost_error"),
    ),
    Row(
        "windows",
        "switching policy on 1,000 breakpoints, three kinds of gaps",
        (Target("median", 30e-6),),
        ("in_python_median",),
    ),
    Row(
        "forecast",
        "one update and plan of the default forecaster, in Python: random arrivals, a timer, bursts",
        (Target("median", 50e-6), Target("state", 20 * 1024)),
    ),
    Row(
        "fleet",
        "forecasts and plans after every arrival of 10,000 applications, on two cores",
        (Target("real_time", 100, at_least=True),),
        ("arrivals_rate",),
    ),
    Row(
        "forecasters",
        "forecasters with the switching policy: 12 functions, 149 gaps each, cost / clairvoyant at 2 % of misses",
        also=("clairvoyant_cost", "per_gap", "training"),
    ),
    Row(
        "simulator",
        "`simulate`, in Python: one function, fixed keep-alive",
        (Target("per_second", 2e6, at_least=True),),
        ("engine_per_second",),
    ),
    Row(
        "simulator-five",
        "`simulate`, in Python: a DAG of five functions, fixed keep-alive",
        (Target("per_second", 1e6, at_least=True),),
        ("engine_per_second",),
    ),
    Row(
        "simfaas",
        "`simulate` against simfaas: one function, 50,000 arrivals, the same ones",
        (Target("simfaas_ratio", 40, at_least=True),),
        ("cold", "simfaas_cold"),
    ),
    Row(
        "memory",
        "memory of a replay: 10 million function invocations",
        (Target("peak", 256 * 2**20),),
        ("peak_before",),
    ),
    Row(
        "import",
        "`import smiless_core` in a fresh interpreter",
        (Target("median", 0.15), Target("heavy", 0)),
        ("numpy_median",),
    ),
    Row(
        "lowtime",
        "frontier against lowtime: n = 12, 26 modes, a deadline every 20 ms",
        also=("lowtime_ratio", "same_cost", "mean_excess", "worst_excess"),
    ),
)

QUANTITIES = {
    "cells": Quantity("cells", "count"),
    "proved": Quantity("proved", "share"),
    "worst_gap": Quantity("largest gap", "share"),
    "median": Quantity("median", "time"),
    "p99": Quantity("p99", "time"),
    "worst": Quantity("longest", "time"),
    "kernel_median": Quantity("median of the native call alone", "time"),
    "with_plan_median": Quantity("median with the plan written out", "time"),
    "in_python_median": Quantity("median of the whole call in Python", "time"),
    "again_median": Quantity("median of a re-plan", "time"),
    "again_p99": Quantity("p99 of a re-plan", "time"),
    "median_gap": Quantity("median gap", "share"),
    "smoothing_median": Quantity("median of making the distribution", "time"),
    "attainment_off": Quantity("attainment off what was stated, median", "share"),
    "cost_off": Quantity("cost off what was stated, median", "share"),
    "within_a_point": Quantity("functions within 1 point", "share"),
    "within_3_percent": Quantity("functions within 3 %", "share"),
    "attainment_error": Quantity("the same on the first half, attainment", "share"),
    "cost_error": Quantity("the same on the first half, cost", "share"),
    "invocations": Quantity("function invocations", "count"),
    "per_second": Quantity("function invocations per second", "rate"),
    "engine_per_second": Quantity("of the native engine alone", "rate"),
    "state": Quantity("state", "memory"),
    "real_time": Quantity("times real time", "times"),
    "arrivals_rate": Quantity("arrivals per second", "rate"),
    "clairvoyant_cost": Quantity("cost", "times"),
    "per_gap": Quantity("time per gap, 16 plans", "time"),
    "training": Quantity("training", "time"),
    "cold": Quantity("cold starts per invocation", "share"),
    "simfaas_cold": Quantity("of simfaas", "share"),
    "simfaas_per_second": Quantity("function invocations per second of simfaas", "rate"),
    "simfaas_ratio": Quantity("time of simfaas over ours", "times"),
    "peak": Quantity("most memory of the process", "memory"),
    "peak_before": Quantity("of it for Python, the libraries and the trace", "memory"),
    "heavy": Quantity("slow modules imported", "count"),
    "numpy_median": Quantity("numpy alone", "time"),
    "highs_cells": Quantity("cells beside HiGHS", "count"),
    "highs_median": Quantity("median of HiGHS", "time"),
    "highs_worst": Quantity("longest of HiGHS", "time"),
    "highs_ratio": Quantity("time of HiGHS over ours, median", "times"),
    "highs_least_ratio": Quantity("time of HiGHS over ours, least", "times"),
    "deadlines": Quantity("deadlines", "count"),
    "frontier_median": Quantity("median of the search, all deadlines", "time"),
    "lowtime_median": Quantity("median of lowtime, all deadlines", "time"),
    "lowtime_ratio": Quantity("time of lowtime over ours, median", "times"),
    "lowtime_least_ratio": Quantity("time of lowtime over ours, least", "times"),
    "same_cost": Quantity("deadlines where its plan is optimal", "share"),
    "mean_excess": Quantity("cost of its plans above the optimum, mean", "share"),
    "worst_excess": Quantity("cost of its plans above the optimum, most", "share"),
}


def shown(quantity: str, value: float) -> str:
    """Write a value with its unit."""
    match QUANTITIES[quantity].unit:
        case "time" if value < 1e-3:
            return f"{value * 1e6:.3g} µs"
        case "time" if value < 1:
            return f"{value * 1e3:.3g} ms"
        case "time":
            return f"{value:.3g} s"
        case "share":
            return f"{100 * value:.3g} %" if value < 0.999 or value == 1 else f"{100 * value:.5g} %"
        case "times":
            return f"{value:,.0f}x" if value >= 10 else f"{value:.2g}x"
        case "rate":
            return f"{value / 1e6:.3g} million" if value >= 1e6 else f"{value:,.0f}"
        case "memory" if value < 2**20:
            return f"{value / 2**10:.3g} KiB"
        case "memory":
            return f"{value / 2**20:.0f} MiB"
        case _:
            return f"{value:,.0f}"
