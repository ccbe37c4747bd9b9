"""The platform in memory passes what every adapter has to pass."""

import asyncio

import pytest

from smiless_core.adapters import ArrivalsSource, Capabilities, Outcome
from smiless_core.adapters.testing import CONTRACT, InMemoryPlatform, virtual_now, virtual_run
from smiless_core.model import Configuration


class InMemoryHarness:
    functions = ("detect", "caption")
    configurations = (Configuration("cpu", 1), Configuration("cpu", 2))
    patience = 10.0

    def __init__(self, capabilities: Capabilities | None = None) -> None:
        self.platform = InMemoryPlatform(self.functions, capabilities=capabilities)

    def now(self) -> float:
        return virtual_now()

    async def invoke(self, function: str) -> None:
        await self.platform.invoke(function, 0.5)

    def changes(self) -> int:
        return len(self.platform.sent)


ABLE = [
    None,
    Capabilities(scale_to_zero=False, min_replicas=1, max_replicas=5, arrivals_source=ArrivalsSource.COUNTED),
    Capabilities(),
]


@pytest.mark.parametrize("able", ABLE, ids=["able", "limited", "deaf"])
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(check, able):
    async def run():
        await check(InMemoryHarness(able))

    virtual_run(run(), start=1e9)


class Hasty(InMemoryPlatform):
    """Lets go what serves."""

    async def retire(self, function, *, replicas):
        for each in self._deployed[function].instances:
            each.serving = 0
        return await super().retire(function, replicas=replicas)


class Boastful(InMemoryPlatform):
    """Says that instances are ready when they are not."""

    async def warm(self, function, *, replicas, by):
        warmth = await super().warm(function, replicas=replicas, by=virtual_now())
        return warmth._replace(outcome=Outcome.READY, ready=replicas)


class Restless(InMemoryPlatform):
    """Starts instances again and again."""

    async def warm(self, function, *, replicas, by):
        self._start(function, self._deployed[function], 1)
        return await super().warm(function, replicas=replicas, by=by)


class Forgetful(InMemoryPlatform):
    """Forgets where its counter was."""

    async def arrivals(self, function, *, since):
        return await super().arrivals(function, since=since and "0")


@pytest.mark.parametrize(
    ("kind", "failing"),
    [
        (Hasty, "what_serves_is_not_let_go"),
        (Boastful, "warm_instances_are_ready"),
        (Restless, "warming_twice_changes_nothing"),
        (Forgetful, "arrivals_are_told_once"),
    ],
)
def test_the_contract_finds_who_breaks_it(kind, failing):
    (check,) = [each for each in CONTRACT if each.__name__ == failing]
    harness = InMemoryHarness()
    harness.platform = kind(harness.functions)

    async def run():
        await check(harness)

    with pytest.raises(AssertionError):
        virtual_run(run())


def test_virtual_time_passes_only_while_everything_waits():
    async def run():
        begun = virtual_now()
        await asyncio.gather(asyncio.sleep(3600.0), asyncio.sleep(1800.0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60.0):
                await asyncio.Event().wait()
        return virtual_now() - begun

    assert virtual_run(run(), start=5.0) == pytest.approx(3660.0)


def test_waiting_for_nothing_is_an_error():
    async def run():
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="everything waits"):
        virtual_run(run())
