"""Lines that every reader reads and no secret is in, metrics, and a server that says whether the loop goes round."""

import asyncio
import base64
import io
import json
import math
import socket
import sys
from enum import StrEnum
from urllib.parse import quote

import aiohttp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from smiless_core.controller.guards import CircuitBreaker
from smiless_core.controller.lines import JsonLines
from smiless_core.controller.telemetry import Metrics, Pulse, StatusServer, Telemetry
from smiless_core.errors import InvalidInputError, MissingExtraError, PlatformError


class Clock:
    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


class Color(StrEnum):
    RED = "red"


class Mute:
    def __str__(self):
        raise RuntimeError("no text")


# --- lines -----------------------------------------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None)) | st.binary()
)
PAYLOADS = st.dictionaries(
    st.text() | st.integers(),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.floats(), inner)),
)


def strictly(line):
    """Read JSON as its standard has it: without NaN and infinities."""

    def refuse(word):
        raise AssertionError(f"{word} in {line}")

    return json.loads(line, parse_constant=refuse)


@given(payload=PAYLOADS)
def test_any_payload_is_one_line_of_strict_json(payload):
    line = JsonLines(["hunter2"]).line(payload)
    assert line.isascii()
    assert line.isprintable()
    assert isinstance(strictly(line), dict)
    assert JsonLines(["hunter2"]).line(dict(reversed(payload.items()))) == line


def test_values_as_json_has_them():
    told = {
        "b": 1,
        "a": math.nan,
        "nested": {"z": [math.inf, -math.inf, 0.5], "c": (1, {"d": np.float32(0.25)})},
        "array": np.array([[1.0, math.nan], [3.0, 4.0]]),
        "scalar": np.array(3),
        "numpy": [np.int64(5), np.bool_(True), np.float64(math.inf)],
        "large": [2**63 - 1, 2**63, 10**10_000],
        "word": Color.RED,
        "set": {"b", "a"},
        "error": PlatformError("busy", "cloud", "warm x"),
        "bytes": b"ab",
        "mute": Mute(),
        3: "key",
    }
    read = strictly(JsonLines().line(told))
    assert list(read) == sorted(read)
    assert read == {
        "b": 1,
        "a": None,
        "nested": {"z": [None, None, 0.5], "c": [1, {"d": 0.25}]},
        "array": [[1.0, None], [3.0, 4.0]],
        "scalar": [3],
        "numpy": [5, True, None],
        "large": [2**63 - 1, str(2**63), "a int too long to show"],
        "word": "red",
        "set": ["a", "b"],
        "error": "cloud: warm x: busy",
        "bytes": "b'ab'",
        "mute": "a Mute",
        "3": "key",
    }


def test_what_is_very_long_or_deep_is_cut():
    loop = {}
    loop["again"] = loop
    endless = []
    endless.append(endless)
    many = {"text": "x" * 10**7, "list": list(range(10**5)), "array": np.zeros(10**6), "loop": loop, "endless": endless}
    line = JsonLines(["hunter2"]).line(many)
    assert len(line) < 100_000
    assert strictly(line)["text"] == "x" * 4096 + "..."


SECRETS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "Cc"]), min_size=4, max_size=30).filter(
    # A mark that takes its place, or other text of the line, may hold what looks like a part of it.
    lambda secret: len(set(secret)) > 3 and secret not in json.dumps({"event": "[hidden]", "error": ""})
)


@given(secret=SECRETS, before=st.text(max_size=20), after=st.text(max_size=20), deep=st.integers(0, 5))
@example(secret="p\"w'\\d\n", before="", after="", deep=0)
@example(secret="äöü/@ +", before="", after="", deep=1)
def test_a_secret_is_in_no_line_in_any_form(secret, before, after, deep):
    data = secret.encode()
    forms = [secret, repr(secret), quote(secret), quote(secret, safe=""), base64.b64encode(data).decode()]
    if secret in before + after:
        return
    lines = JsonLines([secret, "", "another"])
    for form in forms:
        value = f"{before}{form}{after}"
        for _ in range(deep):
            value = {"inner": [value]}
        line = lines.line({"error": value, f"key {form}": 1, "event": ValueError(form)})
        read = str(strictly(line))
        for hidden in {secret, base64.b64encode(data).decode(), quote(secret, safe="")}:
            assert hidden not in line
            assert hidden not in read
            assert "[hidden]" in read
    assert secret not in repr(lines)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"password": "hunter2"}, {"password": "[hidden]"}),
        ({"db": {"API_Key": [1, 2]}, "Passwd": {}}, {"db": {"API_Key": "[hidden]"}, "Passwd": "[hidden]"}),
        ({"access_token": None}, {"access_token": None}),
        ({"error": "GET https://user:hunter2@cloud/x: 401"}, {"error": "GET https://[hidden]@cloud/x: 401"}),
        ({"error": "sent Authorization: Basic dXNlcjpodW50ZXIy!"}, {"error": "sent Authorization: Basic [hidden]!"}),
        ({"error": "bearer eyJhbGciOi.J9-_x~y=, no"}, {"error": "bearer [hidden], no"}),
        ({"error": "mail me@example.org, a basic fact"}, {"error": "mail me@example.org, a basic fact"}),
    ],
)  # fmt: skip
def test_what_looks_or_is_called_like_a_secret_is_hidden_though_no_one_told(told, read):
    assert strictly(JsonLines().line(told)) == read


