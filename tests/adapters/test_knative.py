"""The adapter to Knative Serving, over real sockets against an API server and an autoscaler of our own.

Each fact about the platform is one test; docs/platforms/knative.md names where it comes from.
"""

import asyncio
import json
import random
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from fake_knative import AUTOSCALERS, KSVC, REVISIONS, FakeKnative
from fake_kubernetes import answers, hangs, passes, resets
from smiless_core.adapters import Outcome, Service
from smiless_core.adapters.cluster import Cluster
from smiless_core.adapters.knative import Knative, manifest
from smiless_core.adapters.testing import CONTRACT
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Application, Assignment, Configuration, Readiness

pytestmark = pytest.mark.live

GOLDEN = Path(__file__).parent / "golden"
CPU1, CPU2 = Configuration("cpu", 1), Configuration("cpu", 2, batch=4)
SERVICES_OF = {
    "detect": Service(image="registry.example/detect:1.4", ready="/healthz", environment={"MODEL": "m.onnx"}),
    "caption": Service(image="registry.example/caption:2", memory=512, secrets=("hub",), command=("serve", "--fast")),
}
MIN_SCALE = "autoscaling.knative.dev/min-scale"


@asynccontextmanager
async def platform_on(tmp_path, *, cluster=None, services=SERVICES_OF, fake_kind=FakeKnative, **options):
    """Yield an adapter on a server of its own, and that server."""
    own = ("prefix", "max_replicas", "version", "gpu", "arrivals", "in_flight", "variants", "patience", "window")
    given = {key: options.pop(key) for key in own if key in options}
    async with fake_kind(**options) as fake:
        limits = {"read_timeout": 1.0, "resync": 0.2, **(cluster or {})}
        connection = Cluster(fake.kubeconfig(tmp_path / "config"), **limits)
        platform = Knative(services, connection, request=fake.poke, **given)
        try:
            yield platform, fake
        finally:
            await platform.close()


def within(seconds=5.0):
    return time.time() + seconds


def traffic(fake, name="detect"):
    return [(each["revisionName"], each["percent"]) for each in fake.objects[KSVC][name]["status"]["traffic"]]


def least(fake, key, revision):
    return fake.objects[key][revision]["metadata"]["annotations"].get(MIN_SCALE)


# --- what every adapter has to do -------------------------------------------------------------------------------------


class Harness:
    functions = ("detect", "caption")
    configurations = (CPU1, CPU2)
    patience = 5.0

    def __init__(self, platform, fake):
        self.platform = platform
        self.fake = fake

    def now(self):
        return time.time()

    async def invoke(self, function):
        await self.fake.invoke(function, 0.4)

    def changes(self):
        return len(self.fake.sent)


ABLE = {"new": {"max_replicas": 3}, "old": {"serving": (1, 20), "version": (1, 20)}}


@pytest.mark.parametrize("options", ABLE.values(), ids=ABLE)
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(check, options, tmp_path):
    async def run():
        async with platform_on(tmp_path, **options) as (platform, fake):
            await check(Harness(platform, fake))

    asyncio.run(run())


# --- facts about the platform -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("serving", "where"), [((1, 20), AUTOSCALERS), ((1, 21), REVISIONS)])
@pytest.mark.parametrize("told", [True, False])
def test_where_min_scale_is_set(tmp_path, serving, where, told):
    """From 1.21 the PodAutoscaler follows its Revision; before, it is set itself. Found out where nobody tells."""

    async def run():
        async with platform_on(tmp_path, serving=serving, version=serving if told else None) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            warmth = await platform.warm("detect", replicas=2, by=within())
            assert warmth.outcome is Outcome.READY
            ((revision, _),) = traffic(fake)
            assert least(fake, AUTOSCALERS, revision) == "2"
            patched = {each[1].split("/")[0] for each in fake.sent if each[0] == "update"}
            expected = {"podautoscalers"} if where is AUTOSCALERS else {"revisions"}
            assert patched == (expected if told else expected | {"revisions"})
            await platform.retire("detect", replicas=1)
            await asyncio.sleep(0.2)
            assert least(fake, AUTOSCALERS, revision) == "1"

    asyncio.run(run())


