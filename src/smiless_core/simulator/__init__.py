"""The simulator: policies serve recorded arrivals, and what comes of it."""

from smiless_core.simulator.clairvoyant import clairvoyant_cost
from smiless_core.simulator.comparison import Comparison, compare, sweep
from smiless_core.simulator.engine import simulate
from smiless_core.simulator.records import RECORDED
from smiless_core.simulator.runs import FunctionRun, Instances, Run, Services, Usage
from smiless_core.simulator.storage import read_runs, write_runs

__all__ = [
    "RECORDED",
    "Comparison",
    "FunctionRun",
    "Instances",
    "Run",
    "Services",
    "Usage",
    "clairvoyant_cost",
    "compare",
    "read_runs",
    "simulate",
    "sweep",
    "write_runs",
]
