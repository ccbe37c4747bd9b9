"""The client of a node, against a server that answers what it likes."""

import asyncio
import json
import time

import pytest
from aiohttp import web

from smiless_core.adapters.local import Local, client
from smiless_core.adapters.local.wire import configuration_of, plain_configuration
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Configuration

ON = Configuration("cpu", 0.5, batch=2)
SEEN = {
    "configuration": plain_configuration(ON),
    "wanted": 1,
    "ready": 1,
    "in_flight": 0,
    "most": 4,
    "crashes": 0,
    "trouble": "",
    "unsupported": "",
}


def against(answer, call):
    """Have a client call a server whose answers are those of `answer(request)`."""

    async def go():
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        platform = Local(f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            return await call(platform)
        finally:
            await platform.close()
            await runner.cleanup()

    return asyncio.run(go())


def says(content, status=200):
    async def answer(request):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(body=body, status=status, content_type="application/json")

    return answer


def observe(platform):
    return platform.observe("a")


def test_what_is_told_is_understood():
    assert against(says(SEEN), observe) == (ON, 1, 1, 0)
    nothing = {**SEEN, "configuration": None, "ready": 0, "wanted": 0}
    assert against(says(nothing), observe) == (None, 0, 0, 0)
    assert configuration_of(plain_configuration(ON)) == ON


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "something else than a JSON object"),
        (b"[]", "something else than a JSON object"),
        (b"\xff\xfe", "something else than a JSON object"),
        (b"[" * 100_000, "something else than a JSON object"),
        (b"x" * (2**20 + 1), "it answers more than 1048576 bytes"),
        ({}, "its answer lacks 'configuration'"),
        ({**SEEN, "ready": -1}, "its answer makes no sense: ready"),
        ({**SEEN, "ready": "1"}, "its answer makes no sense: ready"),
        ({**SEEN, "wanted": 1.5}, "its answer makes no sense: wanted"),
        ({**SEEN, "configuration": "cpu"}, "its answer makes no sense: configuration"),
        ({**SEEN, "configuration": {"hardware": "tpu", "size": 1, "batch": 1}}, "its answer makes no sense"),
        ({**SEEN, "configuration": {"hardware": "cpu", "size": "1", "batch": 1}}, "its answer makes no sense"),
        ({**SEEN, "configuration": {"hardware": "cpu", "size": 1, "batch": 1, "x": 1}}, "its answer makes no sense"),
    ],
)
def test_answers_that_make_no_sense(content, why):
    with pytest.raises(PlatformError) as caught:
        against(says(content), observe)
    assert str(caught.value).startswith("local: observe a: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "told",
    [
        {"times": [2.0, 1.0], "cursor": "x-1", "lost": 0},
        {"times": ["1"], "cursor": "x-1", "lost": 0},
        {"times": 1.0, "cursor": "x-1", "lost": 0},
        {"times": [], "cursor": "", "lost": 0},
        {"times": [], "cursor": "x-1", "lost": -1},
        {"times": []},
    ],
)
def test_arrivals_that_make_no_sense(told):
    with pytest.raises(PlatformError, match=r"local: arrivals a: its answer (makes no sense|lacks)"):
        against(says(told), lambda platform: platform.arrivals("a", since=""))


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, InvalidInputError, None),
        (404, InvalidInputError, None),
        (409, PlatformError, False),
        (500, PlatformError, True),
        (503, PlatformError, True),
        (307, PlatformError, True),
    ],
)
def test_refusals(status, kind, retryable):
    with pytest.raises(kind, match="no and\\\\n why") as caught:
        against(says({"error": "no and\n why"}, status), observe)
    if retryable is not None:
        assert caught.value.retryable is retryable


def test_a_node_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(client, "_READ", 0.3)

    async def slow(request):
        await asyncio.sleep(5.0)

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    async def drops(request):
        request.transport.abort()

    for answer, why in ((slow, "in time"), (endless, "in time"), (drops, "cannot be reached")):
        begun = time.monotonic()
        with pytest.raises(PlatformError, match=why) as caught:
            against(answer, observe)
        assert caught.value.retryable
        assert time.monotonic() - begun < 3.0
    with pytest.raises(PlatformError, match="local: observe a: it cannot be reached"):
        asyncio.run(_closed(Local("http://127.0.0.1:9")))
    with pytest.raises(PlatformError, match="local: observe a: it cannot be reached"):
        asyncio.run(_closed(Local("unix:/nowhere")))


async def _closed(platform):
    try:
        await platform.observe("a")
    finally:
        await platform.close()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://example.org:80",
        "https://127.0.0.1:1",
        "http://127.0.0.1",
        "http://127.0.0.1:x",
        "unix:here",
        "127.0.0.1:1",
    ],
)
def test_no_address(address):
    with pytest.raises(InvalidInputError, match=r"address: expected http://127\.0\.0\.1"):
        Local(address)


def test_waiting_ends_when_it_is_over():
    async def never(request):
        return web.json_response({**SEEN, "ready": 0})

    begun = time.monotonic()
    warmth = against(never, lambda platform: platform.warm("a", replicas=1, by=time.time() + 0.2))
    assert (warmth.outcome, warmth.ready) == ("late", 0)
    assert 0.2 <= time.monotonic() - begun < 2.0

    async def crashes(request):
        gone = request.path == "/observe"
        more = {"wanted": 0, "crashes": 1, "trouble": "a-1: it ended"} if gone else {}
        return web.json_response({**SEEN, "ready": 0, **more})

    warmth = against(crashes, lambda platform: platform.warm("a", replicas=1, by=time.time() + 60.0))
    assert warmth == ("late", 0, "a-1: it ended")