def test_no_annotation_is_removed(tmp_path):
    """A PodAutoscaler keeps an annotation that its Revision has lost (pull request 16186): "0" is written instead."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            ((revision, _),) = traffic(fake)
            await platform.retire("detect", replicas=0)
            assert least(fake, REVISIONS, revision) == "0"

    asyncio.run(run())


def test_min_scale_needs_the_activator_in_the_path(tmp_path):
    """Without metrics, at zero, min-scale is not looked at unless target-burst-capacity is -1."""

    class Careless(FakeKnative):
        def validate(self, key, there, changed):
            super().validate(key, there, changed)
            if key == KSVC:
                changed["spec"]["template"]["metadata"]["annotations"].pop(
                    "autoscaling.knative.dev/target-burst-capacity"
                )

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            (revision,) = fake.objects[REVISIONS].values()
            assert revision["metadata"]["annotations"]["autoscaling.knative.dev/target-burst-capacity"] == "-1"
            assert (await platform.warm("detect", replicas=1, by=within(3.0))).outcome is Outcome.READY
            assert not fake.poked
        # And the trap is one: without the annotation nothing comes by itself; a request helps.
        async with platform_on(tmp_path, fake_kind=Careless, patience=60.0) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            assert (await platform.warm("detect", replicas=1, by=within(0.5))).outcome is Outcome.LATE
        async with platform_on(tmp_path, fake_kind=Careless, patience=0.2) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            assert (await platform.warm("detect", replicas=2, by=within())).outcome is Outcome.READY
            (url,) = fake.poked
            assert url.endswith("-detect.example/healthz")

    asyncio.run(run())


def test_a_variant_is_reachable_before_it_serves(tmp_path):
    """Revisions without a traffic entry ignore min-scale: each has a tag, if with 0 %."""

    async def run():
        async with platform_on(tmp_path, cold_start=0.3) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            ((old, _),) = traffic(fake)
            change = asyncio.ensure_future(platform.apply("detect", CPU2, replicas=2, by=within()))
            served, ready_at_switch = set(), None
            while not change.done():
                served.add((await fake.invoke("detect", 0.01)).rsplit(".", 1)[0])
                if (
                    ready_at_switch is None
                    and (new := next(each for each, share in traffic(fake) if share == 100)) != old
                ):
                    ready_at_switch = fake.objects[AUTOSCALERS][new]["status"]["actualScale"]
            assert (await change).outcome is Outcome.READY
            assert ready_at_switch == 2
            assert old in served
            shares = dict(traffic(fake))
            assert shares.pop(old) == 0
            assert list(shares.values()) == [100]
            # What does not serve is not kept warm.
            assert least(fake, REVISIONS, old) == "0"

    asyncio.run(run())


def test_late_variants_do_not_get_requests(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            fake.cold_start = 0.8
            assert (await platform.apply("detect", CPU2, replicas=1, by=within(0.3))).outcome is Outcome.LATE
            await asyncio.sleep(0.2)
            assert (await platform.observe("detect")).configuration == CPU1
            # Called again it goes on with what has begun.
            assert (await platform.apply("detect", CPU2, replicas=1, by=within())).outcome is Outcome.READY
            assert (await platform.observe("detect")).configuration == CPU2
            assert len(fake.objects[REVISIONS]) == 2

    asyncio.run(run())


def test_going_back_makes_no_revision(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            for configuration in (CPU1, CPU2, CPU1, CPU2):
                warmth = await platform.apply("detect", configuration, replicas=1, by=within())
                assert warmth.outcome is Outcome.READY
                assert (await platform.observe("detect")).configuration == configuration
            assert len(fake.objects[REVISIONS]) == 2

    asyncio.run(run())


def test_old_revisions_are_removed(tmp_path):
    async def run():
        async with platform_on(tmp_path, variants=2) as (platform, fake):
            for cores in (1, 2, 3, 4):
                await platform.apply("detect", Configuration("cpu", cores), replicas=0, by=within())
            await asyncio.sleep(0.1)
            kept = {
                json.loads(each["metadata"]["annotations"]["smiless.dev/configuration"])["size"]
                for each in fake.objects[REVISIONS].values()
            }
            assert kept == {3.0, 4.0}
            assert [share for _, share in traffic(fake)] == [0, 100]
            # One that is not ours is left alone.
            foreign = {
                "metadata": {
                    "name": "detect-x",
                    "labels": {"serving.knative.dev/service": "detect"},
                    "annotations": {"autoscaling.knative.dev/initial-scale": "0"},
                },
                "spec": {},
            }
            fake.put(REVISIONS, foreign)
            # One that was removed can come back.
            assert (await platform.apply("detect", CPU1, replicas=0, by=within())).outcome is Outcome.READY
            assert "detect-x" in fake.objects[REVISIONS]

    asyncio.run(run())


@pytest.mark.parametrize("zero", [True, False])
def test_variants_begin_without_instances_where_that_may_be(tmp_path, zero):
    """initial-scale 0 needs allow-zero-initial-scale of the cluster; else one comes first, and goes."""

    async def run():
        async with platform_on(tmp_path, zero=zero) as (platform, fake):
            warmth = await platform.apply("detect", CPU1, replicas=0, by=within())
            assert warmth.outcome is Outcome.READY
            (revision,) = fake.objects[REVISIONS].values()
            assert ("autoscaling.knative.dev/initial-scale" in revision["metadata"]["annotations"]) == zero
            if not zero:
                await asyncio.sleep(1.0)
            assert (await platform.observe("detect")).ready == 0
            before = len(fake.sent)
            await platform.apply("detect", CPU1, replicas=0, by=within())
            assert len(fake.sent) == before

    asyncio.run(run())


def test_windows_are_at_least_six_seconds(tmp_path):
    async def run():
        async with platform_on(tmp_path, window=8.5) as (platform, fake):
            assert (await platform.capabilities()).min_keep_alive == 8.5
            await platform.apply("detect", CPU1, replicas=0, by=within())
            (revision,) = fake.objects[REVISIONS].values()
            assert revision["metadata"]["annotations"]["autoscaling.knative.dev/window"] == "8.5s"

    asyncio.run(run())
    with pytest.raises(InvalidInputError, match="window"):
        Knative(SERVICES_OF, Cluster(), window=5.9)


def test_a_request_is_held_until_an_instance_is_there(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            begun = time.monotonic()
            await fake.invoke("detect", 0.01)
            assert time.monotonic() - begun >= fake.cold_start

    asyncio.run(run())


def test_instances_serve_a_batch_at_a_time(tmp_path):
    """containerConcurrency is a hard limit of an instance."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU2, replicas=0, by=within())
            (revision,) = fake.objects[REVISIONS].values()
            assert revision["spec"]["containerConcurrency"] == 4

    asyncio.run(run())


