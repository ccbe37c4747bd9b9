"""OpenFaaS: the contract, each fact about its gateway, what goes wrong on the way, and where passwords go.

The documents that the facts come from are named in docs/platforms/openfaas.md, each beside its test.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from fake_gateway import FakeGateway
from smiless_core import Application, Configuration, InvalidInputError
from smiless_core.adapters import ArrivalsSource, Outcome, Service
from smiless_core.adapters.openfaas import WARMING_HEADER, OpenFaaS, manifest
from smiless_core.adapters.testing import CONTRACT
from smiless_core.errors import MissingExtraError, PlatformError
from smiless_core.model import Assignment, Readiness

pytestmark = pytest.mark.live

FUNCTIONS = ("detect", "caption")
SERVICES = {
    "detect": Service(image="registry.example/detect:1.4", environment={"MODEL": "detect.onnx"}, memory=512),
    "caption": Service(image="registry.example/caption:2", ready="/healthz", secrets=("token",)),
}
ONE, TWO = Configuration("cpu", 1), Configuration("cpu", 2)
PASSWORD = "correct-horse-battery"
GOLDEN = Path(__file__).parent / "golden"


@contextlib.asynccontextmanager
async def gateway(**options):
    """A gateway, and a way to make platforms for it that are closed in the end."""
    made = []
    async with FakeGateway(**options) as fake:

        def platform(**settings):
            settings.setdefault("prometheus", fake.url)
            made.append(OpenFaaS(settings.pop("url", fake.url), SERVICES, random=random.Random(1), **settings))
            return made[-1]

        fake.platform = platform
        try:
            yield fake
        finally:
            for each in made:
                await each.close()


def soon(seconds=3.0):
    return time.time() + seconds


async def call(fake, function):
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{fake.url}/function/{function}.openfaas-fn/") as response,
    ):
        return response.status


class Harness:
    functions = FUNCTIONS
    configurations = (ONE, TWO)
    patience = 5.0

    def __init__(self, fake):
        self.fake = fake
        self.platform = fake.platform()

    def now(self):
        return time.time()

    async def invoke(self, function):
        assert await call(self.fake, function) == 200

    def changes(self):
        return self.fake.changes()


@pytest.mark.parametrize("pro", [False, True], ids=["community", "pro"])
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(check, pro):
    async def run():
        async with gateway(pro=pro) as fake:
            await check(Harness(fake))
            assert not fake.cut, "a request was under way in what was let go"

    asyncio.run(run())


# --- what the documents say: see docs/platforms/openfaas.md ----------------------------------------------------------


@pytest.mark.parametrize(
    ("pro", "provider", "most", "to_zero"),
    [
        (False, "faas-netes-ce", 5, False),
        (True, "faas-netes", None, True),
        (False, "faasd-ce", 1, False),
        (True, "faasd-pro", 1, True),
    ],
)
def test_the_edition_is_read_from_the_provider(pro, provider, most, to_zero):
    async def run():
        async with gateway(pro=pro, provider=provider) as fake:
            able = await fake.platform().capabilities()
            assert (able.max_replicas, able.scale_to_zero, able.gpu) == (most, to_zero, False)
            assert able.min_replicas == (0 if to_zero else 1)
            assert able.max_functions == (None if to_zero else 15)
            assert able.arrivals_source is ArrivalsSource.COUNTED
            told = await fake.platform(edition="community").capabilities()
            assert not told.scale_to_zero

    asyncio.run(run())


def test_community_never_goes_to_zero_and_is_not_asked_to():
    async def run():
        async with gateway() as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=2, by=soon())
            warmth = await platform.retire("detect", replicas=0)
            assert warmth.outcome is Outcome.CLAMPED
            assert fake.functions["detect"].replicas == 1
            assert [body["replicas"] for _, path, body in fake.bodies if "scale" in path] == [2, 1]

    asyncio.run(run())


def test_a_provider_that_refuses_zero_is_believed():
    async def run():
        # A Community Edition whose name does not tell, behind a gateway that lets 0 through.
        async with gateway(provider="faas-netes", gateway_clamps=False) as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=1, by=soon())
            warmth = await platform.retire("detect", replicas=0)
            assert warmth.outcome is Outcome.CLAMPED
            assert "replicas cannot be set to 0" in warmth.detail

    asyncio.run(run())


@pytest.mark.parametrize("known", [False, True])
def test_a_gateway_that_clamps_and_says_nothing_is_read_back(known):
    async def run():
        async with gateway(provider=None if known else "faas-netes") as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=1, by=soon())
            warmth = await platform.warm("detect", replicas=9, by=soon())
            assert warmth.outcome is Outcome.CLAMPED
            assert warmth.detail == "it keeps 5"
            assert fake.functions["detect"].replicas == 5
            if not known:
                down = await platform.retire("detect", replicas=0)
                assert (down.outcome, down.detail) == (Outcome.CLAMPED, "it keeps 1")

    asyncio.run(run())


def test_a_failed_update_that_answers_200_is_found_out():
    async def run():
        async with gateway() as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=1, by=soon())
            fake.fail("silent", method="PUT")
            with pytest.raises(PlatformError, match="200 to an update, and has not made it") as caught:
                await platform.apply("detect", TWO, replicas=1, by=soon(0.0))
            assert caught.value.retryable
            assert (await platform.observe("detect")).configuration == ONE
            assert (await platform.apply("detect", TWO, replicas=1, by=soon())).outcome is Outcome.READY

    asyncio.run(run())


def test_nothing_is_put_again_because_every_put_rolls_the_instances():
    async def run():
        async with gateway() as fake:
            await fake.platform().apply("detect", ONE, replicas=1, by=soon())
            for _ in range(3):  # also by another controller that knows nothing
                await fake.platform().apply("detect", ONE, replicas=1, by=soon())
            assert fake.functions["detect"].rolled == 0
            await fake.platform().apply("detect", TWO, replicas=1, by=soon())
            assert fake.functions["detect"].rolled == 1
            fake.functions["detect"].document["image"] = "somebody.else/detect:9"
            await fake.platform().apply("detect", TWO, replicas=1, by=soon())
            assert fake.functions["detect"].document["image"] == SERVICES["detect"].image

    asyncio.run(run())


def test_the_sixteenth_function_is_refused():
    async def run():
        async with gateway() as fake:
            for each in range(15):
                fake._deploy({"service": f"other-{each}", "image": "x"})
            warmth = await fake.platform().apply("detect", ONE, replicas=1, by=soon())
            assert warmth.outcome is Outcome.UNSUPPORTED
            assert "maximum: 15" in warmth.detail

    asyncio.run(run())


def test_there_is_one_namespace():
    async def run():
        async with gateway() as fake:
            warmth = await fake.platform(namespace="staging").apply("detect", ONE, replicas=1, by=soon())
            assert warmth.outcome is Outcome.UNSUPPORTED
            assert "namespace must be: openfaas-fn" in warmth.detail

    asyncio.run(run())


def test_the_namespace_goes_in_query_and_body():
    async def run():
        async with gateway() as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=2, by=soon())
            (path, body) = next((path, body) for _, path, body in fake.bodies if "scale" in path)
            assert path == "/system/scale-function/detect?namespace=openfaas-fn"
            assert body == {"serviceName": "detect", "namespace": "openfaas-fn", "replicas": 2}

    asyncio.run(run())


def test_resources_are_cpu_and_memory():
    async def run():
        async with gateway() as fake:
            await fake.platform().apply("detect", Configuration("cpu", 0.5), replicas=1, by=soon())
            assert fake.functions["detect"].document["limits"] == {"cpu": "500m", "memory": "512Mi"}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("pro", "profile", "share", "outcome"),
    [
        (False, "one-gpu", 1.0, Outcome.UNSUPPORTED),
        (True, "", 1.0, Outcome.UNSUPPORTED),
        (True, "one-gpu", 0.5, Outcome.UNSUPPORTED),
        (True, "one-gpu", 1.0, Outcome.READY),
    ],
)
def test_gpus_are_whole_and_of_a_profile_of_pro(pro, profile, share, outcome):
    async def run():
        async with gateway(pro=pro) as fake:
            platform = fake.platform(gpu_profile=profile)
            warmth = await platform.apply("detect", Configuration("gpu", share), replicas=1, by=soon())
            assert warmth.outcome is outcome
            assert bool(fake.functions) == (outcome is Outcome.READY)
            if fake.functions:
                assert fake.functions["detect"].document["annotations"]["com.openfaas.profile"] == "one-gpu"
                assert (await platform.capabilities()).gpu
                assert not (await platform.capabilities()).fractional_gpu

    asyncio.run(run())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_available_is_not_loaded(function):
    async def run():
        async with gateway(loads=0.4) as fake:
            begun = time.time()
            platform = fake.platform()
            early = await platform.apply(function, ONE, replicas=2, by=soon(0.2))
            assert early.outcome is Outcome.LATE
            assert early.ready == 0
            assert (await platform.observe(function)).ready == 2, "what the platform says"
            assert (await platform.warm(function, replicas=2, by=soon())).outcome is Outcome.READY
            assert time.time() - begun > 0.4
            asked = [each for each in fake.requests if WARMING_HEADER in each.headers]
            assert {each.path for each in asked} == {
                f"/function/{function}.openfaas-fn{SERVICES[function].ready or '/'}"
            }
            await platform.warm(function, replicas=2, by=soon())
            assert len([each for each in fake.requests if WARMING_HEADER in each.headers]) == len(asked), "asked again"

    asyncio.run(run())


@pytest.mark.parametrize("echoes", [False, True])
def test_old_instances_pass_for_new_ones_unless_they_say_which_they_are(echoes):
    async def run():
        async with gateway(quantum=0.2, echoes=echoes) as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=1, by=soon())
            warmth = await platform.apply("detect", TWO, replicas=1, by=soon())
            assert warmth.outcome is Outcome.READY
            fake._refresh(fake.functions["detect"])
            assert bool(fake.functions["detect"].old) != echoes
            assert "old instances" in warmth.detail

    asyncio.run(run())


# --- what serves -----------------------------------------------------------------------------------------------------


def test_nothing_goes_while_anything_is_served():
    async def run():
        async with gateway(pro=True) as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=3, by=soon())
            request = asyncio.ensure_future(call(fake, "detect"))
            await asyncio.sleep(0.1)
            assert (await platform.observe("detect")).in_flight == 1
            warmth = await platform.retire("detect", replicas=1)
            assert (warmth.outcome, warmth.ready) == (Outcome.LATE, 3)
            assert "1 requests are under way" in warmth.detail
            assert await request == 200
            assert (await platform.retire("detect", replicas=1)).outcome is Outcome.READY
            assert fake.functions["detect"].replicas == 1
            assert (await platform.observe("detect")).in_flight == 0

    asyncio.run(run())


def test_instances_that_drain_go_down_to_the_requests():
    async def run():
        async with gateway(pro=True) as fake:
            platform = fake.platform(drains=True)
            await platform.apply("detect", ONE, replicas=4, by=soon())
            requests = [asyncio.ensure_future(call(fake, "detect")) for _ in range(2)]
            await asyncio.sleep(0.1)
            assert (await platform.retire("detect", replicas=0)).outcome is Outcome.READY
            assert fake.functions["detect"].replicas == 2
            await asyncio.gather(*requests)

    asyncio.run(run())


@pytest.mark.parametrize("broken", [False, True], ids=["none", "down"])
def test_without_prometheus_the_count_of_answers_has_to_rest(broken):
    async def run():
        async with gateway(pro=True) as fake:
            platform = fake.platform(prometheus=fake.url if broken else None, quiet=0.6)
            if broken:
                fake.fail("500", path="/api/v1/query", times=1000)
            await platform.apply("detect", ONE, replicas=2, by=soon())
            assert (await platform.observe("detect")).in_flight is None
            assert (await platform.retire("detect", replicas=0)).outcome is Outcome.LATE
            await asyncio.sleep(0.4)
            await call(fake, "detect")
            assert (await platform.retire("detect", replicas=0)).outcome is Outcome.LATE
            assert fake.functions["detect"].replicas == 2
            await asyncio.sleep(0.7)
            assert (await platform.retire("detect", replicas=0)).outcome is Outcome.READY
            assert fake.functions["detect"].replicas == 0
            assert not fake.cut

    asyncio.run(run())


def test_one_stays_while_the_count_moves_even_if_instances_drain():
    async def run():
        async with gateway(pro=True) as fake:
            platform = fake.platform(prometheus=None, drains=True, quiet=60.0)
            await platform.apply("detect", ONE, replicas=3, by=soon())
            assert (await platform.retire("detect", replicas=0)).outcome is Outcome.READY
            assert fake.functions["detect"].replicas == 1

    asyncio.run(run())


# --- arrivals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", ["started", "finished"])
def test_requests_of_our_own_are_no_arrivals(counted):
    async def run():
        async with gateway(loads=0.2, takes=0.01) as fake:
            platform = fake.platform(counted=counted)
            begin = await platform.arrivals("detect", since="")
            await platform.apply("detect", ONE, replicas=3, by=soon())
            assert fake.readings, "the marked requests are counted"
            assert (await platform.arrivals("detect", since=begin.cursor)).times == ()
            for _ in range(4):
                await call(fake, "detect")
            told = await platform.arrivals("detect", since=begin.cursor)
            assert (len(told.times), told.lost) == (4, 0)

    asyncio.run(run())


def test_without_prometheus_the_list_counts():
    async def run():
        async with gateway(takes=0.01) as fake:
            platform = fake.platform(prometheus=None)
            await platform.apply("detect", ONE, replicas=1, by=soon())
            begin = await platform.arrivals("detect", since="")
            for _ in range(3):
                await call(fake, "detect")
            told = await platform.arrivals("detect", since=begin.cursor)
            assert len(told.times) == 3
            # A gateway that cannot ask its Prometheus lists 0: no reset, and nothing told twice after it.
            fake.counts_updates = False
            nothing = await platform.arrivals("detect", since=told.cursor)
            fake.counts_updates = True
            assert (nothing.times, (await platform.arrivals("detect", since=nothing.cursor)).times) == ((), ())

    asyncio.run(run())


# --- what goes wrong -------------------------------------------------------------------------------------------------

FAULTS = {
    "500": "it answers 500: error 500 with a second line",
    "404": "it answers 404",
    "reset": "the connection failed",
    "slow": "no whole answer within",
    "slow body": "no whole answer within",
    "endless": "it answers more than",
    "": "an empty body",
    "no json": "it answers what makes no sense",
    "[1, 2]": "it answers what makes no sense",
    '{"provider": {"provider": 7}}': "it answers what makes no sense",
    '{"provider": ' * 5000: "it answers what makes no sense",
    "\\ud800": "it answers what makes no sense",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[:20] or "empty")
def test_faults_are_errors_of_one_line(fault):
    async def run():
        async with gateway() as fake:
            fake.fail(fault, times=2)  # aiohttp asks once more after a reset
            with pytest.raises(PlatformError) as caught:
                await fake.platform(timeout=0.5).capabilities()
            assert FAULTS[fault] in str(caught.value)
            assert str(caught.value).startswith("openfaas: capabilities: ")
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 300
            assert caught.value.retryable == (fault != "404")

    asyncio.run(run())


@pytest.mark.parametrize(
    "lie",
    [
        '{"name": "other", "replicas": 1}',
        '{"name": "detect", "replicas": -1}',
        '{"name": "detect", "replicas": "many"}',
        '{"name": "detect", "annotations": {"smiless.configuration": 4}}',
        "{}",
    ],
)
def test_a_status_that_makes_no_sense_is_an_error(lie):
    async def run():
        async with gateway() as fake:
            fake.fail(lie, path="/system/function/")
            with pytest.raises(PlatformError, match="openfaas: observe detect: it answers"):
                await fake.platform().observe("detect")

    asyncio.run(run())


@pytest.mark.parametrize("written", ["", "{", '{"hardware": "tpu", "size": 1, "batch": 1}', '{"hardware": "cpu"}'])
def test_what_nobody_here_has_written_is_no_configuration(written):
    async def run():
        async with gateway() as fake:
            fake._deploy({"service": "detect", "image": "x", "annotations": {"smiless.configuration": written}})
            seen = await fake.platform().observe("detect")
            assert (seen.configuration, seen.wanted) == (None, 1)

    asyncio.run(run())


def test_a_busy_gateway_says_when_to_come_back():
    async def run():
        async with gateway() as fake:
            fake.fail("busy")
            with pytest.raises(PlatformError) as caught:
                await fake.platform().capabilities()
            assert (caught.value.retryable, caught.value.retry_after) == (True, 7.0)

    asyncio.run(run())


def test_waiting_outlasts_faults():
    async def run():
        async with gateway(quantum=0.15) as fake:
            platform = fake.platform(timeout=0.5)
            fake.fail("500", method="GET", path="/system/function/")
            with pytest.raises(PlatformError, match="it answers 500"):  # nothing was begun
                await platform.apply("detect", ONE, replicas=2, by=soon())
            assert not fake.bodies
            await platform.apply("detect", ONE, replicas=0, by=soon())
            for fault in ("500", "reset", "no json"):
                task = asyncio.ensure_future(platform.warm("detect", replicas=fake.changes() + 1, by=soon()))
                before = fake.changes()
                while fake.changes() == before:
                    await asyncio.sleep(0.005)
                fake.fail(fault, method="GET", path="/system/function/", times=2)
                assert (await task).outcome is Outcome.READY
                assert fake.faults[-1][-1] == 0

    asyncio.run(run())


def test_waiting_does_not_outlast_its_time():
    async def run():
        async with gateway(quantum=5.0) as fake:
            platform = fake.platform()
            await platform.apply("detect", ONE, replicas=0, by=soon())
            begun = time.time()
            task = asyncio.ensure_future(platform.warm("detect", replicas=1, by=soon(2.0)))
            await asyncio.sleep(0.05)
            fake.fail("busy", method="GET", path="/system/function/", times=100)
            with pytest.raises(PlatformError) as caught:  # it asks for 7 s, and there are 2
                await task
            assert caught.value.retry_after == 7.0
            assert time.time() - begun < 1.5

    asyncio.run(run())


def test_what_another_controller_deploys_is_asked_anew():
    async def run():
        async with gateway() as fake:
            ours, other = fake.platform(), fake.platform()
            await ours.apply("detect", ONE, replicas=1, by=soon())
            await other.apply("detect", TWO, replicas=1, by=soon())
            asked = sum(WARMING_HEADER in each.headers for each in fake.requests)
            await ours.warm("detect", replicas=1, by=soon())
            assert sum(WARMING_HEADER in each.headers for each in fake.requests) == asked + 1
            assert (await ours.observe("detect")).configuration == TWO

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(4))
def test_whatever_goes_wrong_it_is_a_platform_error_and_comes_right(seed):
    async def run():
        chance = random.Random(seed)
        kinds = ["500", "503", "busy", "reset", "", "no json", "slow", "404", "endless", "silent"]
        async with gateway(pro=seed % 2 == 1, takes=0.05) as fake:
            platform = fake.platform(timeout=0.2, quiet=0.0)
            for _ in range(12):
                fake.faults = [[chance.choice(kinds), "", chance.choice(["", "/system", "/api", "/function"]), 2]]
                function, configuration = chance.choice(FUNCTIONS), chance.choice([ONE, TWO])
                calls = [
                    platform.apply(function, configuration, replicas=chance.randrange(3), by=soon(0.3)),
                    platform.warm(function, replicas=chance.randrange(4), by=soon(0.3)),
                    platform.retire(function, replicas=chance.randrange(3)),
                    platform.observe(function),
                    platform.arrivals(function, since=""),
                    platform.capabilities(),
                ]
                chance.shuffle(calls)
                for each in calls:
                    with contextlib.suppress(PlatformError):
                        await each
            fake.faults = []
            assert (await platform.apply("detect", TWO, replicas=2, by=soon())).outcome is Outcome.READY
            seen = await platform.observe("detect")
            assert seen.configuration == TWO
            assert seen.ready >= 2

    asyncio.run(run())


def test_calls_can_be_cancelled():
    async def run():
        async with gateway(quantum=5.0) as fake:
            platform = fake.platform()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await platform.apply("detect", ONE, replicas=1, by=soon(60.0))
            assert (await platform.observe("detect")).configuration == ONE

    asyncio.run(run())


# --- passwords and certificates --------------------------------------------------------------------------------------


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    return path


def test_passwords_come_from_files_and_variables(password_file, monkeypatch):
    monkeypatch.setenv("GATEWAY_PASSWORD", PASSWORD)

    async def run():
        async with gateway(password=PASSWORD) as fake:
            for settings in ({"password_file": password_file}, {"password_variable": "GATEWAY_PASSWORD"}):
                platform = fake.platform(**settings)
                await platform.apply("detect", ONE, replicas=1, by=soon())
                assert PASSWORD not in repr(platform)
                assert PASSWORD not in repr(vars(platform))
            assert not fake.leaked, "functions have no business with the gateway's password"
            for each in fake.requests:
                assert ("Authorization" in each.headers) == each.path.startswith("/system/"), each.path
            with pytest.raises(PlatformError, match=r"refuses the user or the password \(401\)") as caught:
                await fake.platform().capabilities()
            assert not caught.value.retryable

    asyncio.run(run())


def test_a_password_that_changes_is_read_again(password_file):
    async def run():
        async with gateway(password=PASSWORD) as fake:
            platform = fake.platform(password_file=password_file)
            await platform.capabilities()
            fake.password = "another"
            with pytest.raises(PlatformError):
                await platform.capabilities()
            password_file.write_text("another")
            await platform.capabilities()
            password_file.unlink()
            with pytest.raises(PlatformError, match="no password"):
                await platform.capabilities()

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["echo", "500", "401", "reset", "slow", "no json", "endless", "elsewhere http://x/"])
def test_passwords_show_up_nowhere(fault, password_file, caplog, capfd):
    caplog.set_level(logging.DEBUG)

    async def run():
        async with gateway(password=PASSWORD) as fake:
            fake.fail(fault, times=5)
            with pytest.raises(PlatformError) as caught:
                await fake.platform(password_file=password_file, timeout=0.3).capabilities()
            return caught.value

    error = asyncio.run(run())
    seen = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + caplog.text
    seen += "".join(capfd.readouterr())
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    for secret in (PASSWORD, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "YWRtaW46"):
        assert secret not in seen


def test_passwords_do_not_follow_to_another_host(password_file):
    async def run():
        async with gateway(password=PASSWORD) as fake, FakeGateway() as other:
            fake.fail(f"elsewhere {other.url}/system/info")
            with pytest.raises(PlatformError, match="sends to another address") as caught:
                await fake.platform(password_file=password_file).capabilities()
            assert not caught.value.retryable
            assert not other.requests

    asyncio.run(run())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "ca.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


def test_certificates_are_verified(certificate, password_file):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "ca.pem", certificate / "key.pem")

    async def run():
        async with gateway(password=PASSWORD, tls=tls) as fake:
            settings = {"prometheus": None, "password_file": password_file}
            with pytest.raises(PlatformError, match="its certificate is not trusted") as caught:
                await fake.platform(**settings).capabilities()
            assert not caught.value.retryable
            assert not fake.requests, "the password was not sent"
            await fake.platform(**settings, ca_file=certificate / "ca.pem").capabilities()
            await fake.platform(**settings, verify=False).capabilities()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"url": "gateway"}, "expected an address"),
        ({"url": "ftp://gateway"}, "expected an address"),
        ({"url": f"http://admin:{PASSWORD}@gateway"}, "passwords do not belong into an address"),
        ({"url": "http://gateway:99999"}, "expected an address"),
        ({"url": "http://gateway/?a=b"}, "expected an address"),
        ({"password_file": "/no/such/file"}, "No such file"),
        ({"password_variable": "NO_SUCH_VARIABLE"}, "no variable 'NO_SUCH_VARIABLE'"),
        ({"password_file": "a", "password_variable": "b"}, "not both"),
        ({"ca_file": "/no/such/file"}, "No such file"),
        ({"ca_file": __file__}, "no certificates in it"),
        ({"ca_file": __file__, "verify": False}, "verify=False"),
        ({"user": "a:b", "password_variable": "HOME"}, "has no ':'"),
        ({"counted": "both"}, "no choice named 'both'"),
        ({"edition": "enterprise"}, "no choice named 'enterprise'"),
        ({"prefix": "Amber_"}, "expected lower-case letters"),
        ({"prefix": "a" * 60}, "at most 63"),
        ({"quiet": -1.0}, "quiet"),
        ({"timeout": 0.0}, "timeout"),
    ],
)
def test_settings_are_checked(settings, complaint):
    settings = dict(settings)
    with pytest.raises(InvalidInputError) as caught:
        OpenFaaS(settings.pop("url", "http://gateway"), SERVICES, **settings)
    assert complaint.lower() in str(caught.value).lower()
    assert PASSWORD not in str(caught.value)


def test_aiohttp_is_needed_only_to_talk(monkeypatch):
    loads = (
        "import sys, smiless_core.adapters.openfaas, smiless_core.adapters.testing; sys.exit('aiohttp' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", loads], check=True)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtraError, match=r"smiless-core\[openfaas\]"):
        OpenFaaS("http://gateway", SERVICES)


@pytest.mark.parametrize(
    ("service", "complaint"),
    [
        (Service(command=("python3", "detect.py")), "services.detect.image: functions are images"),
        (Service(image="x", port=9000), "services.detect.port: functions listen on port 8080"),
    ],
)
def test_services_have_to_fit(service, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        OpenFaaS("http://gateway", {"detect": service})


# --- manifests -------------------------------------------------------------------------------------------------------

APPLICATION = Application.chain("detect", "caption", sla=2.0)


def assignment(function, configuration):
    return Assignment(function, configuration, Readiness.ON_REQUEST, 1, 1e-5, 0.1, 1.0, (), 1e-5)


def test_the_manifest_is_that_of_the_golden_file():
    services = {**SERVICES, "caption": SERVICES["caption"].replace(command=("python3", "serve.py", "two words"))}
    assignments = [assignment("detect", Configuration("cpu", 1.5)), assignment("caption", Configuration("gpu", 1))]
    written = manifest(
        APPLICATION, assignments, services, gateway="https://gateway.example", prefix="amber-", gpu_profile="one-gpu"
    )
    assert written == (GOLDEN / "openfaas-stack.yaml").read_text(encoding="utf-8")
    assert written == manifest(
        APPLICATION, assignments, services, gateway="https://gateway.example", prefix="amber-", gpu_profile="one-gpu"
    )


def test_the_manifest_is_what_the_adapter_sends():
    import yaml

    async def run():
        async with gateway() as fake:
            await fake.platform().apply("detect", TWO, replicas=1, by=soon())
            return fake.functions["detect"].document

    sent = asyncio.run(run())
    (written,) = yaml.safe_load(manifest(APPLICATION, [assignment("detect", TWO)], SERVICES))["functions"].values()
    assert written["environment"] == sent["envVars"]
    for key in ("image", "annotations", "limits", "requests", "namespace"):
        assert written[key] == sent[key]


@pytest.mark.parametrize(
    ("assignments", "complaint"),
    [
        ([assignment("detekt", ONE)], "no function named 'detekt' .did you mean 'detect'"),
        ([assignment("detect", Configuration("gpu", 1))], "assignments.detect: there are no GPUs here"),
    ],
)
def test_manifests_are_checked(assignments, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        manifest(APPLICATION, assignments, SERVICES)
    with pytest.raises(InvalidInputError, match="no service named 'caption'"):
        manifest(APPLICATION, [assignment("caption", ONE)], {"detect": SERVICES["detect"]})
