"""What a backtest has found: frontiers of cost against misses, and whether forecasts were right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.backtests.fleet import Kept
from smiless_core.backtests.methods import BARS, Method, Played
from smiless_core.solver.formatting import brief_seconds, fitting_width, percent, table

__all__ = ["LEAST_GAPS", "SHOWN", "Backtest", "Curve", "Point", "curve"]

Floats = NDArray[np.float64]

LEAST_GAPS = 20
"""Functions with fewer gaps do not count in means over functions: one miss would be more than one in twenty."""

SHOWN = (0.01, 0.02, 0.05)
"""Fractions of misses at which methods are compared."""


class Point(NamedTuple):
    """One setting of a method, over all functions.

    Attributes
    ----------
    setting : str
    misses, cost : float
        The fraction of all arrivals that were missed, and the cost of all over that of all with clairvoyance.
    mean_misses, mean_cost : float
        The means over functions of their own fractions and ratios; NaN where no function counts.
    stated : float
        The fraction of misses that was expected; NaN where nothing was stated.
    """

    setting: str
    misses: float
    cost: float
    mean_misses: float
    mean_cost: float
    stated: float


@dataclass(frozen=True, eq=False)
class Curve:
    """What one method costs, by setting.

    Attributes
    ----------
    method, fidelity : str
    points : tuple of Point
    positions : float64 array, shape (20,), or None
        How the gaps lay in their forecasts: the fractions of them in twentieths of probability, even if forecasts are
        right.
    """

    method: str
    fidelity: str
    points: tuple[Point, ...]
    positions: Floats | None

    def cost_at(self, misses: float, *, mean: bool = False) -> float:
        """Return the least cost at which no more are missed, with settings chosen in hindsight.

        Between two settings, as much as a random choice between them costs; NaN where none misses as few.

        Parameters
        ----------
        misses : float
            A fraction.
        mean : bool, default False
            Whether fractions and costs are means over functions, and not of all arrivals together.
        """
        pairs = sorted((p.mean_misses, p.mean_cost) if mean else (p.misses, p.cost) for p in self.points)
        pairs = [pair for pair in pairs if not math.isnan(pair[0] + pair[1])]
        best = math.inf
        for few, dear in pairs:
            if few > misses:
                continue
            best = min(best, dear)
            for many, cheap in pairs:
                if many > misses:
                    best = min(best, dear + (cheap - dear) * (misses - few) / (many - few))
        return best if math.isfinite(best) else math.nan


@dataclass(frozen=True, eq=False)
class Backtest:
    """What was found.

    Attributes
    ----------
    functions : tuple of str
        Those that had a gap.
    gaps : int64 array, shape (f,)
        How many, of each.
    clairvoyant : float64 array, shape (f,)
        Seconds that are paid at least where nobody waits.
    curves : tuple of Curve
        By method.
    kept : tuple of Kept
        By target.
    scene : mapping
        What it was about: the trace, the placement of arrivals, the cold start.
    failures : mapping of str to str
        What was left out, and why.
    """

    functions: tuple[str, ...]
    gaps: NDArray[np.int64]
    clairvoyant: Floats
    curves: tuple[Curve, ...]
    kept: tuple[Kept, ...]
    scene: Mapping[str, Any]
    failures: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return what was found for JSON; what is not known is None."""
        return {
            "schema": 1,
            **self.scene,
            "methods": [
                {
                    "method": each.method,
                    "fidelity": each.fidelity,
                    "hindsight": [
                        {
                            "misses": at,
                            "cost": _known(each.cost_at(at)),
                            "mean_cost": _known(each.cost_at(at, mean=True)),
                        }
                        for at in SHOWN
                    ],
                    "points": [_written(point) for point in each.points],
                    "positions": None if each.positions is None else each.positions.tolist(),
                }
                for each in self.curves
            ],
            "targets": [
                {
                    "kind": kept.kind,
                    "target": kept.target.misses,
                    **{name: value for name, value in _written(point).items() if name not in ("setting", "stated")},
                    "worst": _known(self.worst(kept)),
                    "unreachable": kept.unreachable,
                }
                for kept, point in zip(self.kept, self.kept_points(), strict=True)
            ],
            "failures": dict(self.failures),
        }

    def __str__(self) -> str:
        scene = self.scene
        placed = f", {scene['placement']} placement" if scene["placement"] else ""
        lines = [
            f"{counted(scene['functions'], 'function')}, {counted(scene['gaps'], 'gap')}{placed}; cold start"
            f" {brief_seconds(scene['cold_start'])}",
        ]
        if self.curves:
            lines += ["", "Cost / clairvoyant at the best settings in hindsight"]
            lines.append(
                _laid_out(
                    ["method", *(f"{percent(at)} missed" for at in SHOWN), *(f"mean, {percent(at)}" for at in SHOWN)],
                    [
                        [
                            each.method + " *" * each.fidelity.startswith("simplified"),
                            *(_shown(each.cost_at(at)) for at in SHOWN),
                            *(_shown(each.cost_at(at, mean=True)) for at in SHOWN),
                        ]
                        for each in self.curves
                    ],
                )
            )
        if self.kept:
            lines += ["", "Targets, without hindsight"]
            lines.append(
                _laid_out(
                    ["target", "missed", "cost", "mean missed", "mean cost", "worst", "unreachable"],
                    [
                        [
                            point.setting,
                            _part(point.misses),
                            _shown(point.cost),
                            _part(point.mean_misses),
                            _shown(point.mean_cost),
                            _part(self.worst(kept)),
                            f"{kept.unreachable:,}",
                        ]
                        for kept, point in zip(self.kept, self.kept_points(), strict=True)
                    ],
                )
            )
        lines += ["", f"Means, and the worst function, are of those with {LEAST_GAPS} gaps or more."]
        lines += [
            f"* {each.method} is {each.fidelity}." for each in self.curves if each.fidelity.startswith("simplified")
        ]
        lines += [f"{cell}: {why}" for cell, why in self.failures.items()]
        return "\n".join(lines)

    def kept_points(self) -> list[Point]:
        """Return what came of each target, over all functions."""
        return [
            _point(
                f"{kept.kind}, {percent(kept.target.misses)}",
                kept.residency,
                kept.missed,
                None,
                self.gaps,
                self.clairvoyant,
            )
            for kept in self.kept
        ]

    def worst(self, kept: Kept) -> float:
        """Return the largest fraction of misses of a function that counts; NaN if there is none."""
        counts = self.gaps >= LEAST_GAPS
        return float((kept.missed / self.gaps)[counts].max()) if counts.any() else math.nan


