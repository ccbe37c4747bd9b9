"""The local platform passes what every adapter has to pass, on both runtimes."""

import asyncio
import time

import aiohttp
import pytest

from local_nodes import FULL, HALF, PATIENCE, RUNTIMES, LocalNode
from smiless_core.adapters.local import Local
from smiless_core.adapters.testing import CONTRACT

MOST = 3


@pytest.fixture(scope="module", params=RUNTIMES)
def node(request, tmp_path_factory):
    # One node for all checks, since it takes longer to start than they do; each has functions of its own.
    names = [f"{check.__name__.replace('_', '-')[:48]}-{which}" for check in CONTRACT for which in "ab"]
    with LocalNode(
        tmp_path_factory.mktemp(request.param), names, runtime=request.param, options=("--max-replicas", str(MOST))
    ) as started:
        yield started


class LocalHarness:
    configurations = (FULL, HALF)
    patience = PATIENCE

    def __init__(self, node, check):
        self.node = node
        self.functions = tuple(f"{check.__name__.replace('_', '-')[:48]}-{which}" for which in "ab")
        self.platform = Local(node.address)

    def now(self):
        return time.time()

    async def invoke(self, function):
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.node.address}/function/{function}", data=b"sleep 0.25") as response,
        ):
            assert response.status == 200, await response.text()

    def changes(self):
        counts = [self.node.counts(each) for each in self.functions]
        return sum(each[what] for each in counts for what in ("starts", "stops", "resizes"))


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(node, check):
    async def go():
        harness = LocalHarness(node, check)
        try:
            await check(harness)
            for function in harness.functions:
                await harness.platform.retire(function, replicas=0)
        finally:
            await harness.platform.close()

    asyncio.run(go())
