"""What was measured of one function: what instances were doing for how long, and how long things took."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from smiless_core.adapters.local.wire import plain_configuration
from smiless_core.model import Configuration

__all__ = ["Doing", "Ledger", "elapsed"]

_SAMPLES = 10_000


def elapsed() -> float:
    """Return seconds since some time, by the clock of the event loop: nobody sets it."""
    return asyncio.get_running_loop().time()


class Doing(StrEnum):
    """What an instance is doing: it costs the same, whichever."""

    INITIALIZING = "initializing"
    BUSY = "busy"
    IDLE = "idle"


class Ledger:
    """The measurements of one function, since the node was started. Of samples, the last 10,000 of each kind."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(
            ("arrivals", "answered", "failed", "cancelled", "cold_starts", "starts", "stops", "resizes", "crashes"), 0
        )
        self._seconds: dict[tuple[Configuration, Doing], float] = defaultdict(float)
        self._cold_starts: dict[Configuration, deque[float]] = {}
        self._services: dict[Configuration, deque[float]] = {}
        self._responses: deque[float] = deque(maxlen=_SAMPLES)

    def count(self, what: str, by: int = 1) -> None:
        """Count what has happened."""
        self.counts[what] += by

    def spent(self, configuration: Configuration, doing: Doing, seconds: float) -> None:
        """Add what one instance did for so long."""
        self._seconds[configuration, doing] += seconds

    def cold_start(self, configuration: Configuration, seconds: float) -> None:
        """Note from the start of an instance until it was ready."""
        self._cold_starts.setdefault(configuration, deque(maxlen=_SAMPLES)).append(seconds)

    def answered(self, configuration: Configuration, *, service: float, response: float) -> None:
        """Note one request: how long an instance took for it, and how long it took in all."""
        self.count("answered")
        self._services.setdefault(configuration, deque(maxlen=_SAMPLES)).append(service)
        self._responses.append(response)

    def statistics(self, running: Iterable[tuple[Configuration, Doing, float]] = ()) -> dict[str, Any]:
        """Return all of it as plain data.

        Parameters
        ----------
        running : iterable of (Configuration, Doing, float)
            What instances have been doing, for so many seconds, that is not added yet.

        Returns
        -------
        dict
            ``counts``, ``responses``, and by configuration ``instance_seconds``, ``cold_starts`` and ``services``.
        """
        seconds = self.seconds(running)
        configurations = sorted({each for each, _ in seconds} | set(self._cold_starts) | set(self._services))
        return {
            "counts": dict(self.counts),
            "responses": list(self._responses),
            "configurations": [
                {
                    "configuration": plain_configuration(each),
                    "instance_seconds": {doing: seconds.get((each, doing), 0.0) for doing in Doing},
                    "cold_starts": list(self._cold_starts.get(each, ())),
                    "services": list(self._services.get(each, ())),
                }
                for each in configurations
            ],
        }

    def seconds(
        self, running: Iterable[tuple[Configuration, Doing, float]] = ()
    ) -> Mapping[tuple[Configuration, Doing], float]:
        """Return instance-seconds by configuration and what was done."""
        seconds = dict(self._seconds)
        for configuration, doing, more in running:
            seconds[configuration, doing] = math.fsum((seconds.get((configuration, doing), 0.0), more))
        return seconds