def curve(method: Method, played: Sequence[Played], gaps: NDArray[np.int64], clairvoyant: Floats) -> Curve:
    """Add up what a method did for each function.

    Parameters
    ----------
    method : Method
    played : sequence of Played
        By function.
    gaps : int64 array, shape (f,)
    clairvoyant : float64 array, shape (f,)
        Seconds.
    """
    stated = [each.stated for each in played if each.stated is not None]
    points = [
        _point(
            setting,
            np.array([each.residency[k] for each in played]),
            np.array([each.missed[k] for each in played]),
            float(sum(each[k] for each in stated)) if stated else None,
            gaps,
            clairvoyant,
        )
        for k, setting in enumerate(method.settings)
    ]
    lying = sum((each.bars for each in played if each.bars is not None), np.zeros(BARS, np.int64))
    bars = lying / lying.sum() if lying.any() else None
    return Curve(method.name, method.fidelity, tuple(points), bars)


def _point(
    setting: str,
    residency: Floats,
    missed: NDArray[np.int64],
    stated: float | None,
    gaps: NDArray[np.int64],
    clairvoyant: Floats,
) -> Point:
    counts = (gaps >= LEAST_GAPS) & (clairvoyant > 0.0)
    bound, total = float(clairvoyant.sum()), int(gaps.sum())
    return Point(
        setting,
        float(missed.sum()) / total if total else math.nan,
        float(residency.sum()) / bound if bound else math.nan,
        float((missed / gaps)[counts].mean()) if counts.any() else math.nan,
        float((residency[counts] / clairvoyant[counts]).mean()) if counts.any() else math.nan,
        min(stated / total, 1.0) if stated is not None and total else math.nan,
    )


def counted(count: int, what: str) -> str:
    """Return so many of something, in words."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _written(point: Point) -> dict[str, Any]:
    return {name: _known(value) if isinstance(value, float) else value for name, value in point._asdict().items()}


def _shown(cost: float) -> str:
    return "-" if math.isnan(cost) else f"{cost:.2f}"


def _part(fraction: float) -> str:
    return "-" if math.isnan(fraction) else percent(fraction)


def _laid_out(headers: list[str], rows: list[list[str]]) -> str:
    return table(headers, rows, width=fitting_width(None), right=headers[1:], whole=headers)
