"""When instances exist: the rule for arrivals that are always as far apart, and schedules for any distribution."""

from smiless_core.windows.deterministic import Decision, deterministic_costs, deterministic_schedule
from smiless_core.windows.levels import ALWAYS, GapLaw, Path, Wanted, cut
from smiless_core.windows.replays import Played, Replay, replay
from smiless_core.windows.schedules import (
    Schedule,
    evaluate_schedule,
    fixed_keep_alive,
    hybrid_histogram,
    published_window,
    switching_policy,
)

__all__ = [
    "ALWAYS",
    "Decision",
    "GapLaw",
    "Path",
    "Played",
    "Replay",
    "Schedule",
    "Wanted",
    "cut",
    "deterministic_costs",
    "deterministic_schedule",
    "evaluate_schedule",
    "fixed_keep_alive",
    "hybrid_histogram",
    "published_window",
    "replay",
    "switching_policy",
]
