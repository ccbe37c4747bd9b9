"""Instances with known optima, read from ``tests/data/instances``.

A file holds ``about``, ``edges``, ``modes`` (per function the rows [release, latency, cost]; null: not
offered), ``shortest_latency`` (null: no choice at all) and ``optima``: for several SLAs the optimal cost and
the canonical choice (null: infeasible).
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import strategies
from smiless_core.solver.tables import ModeTable

DIRECTORY = Path(__file__).parent / "data" / "instances"
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.json"))


class Known(NamedTuple):
    """What is known of one SLA."""

    sla: float
    cost: float | None
    choice: tuple[int, ...] | None


class Frozen(NamedTuple):
    """One file."""

    table: ModeTable
    shortest_latency: float
    optima: list[Known]


def read(name: str) -> Frozen:
    """Read an instance by its name."""
    content = json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
    modes = [
        [(release, latency, math.inf if cost is None else cost) for release, latency, cost in rows]
        for rows in content["modes"]
    ]
    shortest = content["shortest_latency"]
    return Frozen(
        table=strategies.table_of([(u, v) for u, v in content["edges"]], modes),
        shortest_latency=math.inf if shortest is None else shortest,
        optima=[
            Known(known["sla"], known["cost"], None if known["choice"] is None else tuple(known["choice"]))
            for known in content["optima"]
        ],
    )