def test_half_a_secret_at_the_cut_is_hidden_too():
    line = JsonLines(["hunter2-hunter2"]).line({"error": "x" * 4090 + "hunter2-hunter2"})
    assert "hunter" not in line


# --- telemetry -------------------------------------------------------------------------------------------------------


def test_each_event_is_a_line():
    stream = io.StringIO()
    tell = Telemetry(stream, lines=JsonLines(["hunter2"]), now=Clock(1.5))
    tell("action", outcome="ready", function="detect", seconds=math.nan)
    tell("platform_error", error="no hunter2")
    tell("tick", wanted={"detect": 1})
    assert stream.getvalue() == (
        '{"event":"action","function":"detect","outcome":"ready","seconds":null,"time":1.5}\n'
        '{"error":"no [hidden]","event":"platform_error","time":1.5}\n'
    )


def test_a_stream_that_fails_stops_nothing():
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed):
        tell = Telemetry(stream)
        tell("action")
        tell("action")
        assert tell.unwritten == 2


def values(metrics):
    """Return all samples as Prometheus reads them, but those of when they were made."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_events_are_counted():
    clock = Clock()
    breaker = CircuitBreaker(failures=1, now=clock)
    metrics, pulse = Metrics(breaker=breaker, now=clock), Pulse(now=clock)
    tell = Telemetry(metrics=metrics, pulse=pulse)
    at_first = values(metrics)
    assert math.isnan(at_first[("smiless_plan_age_seconds",)])
    assert {value for value in at_first.values() if not math.isnan(value)} == {0.0}
    assert not pulse.is_fresh

    tell("started", arrivals=5, resumed=True)
    tell("leader")
    tell("arrivals", count=3, last=1.0, lost=2)
    tell("arrivals", count=4, lost=0)
    tell("decision", seconds=0.003, functions={})
    tell("policy_error", error="x")
    tell("action", action="warm", function="detect", outcome="ready")
    tell("action", action="warm", function="read", outcome="ready")
    tell("action", action="retire", function="read", outcome="clamped")
    tell("platform_error", doing="warm detect", error="x")
    tell("platform_error", doing="warm", error="x")
    tell("platform_error", doing="https://user:hunter2@cloud", error="x")
    tell("tick", wanted={"detect": 2, "read": 0}, ready={"detect": 1, "read": 0})
    breaker.failed(breaker.admit())
    clock.now += 2.5
    read = values(metrics)
    expected = {
        ("smiless_leader",): 1.0,
        ("smiless_arrivals_total",): 7.0,
        ("smiless_arrivals_lost_total",): 2.0,
        ("smiless_decisions_total",): 1.0,
        ("smiless_policy_errors_total",): 1.0,
        ("smiless_actions_total", "warm", "ready"): 2.0,
        ("smiless_actions_total", "retire", "clamped"): 1.0,
        ("smiless_platform_errors_total", "warm"): 2.0,
        ("smiless_platform_errors_total", "other"): 1.0,
        ("smiless_wanted_instances", "detect"): 2.0,
        ("smiless_wanted_instances", "read"): 0.0,
        ("smiless_ready_instances", "detect"): 1.0,
        ("smiless_ready_instances", "read"): 0.0,
        ("smiless_plan_age_seconds",): 2.5,
        ("smiless_breaker_open",): 1.0,
        ("smiless_decision_seconds_bucket", "0.0025"): 0.0,
        ("smiless_decision_seconds_bucket", "0.005"): 1.0,
        ("smiless_decision_seconds_count",): 1.0,
        ("smiless_decision_seconds_sum",): 0.003,
    }
    assert {key: read.get(key) for key in expected} == expected
    assert {key for key in read if key[0] != "smiless_decision_seconds_bucket"} <= set(expected)
    assert b"hunter2" not in metrics.text()
    assert pulse.is_fresh

    tell("standby")
    assert values(metrics)[("smiless_leader",)] == 0.0


ODD = st.none() | st.text() | st.floats() | st.integers() | st.lists(st.none())


@given(
    event=st.sampled_from(["tick", "arrivals", "decision", "policy_error", "action", "platform_error", "standby"]),
    fields=st.dictionaries(st.sampled_from(["count", "lost", "seconds", "action", "outcome", "doing"]), ODD)
    | st.fixed_dictionaries({"wanted": st.dictionaries(st.text(), ODD, max_size=3)}),
)
def test_nothing_that_is_told_stops_the_loop(event, fields):
    metrics, stream = Metrics(), io.StringIO()
    Telemetry(stream, metrics=metrics)(event, **fields)
    assert all(value >= 0.0 or math.isnan(value) for value in values(metrics).values())
    assert stream.getvalue() or event == "tick"


def test_each_controller_has_its_own_metrics():
    one, two = Metrics(), Metrics()
    Telemetry(metrics=one)("policy_error")
    assert values(one)[("smiless_policy_errors_total",)] == 1.0
    assert values(two)[("smiless_policy_errors_total",)] == 0.0


def test_a_pulse_stops_being_fresh():
    pulse = Pulse(patience=5.0, now=(clock := Clock()))
    assert not pulse.is_fresh
    assert pulse.age == math.inf
    pulse.beat()
    clock.now += 5.0
    assert pulse.is_fresh
    clock.now += 0.1
    assert not pulse.is_fresh
    assert pulse.age == pytest.approx(5.1)


# --- server ----------------------------------------------------------------------------------------------------------


def serving(ask, *, address="127.0.0.1:0"):
    """Run a coroutine with a server, a session, and the clock of the pulse."""

    async def main():
        clock = Clock()
        pulse = Pulse(patience=10.0, now=clock)
        metrics = Metrics(now=clock)
        server = StatusServer(metrics, pulse, address=address)
        async with server, aiohttp.ClientSession() as session:
            await ask(server.url, session, pulse, clock)
        with pytest.raises(RuntimeError, match="not running"):
            _ = server.url

    asyncio.run(main())


def test_health_is_that_of_the_loop():
    async def ask(url, session, pulse, clock):
        async def health():
            async with session.get(f"{url}/healthz") as answer:
                return answer.status, strictly(await answer.text())

        assert await health() == (503, {"alive": False, "age": None})
        pulse.beat()
        clock.now += 2.0
        assert await health() == (200, {"alive": True, "age": 2.0})
        clock.now += 20.0
        assert await health() == (503, {"alive": False, "age": 22.0})

    serving(ask)


def test_metrics_are_served_as_prometheus_reads_them():
    async def ask(url, session, pulse, clock):
        async with session.get(f"{url}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            families = list(text_string_to_metric_families(await answer.text()))
        assert {"smiless_arrivals", "smiless_decision_seconds"} <= {family.name for family in families}

    serving(ask)


def test_nothing_else_is_served():
    async def ask(url, session, pulse, clock):
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", "/metrics/x", 404),
            ("POST", "/metrics", 405),
            ("DELETE", "/healthz", 405),
            ("HEAD", "/metrics", 200),
        ):
            async with session.request(method, url + path) as answer:
                assert (method, path, answer.status) == (method, path, status)

    serving(ask)


def test_it_listens_where_it_is_told_and_nowhere_afterwards():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    async def ask(url, session, pulse, clock):
        assert url == f"http://127.0.0.1:{port}"
        with pytest.raises(InvalidInputError, match=rf"address: cannot listen at 127\.0\.0\.1:{port}: .*in use"):
            async with StatusServer(Metrics(), pulse, address=f"127.0.0.1:{port}"):
                pass

    serving(ask, address=f"127.0.0.1:{port}")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()


def test_it_ends_though_a_client_keeps_its_connection():
    async def main():
        async with StatusServer(Metrics(), Pulse(), address="127.0.0.1:0") as server:
            _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: ")  # and no more
            await writer.drain()
            begun = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun < 3.0
        writer.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "wrong",
    ["", "9090", "localhost", "localhost:", "localhost:x", "localhost:65536", "::1:9090", "[x]:1", "a:-1", "a:²"],
)
def test_wrong_addresses(wrong):
    with pytest.raises(InvalidInputError, match="address: expected host:port, got"):
        StatusServer(Metrics(), Pulse(), address=wrong)


def test_an_address_that_is_not_of_this_machine():
    async def main():
        with pytest.raises(InvalidInputError, match=r"cannot listen at 192\.0\.2\.1:0: "):
            async with StatusServer(Metrics(), Pulse(), address="192.0.2.1:0"):
                pass

    asyncio.run(main())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_other_addresses():
    async def ask(url, session, pulse, clock):
        assert url.startswith("http://[::1]:")
        async with session.get(f"{url}/metrics") as answer:
            assert answer.status == 200

    serving(ask, address="[::1]:0")
    assert StatusServer(Metrics(), Pulse(), address=":9090")._host is None


def test_missing_extras_are_said(monkeypatch):
    metrics = Metrics()
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtraError, match="telling metrics needs"):
        Metrics()

    async def main():
        with pytest.raises(MissingExtraError, match="serving metrics needs"):
            async with StatusServer(metrics, Pulse(), address="127.0.0.1:0"):
                pass

    asyncio.run(main())
    Telemetry(io.StringIO())("action")  # lines need neither
