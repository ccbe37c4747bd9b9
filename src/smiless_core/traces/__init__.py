"""Public trace formats: arrivals to plan for and to replay, and what they look like.

`read_trace` and `read_traces` read every `Format`; `Placement` says how arrivals that a file only counts are
spread over the counted period; `describe` sums a file up on one page. `azure_like` draws a trace, where no file
is at hand.
"""

from smiless_core.traces.description import Description, Gaps, describe
from smiless_core.traces.detection import Format
from smiless_core.traces.placement import Placement
from smiless_core.traces.reading import read_trace, read_traces
from smiless_core.traces.synthetic import Pattern, azure_like

__all__ = [
    "Description",
    "Format",
    "Gaps",
    "Pattern",
    "Placement",
    "azure_like",
    "describe",
    "read_trace",
    "read_traces",
]