def test_what_serves_stays(tmp_path):
    async def in_flight(function):
        return 1

    async def run():
        async with platform_on(tmp_path, in_flight=in_flight) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=2, by=within())
            warmth = await platform.retire("detect", replicas=0)
            assert "idle for 6 s" in warmth.detail
            seen = await platform.observe("detect")
            assert (seen.in_flight, least(fake, REVISIONS, traffic(fake)[0][0])) == (1, "1")

    asyncio.run(run())


def test_what_others_made_is_not_touched(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            fake.objects[KSVC]["detect"] = {"metadata": {"name": "detect", "labels": {}}, "spec": {}}
            with pytest.raises(PlatformError, match="without our label"):
                await platform.apply("detect", CPU1, replicas=1, by=within())
            assert not fake.sent

    asyncio.run(run())


def test_a_gpu_is_whole(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            warmth = await platform.apply("detect", Configuration("gpu", 0.5), replicas=1, by=within())
            assert warmth.outcome is Outcome.UNSUPPORTED
            assert not fake.sent
            whole = Configuration("gpu", 1.0)
            await platform.apply("detect", whole, replicas=1, by=within())
            assert (await platform.observe("detect")).configuration == whole

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(2))
def test_a_cluster_that_fails_now_and_then(tmp_path, seed):
    draw = random.Random(seed)

    async def run():
        async with platform_on(tmp_path, cluster={"read_timeout": 0.3}, version=(1, 21)) as (platform, fake):
            kinds = [
                passes,
                passes,
                passes,
                answers(429, {}, Retry_After="0"),
                answers(500),
                answers(409),
                resets,
                hangs,
            ]
            for configuration, replicas in ((CPU1, 1), (CPU2, 2), (CPU1, 2)):
                fake.faults = draw.choices(kinds, k=6)
                for _ in range(30):
                    call = platform.apply("detect", configuration, replicas=replicas, by=within(2.0))
                    (answer,) = await asyncio.gather(call, return_exceptions=True)
                    if isinstance(answer, BaseException):
                        assert isinstance(answer, PlatformError), answer
                        assert answer.retryable
                    elif answer.outcome is Outcome.READY:
                        break
                fake.faults = []
                seen = await platform.observe("detect")
                assert seen.configuration == configuration
                assert seen.wanted >= replicas

    asyncio.run(run())


def test_answers_of_other_shapes(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            mine = {"labels": {"app.kubernetes.io/managed-by": "smiless"}}
            for status in ({}, [], {"traffic": "all"}, {"traffic": [None, {"percent": 100}, {"revisionName": 3}]}):
                fake.faults = [answers(200, {"metadata": mine, "status": status})]
                assert (await platform.observe("detect")).configuration is None
            fake.faults = [
                answers(200, {"metadata": mine, "status": {"traffic": [{"revisionName": "r", "percent": 100}]}}),
                answers(200, {"metadata": {"annotations": []}, "spec": {"containers": 4}}),
                answers(200, {"status": {"actualScale": "many"}}),
            ]
            assert await platform.observe("detect") == (None, 0, 0, None)

    asyncio.run(run())


# --- manifests --------------------------------------------------------------------------------------------------------


def assignment(function, configuration, replicas=1):
    return Assignment(function, configuration, Readiness.ON_REQUEST, replicas, 1e-5, 0.1, 1.0, (), 1e-6)


SHOP = Application.chain("detect", "caption", sla=2.0)
PLANNED = (
    assignment("detect", Configuration("cpu", 0.25), 2),
    assignment("caption", Configuration("gpu", 1.0, batch=4), 0),
)


def test_manifest_is_pinned():
    text = manifest(SHOP, PLANNED, SERVICES_OF, namespace="shop", prefix="shop-", max_replicas=5)
    assert text == (GOLDEN / "knative.yaml").read_text()


def test_manifest_is_what_is_applied(tmp_path):
    async def run():
        async with platform_on(tmp_path, prefix="shop-") as (platform, fake):
            for each in PLANNED:
                await platform.apply(each.function, each.configuration, replicas=0, by=within())
            for body in yaml.safe_load_all(manifest(SHOP, PLANNED, SERVICES_OF, prefix="shop-")):
                assert fake.objects[KSVC][body["metadata"]["name"]]["spec"] == body["spec"]

    asyncio.run(run())


def test_manifest_refuses_what_cannot_be():
    with pytest.raises(InvalidInputError, match="detekt"):
        manifest(SHOP, [assignment("detekt", CPU1)], SERVICES_OF)
    with pytest.raises(InvalidInputError, match="service"):
        manifest(SHOP, [assignment("caption", CPU1)], {"detect": SERVICES_OF["detect"]})
    with pytest.raises(InvalidInputError, match="whole devices"):
        manifest(SHOP, [assignment("detect", Configuration("gpu", 0.5))], SERVICES_OF)
