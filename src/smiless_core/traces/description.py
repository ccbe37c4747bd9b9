"""What a trace looks like, on one page."""

from __future__ import annotations

from collections.abc import Set
from os import PathLike
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core.model.noun import Noun
from smiless_core.traces.collecting import check_count, collected, is_instant, wanted_members
from smiless_core.traces.members import Members, Source
from smiless_core.traces.reading import opened_source, trace_name
from smiless_core.traces.running import GAP_RESOLUTION, RunningStatistics, UnorderedError
from smiless_core.traces.timestamps import iso_text

__all__ = ["Description", "Gaps", "describe"]

_SECOND = 1e9
_TOP = 5
_ID_SHOWN = 20
_COLUMNS = 60
_LEVELS = " ▁▂▃▄▅▆▇█"
_ARRIVALS_AT_ONCE = 2**18

_FEWEST = 10
_PERIODIC, _REGULAR, _BURSTY = 0.1, 0.7, 1.3
_VARYING = 0.2


class Gaps(Noun, frozen=True, kw_only=True):
    """The times from each arrival to the next, in seconds."""

    minimum: float
    median: float
    mean: float
    p95: float
    p99: float
    maximum: float


class Description(Noun, frozen=True, kw_only=True):
    """What a trace looks like.

    ``str`` of it is the page to read, `to_dict` the values for JSON. What a trace cannot tell is None.
    """

    name: str
    format: str
    functions: int
    """How many functions the file tells apart."""

    merged: int
    """How many of them are described."""

    top: tuple[tuple[str, int], ...]
    """The functions of the file with the most arrivals, and their arrivals."""

    placement: str | None
    """The rule that placed arrivals that the file only counts."""

    seed: int | None
    start: str | None
    """The first arrival as ISO 8601 text, where the file tells."""

    count: int
    span: float
    """Seconds from the first arrival to the last."""

    rate: float | None
    """Arrivals per second: one over the mean gap."""

    peak_rate: float
    """Arrivals in the busiest of the seconds after the first arrival."""

    gaps: Gaps | None
    """Median, p95 and p99 to `gap_resolution`, all else exact."""

    gap_resolution: float
    """The largest relative error of a quantile of the gaps."""

    variation: float | None
    """The coefficient of variation (CV) of the gaps: their standard deviation over their mean."""

    burstiness: float | None
    """B = (CV - 1) / (CV + 1): -1 periodic, 0 Poisson, towards 1 bursty (Goh and Barabási, EPL 81, 2008)."""

    dispersion: float | None
    """The variance of the arrivals per window over their mean: 1 for a Poisson process."""

    dispersion_window: float | None
    """The length of these windows, in seconds."""

    rate_variation: float | None
    """The standard deviation of the rate over its mean, from window to window, beyond chance."""

    simultaneous: float
    """The share of arrivals in the same nanosecond as the one before."""

    sparkline: str
    """Arrivals over time; a full block is the busiest part, a space a part without arrivals."""

    verdict: str
    """``sparse``, ``periodic``, ``regular``, ``poisson-like``, ``varying`` or ``bursty``."""

    rule: str
    """Why."""

    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain values.

        Returns
        -------
        dict
            Numbers, text, lists, dictionaries and None; no NaN and no infinity.
        """
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __str__(self) -> str:
        merged = f"{self.merged:,} of " * (self.merged != self.functions) + f"{self.functions:,} functions"
        facts = [
            self.format,
            *[merged] * (self.functions > 1),
            *[f"placement {self.placement}, seed {self.seed}"] * (self.placement is not None),
        ]
        start = f", from {self.start}" if self.start else ""
        average = f"{self.rate:.3g}/s on average, " if self.rate is not None else ""
        rows = [
            ("trace", f"{self.name} ({'; '.join(facts)})"),
            ("arrivals", f"{self.count:,} in {_duration(self.span)}{start}"),
            ("rate", f"{average}{self.peak_rate:,.0f} in the busiest second"),
        ]
        if gaps := self.gaps:
            listed = [
                f"{name} {_duration(value)}"
                for name, value in zip(
                    ("min", "median", "mean", "p95", "p99", "max"), msgspec.structs.astuple(gaps), strict=True
                )
            ]
            listed.append(f"{100 * self.simultaneous:.3g} % simultaneous")
            rows.append(("gaps", ", ".join(listed)))
        if self.variation is not None and self.burstiness is not None:
            spread = f"CV of gaps {self.variation:.3g}, burstiness {self.burstiness:.2f}"
            if self.dispersion is not None and self.dispersion_window is not None:
                spread += f", dispersion {self.dispersion:.3g} per {_duration(self.dispersion_window)}"
            rows.append(("spread", spread))
        rows += [("over time", f"|{self.sparkline}|"), ("verdict", f"{self.verdict}: {self.rule}")]
        if self.top:
            listed = [f"{name[:_ID_SHOWN]} {count:,}" for name, count in self.top]
            rows.append(("busiest", ", ".join(listed) + ", ..." * (self.functions > len(self.top))))
        rows += [("note", note) for note in self.notes]
        return "\n".join(f"{name:<10} {value}" for name, value in rows)


def describe(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    select: str | None = None,
    placement: str = "uniform",
    seed: int = 0,
) -> Description:
    """Describe a trace file.

    Files of ``csv``, ``jsonl``, ``azure-llm`` and ``counts-per-second`` in ascending order of time stream
    through memory that does not grow with the file. Others are sorted in memory.

    Parameters
    ----------
    path, format, select, placement, seed
        As for `read_trace`.

    Returns
    -------
    Description
        The same, up to rounding, whichever way the file was read.

    Raises
    ------
    InvalidInputError
        As for `read_trace`.
    """
    with opened_source(path, format=format, placement=placement, seed=seed) as source:
        wanted = wanted_members(source, select)
        notes: tuple[str, ...] = ()
        try:
            if not source.ordered:
                raise UnorderedError
            members, statistics, absolute = _streamed(source, wanted)
        except UnorderedError:
            members, statistics, absolute = _sorted(source, wanted)
            if source.ordered:
                notes = ("not in ascending order of time: sorted in memory",)
        placed = source.placement is not None
        counted = zip(members.labels(), members.counts, strict=True)
        return Description(
            name=trace_name(path),
            format=str(source.format),
            functions=members.total,
            merged=members.total if wanted is None else len(wanted),
            top=tuple(sorted(counted, key=lambda pair: (-pair[1], pair[0]))[:_TOP]),
            placement=str(source.placement) if placed else None,
            seed=seed if placed else None,
            start=iso_text(statistics.first) if is_instant(statistics.first, absolute) else None,
            notes=notes,
            **_measured(statistics),
        )


def _streamed(source: Source, wanted: Set[int] | None) -> tuple[Members, RunningStatistics, bool]:
    """Read a file once, block by block."""
    members, statistics, absolute = Members(), RunningStatistics(), False
    for batch in source.batches(members, wanted):
        absolute = batch.absolute
        statistics.add(batch.only(wanted))
    check_count(statistics.count, wanted)
    return members, statistics, absolute


def _sorted(source: Source, wanted: Set[int] | None) -> tuple[Members, RunningStatistics, bool]:
    """Read a file into memory, and sort it."""
    recording, statistics = collected(source, wanted), RunningStatistics()
    recording.times.sort()
    for start in range(0, recording.times.size, _ARRIVALS_AT_ONCE):
        statistics.add(recording.times[start : start + _ARRIVALS_AT_ONCE] + (recording.zero or 0))
    return recording.members, statistics, recording.zero is not None


def _measured(statistics: RunningStatistics) -> dict[str, Any]:
    mean, variation, dispersion = statistics.mean_gap, statistics.variation, statistics.dispersion()
    gaps = None
    if mean is not None:
        gaps = Gaps(
            minimum=statistics.shortest_gap / _SECOND,
            median=statistics.gap_quantile(0.5) / _SECOND,
            mean=mean / _SECOND,
            p95=statistics.gap_quantile(0.95) / _SECOND,
            p99=statistics.gap_quantile(0.99) / _SECOND,
            maximum=statistics.longest_gap / _SECOND,
        )
    verdict, rule = _verdict(statistics.count, variation, dispersion.rate_variation if dispersion else 0.0)
    return {
        "count": statistics.count,
        "span": (statistics.last - statistics.first) / _SECOND,
        "rate": _SECOND / mean if mean else None,
        "peak_rate": float(statistics.busiest_second),
        "gaps": gaps,
        "gap_resolution": GAP_RESOLUTION,
        "variation": variation,
        "burstiness": None if variation is None else (variation - 1.0) / (variation + 1.0),
        "dispersion": dispersion.ratio if dispersion else None,
        "dispersion_window": dispersion.window / _SECOND if dispersion else None,
        "rate_variation": dispersion.rate_variation if dispersion else None,
        "simultaneous": statistics.simultaneous / statistics.count,
        "sparkline": _sparkline(statistics.profile(_COLUMNS)),
        "verdict": verdict,
        "rule": rule,
    }


def _verdict(count: int, variation: float | None, rate_variation: float) -> tuple[str, str]:
    """Sum a trace up in one word, and give the rule that it follows from."""
    if count < _FEWEST:
        return "sparse", f"fewer than {_FEWEST} arrivals tell little"
    if variation is None:
        return "bursty", "all arrivals come at one instant"
    if variation <= _PERIODIC:
        return "periodic", f"the gaps have a CV of at most {_PERIODIC}"
    if variation < _REGULAR:
        return "regular", f"the gaps have a CV above {_PERIODIC} and below {_REGULAR}, a Poisson process 1"
    if variation > _BURSTY:
        return "bursty", f"the gaps have a CV above {_BURSTY}"
    rule = f"the gaps have a CV from {_REGULAR} to {_BURSTY}"
    if rate_variation > _VARYING:
        changes = f"the rate varies by {100 * rate_variation:.0f} % over time, more than {100 * _VARYING:.0f} %"
        return "varying", f"{rule}, but {changes}"
    return "poisson-like", f"{rule}, and the rate varies by at most {100 * _VARYING:.0f} % over time"


def _sparkline(profile: NDArray[np.float64]) -> str:
    """Draw blocks of a height in proportion, the lowest for any arrival at all."""
    heights = np.ceil(profile / profile.max() * (len(_LEVELS) - 1)).astype(np.int64)
    return "".join(_LEVELS[height] for height in heights)


def _duration(seconds: float) -> str:
    """Write a time with three digits, in a unit that suits it."""
    for limit, unit, size in (
        (1e-6, "ns", 1e-9),
        (1e-3, "µs", 1e-6),
        (1.0, "ms", 1e-3),
        (120.0, "s", 1.0),
        (7200.0, "min", 60.0),
        (172800.0, "h", 3600.0),
    ):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}" if seconds else "0 s"
    return f"{seconds / 86400.0:.3g} d"
