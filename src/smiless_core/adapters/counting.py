"""The invocations of functions on a cluster, as Prometheus counts them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from smiless_core.adapters.prometheus import (
    KNATIVE_BEFORE_1_19,
    KNATIVE_SINCE_1_19,
    CountedArrivals,
    Prometheus,
    Series,
)
from smiless_core.adapters.protocol import Arrived
from smiless_core.errors import InvalidInputError

__all__ = ["CountedInvocations"]

_FUNCTION = "{function}"


class CountedInvocations:
    """Tells a platform of invocations: what `Knative` and `Kubernetes` take for `arrivals`.

    Parameters
    ----------
    prometheus : Prometheus
        What scrapes the cluster.
    selectors : callable
        Returns, for a function, the selectors of all counters of its requests; they are added up.
    now : callable, default `time.time`
        What time it is, seconds since 1970.
    """

    def __init__(
        self,
        prometheus: Prometheus,
        selectors: Callable[[str], Awaitable[Sequence[str]]],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._prometheus = prometheus
        self._selectors = selectors
        self._counted = CountedArrivals(self, now=now)

    @classmethod
    def of_knative(
        cls,
        prometheus: Prometheus,
        namespace: Callable[[], Awaitable[str]],
        *,
        prefix: str = "",
        now: Callable[[], float] = time.time,
    ) -> CountedInvocations:
        """Return the one for services of Knative, which counts requests once they have been answered.

        The counters were renamed in Knative Serving 1.19. A cluster has those of its version; what is counted under
        either name is told, so that an upgrade loses nothing.

        Parameters
        ----------
        prometheus : Prometheus
            What scrapes the cluster.
        namespace : callable
            Returns the namespace of the services, such as `Cluster.namespace`.
        prefix : str, default ""
            What the names of services begin with.
        now : callable, default `time.time`
            What time it is, seconds since 1970.
        """

        async def selectors(function: str) -> Sequence[str]:
            where = await namespace()
            return [names.counter(f"{prefix}{function}", where) for names in (KNATIVE_SINCE_1_19, KNATIVE_BEFORE_1_19)]

        return cls(prometheus, selectors, now=now)

    @classmethod
    def of_counter(
        cls, prometheus: Prometheus, counter: str, *, now: Callable[[], float] = time.time
    ) -> CountedInvocations:
        """Return the one for a counter of your own, such as that of an ingress.

        Parameters
        ----------
        prometheus : Prometheus
            What scrapes it.
        counter : str
            A selector of PromQL with the function in it: ``requests_total{service="{function}"}``.
        now : callable, default `time.time`
            What time it is, seconds since 1970.

        Raises
        ------
        InvalidInputError
            If there is no ``{function}`` in it.
        """
        if _FUNCTION not in counter:
            raise InvalidInputError(f"expected {_FUNCTION} in the selector, got {counter!r}", place="counter")

        async def selectors(function: str) -> Sequence[str]:
            return [counter.replace(_FUNCTION, function)]

        return cls(prometheus, selectors, now=now)

    async def arrivals(self, function: str, *, since: str) -> Arrived:
        """See `Platform.arrivals`."""
        return await self._counted.since(function, since, doing=f"arrivals {function}")

    async def readings(self, selector: str, *, window: float, at: float, doing: str) -> tuple[Series, ...]:
        """Return the readings of all counters of a function; see `prometheus.Readings`."""
        found: list[Series] = []
        for each in await self._selectors(selector):
            found += await self._prometheus.readings(each, window=window, at=at, doing=doing)
        return tuple(found)

    async def close(self) -> None:
        """Let go of connections."""
        await self._prometheus.close()
