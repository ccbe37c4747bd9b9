"""A real Prometheus reads counters under old and new names; the client reads them from there."""

import asyncio
import os
import shutil
import socket
import subprocess
import time

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from smiless_core.adapters import Service
from smiless_core.adapters.openfaas import OpenFaaS
from smiless_core.adapters.prometheus import (
    KNATIVE_BEFORE_1_19,
    KNATIVE_SINCE_1_19,
    OPENFAAS,
    CountedArrivals,
    Prometheus,
)
from smiless_core.errors import PlatformError

pytestmark = pytest.mark.live

INTERVAL = 0.5  # seconds between readings
PATIENCE = 20.0
BINARY = shutil.which("prometheus")

if BINARY is None and os.environ.get("SMILESS_ALLOW_NO_CONTAINERS") == "1":
    pytest.skip("there is no prometheus, and SMILESS_ALLOW_NO_CONTAINERS=1", allow_module_level=True)


class Exporter:
    """A process with counters, which may begin again."""

    def __init__(self):
        self.begin()
        self.down = False

    def begin(self):
        self.registry = CollectorRegistry()
        # The names as they come out: the client library of Python appends _total to counters by itself.
        self.finished = Counter("gateway_function_invocation", "", ["function_name", "code"], registry=self.registry)
        self.since = Histogram(
            "http_server_request_duration_seconds",
            "",
            ["kn_service_name", "k8s_namespace_name", "container_name"],
            registry=self.registry,
        )
        self.plain = {}

    def count(self, function, times=1, *, finish=True):
        for _ in range(times):
            self._plain("gateway_function_invocation_started", function_name=f"{function}.openfaas-fn")
            self._plain("revision_request_count", service_name=function, namespace_name="fn", response_code_class="2xx")
            for component in ("queue-proxy", "activator"):
                self.since.labels(function, "fn", component).observe(0.1)
            if finish:
                self.finished.labels(f"{function}.openfaas-fn", "200").inc()

    def _plain(self, metric, **labels):
        written = metric + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
        self.plain[written] = self.plain.get(written, 0) + 1

    async def answer(self, request):
        if self.down:
            return web.Response(status=503)
        text = generate_latest(self.registry).decode()
        for series, value in self.plain.items():
            text += f"# TYPE {series.partition('{')[0]} counter\n{series} {value}\n"
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})


class Stack:
    """An exporter, and a Prometheus that reads it."""

    def __init__(self, folder):
        self.folder = folder
        self.exporter = Exporter()

    async def __aenter__(self):
        assert BINARY, "prometheus is not installed (apt-get install prometheus); SMILESS_ALLOW_NO_CONTAINERS=1 skips"
        app = web.Application()
        app.router.add_get("/metrics", self.exporter.answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        target = self._runner.addresses[0][1]
        (self.folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {INTERVAL * 1000:.0f}ms, scrape_timeout: {INTERVAL * 1000:.0f}ms}}\n"
            f"scrape_configs: [{{job_name: fake, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n",
            encoding="utf-8",
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                BINARY,
                f"--config.file={self.folder}/prometheus.yml",
                f"--storage.tsdb.path={self.folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.url = f"http://127.0.0.1:{port}"
        self.prometheus = Prometheus(self.url, now=time.time)
        try:
            await self.until(self._up)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc):
        await self.prometheus.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.log.close()
        await self._runner.cleanup()

    async def _up(self):
        found = await self.prometheus.query("up", at=time.time())
        return [value for each in found for _, value in each.readings] == [1.0]

    async def until(self, look):
        end = time.time() + PATIENCE
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                if found := await look():
                    return found
            except PlatformError as error:  # while it starts
                if not error.retryable:
                    raise
            assert time.time() < end, (self.folder / "log").read_text()
            await asyncio.sleep(0.1)


class Total:
    """All that is told of one counter, cursor after cursor."""

    def __init__(self, stack, selector):
        self.arrivals = CountedArrivals(stack.prometheus, now=time.time)
        self.selector = selector
        self.times = []
        self.cursor = ""

    async def look(self):
        more = await self.arrivals.since(self.selector, self.cursor)
        again = await self.arrivals.since(self.selector, self.cursor)
        assert again.times[: len(more.times)] == more.times, "the same cursor tells the same again"
        assert not more.lost
        self.times += more.times
        self.cursor = more.cursor
        return len(self.times)


def test_every_name_counts_exactly_through_resets_and_gaps(tmp_path):
    async def run():
        async with Stack(tmp_path) as stack:
            exporter = stack.exporter
            exporter.count("detect", 5)
            exporter.count("caption", 3)
            totals = [
                Total(stack, OPENFAAS.counter("detect", "openfaas-fn")),
                Total(stack, OPENFAAS.counter("detect", "openfaas-fn", finished=True)),
                Total(stack, KNATIVE_BEFORE_1_19.counter("detect", "fn")),
                Total(stack, KNATIVE_SINCE_1_19.counter("detect", "fn")),
            ]
            for each in totals:
                await stack.until(lambda each=each: stack.prometheus.query(each.selector, at=time.time()))
                await each.look()
            assert not any(each.times for each in totals), "what was before is not told"
            begun = time.time() - 2 * INTERVAL

            async def expect(count):
                for each in totals:

                    async def reached(each=each):
                        return await each.look() >= count

                    await stack.until(reached)
                    assert len(each.times) == count, each.selector

            exporter.count("detect", 4)
            exporter.count("caption", 30)
            await expect(4)
            exporter.begin()  # the gateway starts again
            exporter.count("detect", 2)
            await expect(6)
            exporter.down = True
            exporter.count("detect", 7)
            await asyncio.sleep(3 * INTERVAL)
            exporter.down = False
            await expect(13)
            exporter.finished.labels("detect.openfaas-fn", "500").inc()  # a new series
            del totals[2:], totals[0]
            await expect(14)
            for each in totals:
                assert each.times == sorted(each.times)
                assert begun <= each.times[0]
                assert each.times[-1] <= time.time()
            # It is down: an error, and the cursor is good afterwards.
            cursor = totals[0].cursor
        with pytest.raises(PlatformError, match="prometheus: arrivals: the connection failed"):
            await totals[0].arrivals.since(totals[0].selector, cursor)
        await stack.prometheus.close()

    asyncio.run(run())


def test_requests_under_way_are_seen_and_bad_queries_refused(tmp_path):
    async def run():
        async with Stack(tmp_path) as stack:
            services = {"detect": Service(image="x"), "caption": Service(image="x")}
            platform = OpenFaaS("http://127.0.0.1:1", services, prometheus=stack.url)
            try:
                assert await platform._serving("detect", "look") is None, "nothing is counted yet"
                for done in (False, True):
                    stack.exporter.count("detect", 2, finish=done)

                    async def seen(done=done):
                        (each,) = await stack.prometheus.query(
                            f"sum({OPENFAAS.counter('detect', 'openfaas-fn')})", at=time.time()
                        )
                        return each.readings[0][1] == (4.0 if done else 2.0)

                    await stack.until(
                        lambda: stack.prometheus.query("gateway_function_invocation_started", at=time.time())
                    )
                    await stack.until(seen)
                    assert await platform._serving("detect", "look") == 2
                assert await platform._serving("caption", "look") is None
                with pytest.raises(PlatformError, match=r"it refuses the query: .*parse error") as caught:
                    await stack.prometheus.query("sum(", at=time.time())
                assert not caught.value.retryable
            finally:
                await platform.close()

    asyncio.run(run())
