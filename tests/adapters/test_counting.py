"""Invocations on a cluster, out of counters that have several names."""

import asyncio

import pytest

from smiless_core.adapters import ArrivalsSource
from smiless_core.adapters.counting import CountedInvocations
from smiless_core.adapters.prometheus import Series
from smiless_core.errors import InvalidInputError


class Counters:
    """Prometheus, with what it has scraped by the beginning of a selector."""

    def __init__(self):
        self.scraped, self.asked = {}, []

    async def readings(self, selector, *, window, at, doing):
        self.asked.append(selector)
        return tuple(
            Series({"series": name}, tuple(each for each in readings if at - window <= each[0] <= at))
            for name, readings in self.scraped.items()
            if name in selector
        )

    async def close(self):
        self.asked.append("closed")


async def namespace():
    return "shop"


def test_knative_counts_under_either_name():
    counters, clock = Counters(), [1000.0]
    invocations = CountedInvocations.of_knative(counters, namespace, prefix="app-", now=lambda: clock[0])

    async def run():
        begin = await invocations.arrivals("detect", since="")
        assert begin.times == ()
        assert all('"app-detect"' in each and '"shop"' in each for each in counters.asked)
        # Before an upgrade,
        counters.scraped["revision_request_count"] = [(1005.0, 0.0), (1010.0, 2.0)]
        clock[0] = 1011.0
        old = await invocations.arrivals("detect", since=begin.cursor)
        # and after it.
        counters.scraped["http_server_request_duration_seconds_count"] = [(1020.0, 0.0), (1025.0, 3.0)]
        clock[0] = 1026.0
        new = await invocations.arrivals("detect", since=old.cursor)
        again = await invocations.arrivals("detect", since=old.cursor)
        return old, new, again

    old, new, again = asyncio.run(run())
    assert (len(old.times), len(new.times)) == (2, 3)
    assert again.times == new.times
    assert list(old.times + new.times) == sorted(old.times + new.times)


def test_a_counter_of_ones_own():
    counters = Counters()
    invocations = CountedInvocations.of_counter(counters, 'hits{path="/{function}"}', now=lambda: 5.0)

    async def run():
        await invocations.arrivals("detect", since="")
        await invocations.close()

    asyncio.run(run())
    assert counters.asked == ['hits{path="/detect"}', "closed"]
    with pytest.raises(InvalidInputError, match=r"counter: expected \{function\} in the selector"):
        CountedInvocations.of_counter(counters, "hits")


def test_a_platform_with_it_counts():
    pytest.importorskip("kubernetes")
    from smiless_core.adapters import Service
    from smiless_core.adapters.cluster import Cluster
    from smiless_core.adapters.knative import Knative

    invocations = CountedInvocations.of_counter(Counters(), 'hits{path="/{function}"}', now=lambda: 5.0)
    platform = Knative({"detect": Service(image="detect")}, Cluster(), arrivals=invocations)
    told = asyncio.run(platform.arrivals("detect", since=""))
    assert told.times == ()
    from smiless_core.adapters.workloads import source_of

    assert source_of(invocations) is ArrivalsSource.COUNTED
