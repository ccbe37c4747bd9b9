"""The adapter to plain Kubernetes, over real sockets against an API server of our own.

Each fact about the platform is one test; docs/platforms/kubernetes.md names where it comes from.
"""

import asyncio
import json
import pickle
import random
import ssl
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from fake_kubernetes import (
    DEPLOYMENTS,
    NAMESPACE,
    PODS,
    SERVICES,
    FakeKubernetes,
    answers,
    hangs,
    never_ends,
    passes,
    resets,
)
from smiless_core.adapters import ArrivalsSource, Arrived, Outcome, Service
from smiless_core.adapters.cluster import Cluster, Resource
from smiless_core.adapters.kubernetes import Kubernetes, manifest
from smiless_core.adapters.testing import CONTRACT
from smiless_core.errors import InvalidInputError, MissingExtraError, PlatformError
from smiless_core.model import Application, Assignment, Configuration, Readiness

pytestmark = pytest.mark.live

GOLDEN = Path(__file__).parent / "golden"
CPU1, CPU2 = Configuration("cpu", 1), Configuration("cpu", 2)
SERVICES_OF = {
    "detect": Service(image="registry.example/detect:1.4", ready="/healthz", environment={"MODEL": "m.onnx"}),
    "caption": Service(image="registry.example/caption:2", memory=512, secrets=("hub",), command=("serve", "--fast")),
}


@asynccontextmanager
async def platform_on(tmp_path, *, cluster=None, **options):
    """Yield an adapter on a server of its own, and that server."""
    own = ("prefix", "max_replicas", "resize", "gpu", "arrivals", "in_flight", "grace", "linger")
    given = {key: options.pop(key) for key in own if key in options}
    async with FakeKubernetes(**options) as fake:
        connection = Cluster(
            fake.kubeconfig(tmp_path / "config"), **{"read_timeout": 1.0, "resync": 0.2, **(cluster or {})}
        )
        platform = Kubernetes(SERVICES_OF, connection, **given)
        try:
            yield platform, fake
        finally:
            await platform.close()


def within(seconds=5.0):
    return time.time() + seconds


def deployment(fake, name="detect"):
    return fake.objects[DEPLOYMENTS][name]


def cpu_of(pod):
    return pod["spec"]["containers"][0]["resources"]["limits"]["cpu"]


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


ABLE = {"resizing": {}, "replacing": {"resize": False, "max_replicas": 3, "version": (1, 24)}}


@pytest.mark.parametrize("options", ABLE.values(), ids=ABLE)
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(check, options, tmp_path):
    async def run():
        async with platform_on(tmp_path, **options) as (platform, fake):
            await check(Harness(platform, fake))

    asyncio.run(run())


# --- facts about the platform -----------------------------------------------------------------------------------------


def test_unready_new_pods_do_not_take_over(tmp_path):
    """Rolling updates with maxUnavailable 0: requests are served throughout."""

    async def run():
        async with platform_on(tmp_path, resize=False, cold_start=0.3) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            change = asyncio.ensure_future(platform.apply("detect", CPU2, replicas=1, by=within()))
            served = set()
            while not change.done():
                served.add((await fake.invoke("detect", 0.01)).split(".")[0])
            assert served == {"detect"}
            assert (await change).outcome is Outcome.READY
            assert [cpu_of(each) for each in fake.pods_of("detect") if "deletionTimestamp" not in each["metadata"]] == [
                "2"
            ]

    asyncio.run(run())


def test_ready_pods_of_the_old_template_do_not_count(tmp_path):
    """`status.readyReplicas` counts the pods of all templates."""

    async def run():
        async with platform_on(tmp_path, resize=False) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=2, by=within())
            fake.cold_start = 60.0
            warmth = await platform.apply("detect", CPU2, replicas=2, by=within(0.5))
            assert deployment(fake)["status"]["readyReplicas"] == 2
            assert warmth == (Outcome.LATE, 0, "")
            assert (await platform.observe("detect")).ready == 0

    asyncio.run(run())


def test_a_status_of_before_is_not_believed(tmp_path):
    """`status.observedGeneration` tells what a status is about."""

    async def run():
        async with platform_on(tmp_path, resize=False) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            fake.lag = 60.0
            warmth = await platform.apply("detect", CPU2, replicas=1, by=within(0.3))
            assert deployment(fake)["status"]["updatedReplicas"] == 1
            assert warmth == (Outcome.LATE, 0, "")

    asyncio.run(run())


def test_a_busy_pod_finishes_within_its_grace(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=2, by=within())
            request = asyncio.ensure_future(fake.invoke("detect", 0.5))
            await asyncio.sleep(0.05)
            await platform.retire("detect", replicas=0)
            await request

    asyncio.run(run())


def test_without_grace_a_busy_pod_is_killed(tmp_path):
    """The other side does kill: that the test above passes is due to the grace."""

    async def run():
        async with platform_on(tmp_path, grace=0, linger=0) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            request = asyncio.ensure_future(fake.invoke("detect", 0.5))
            await asyncio.sleep(0.05)
            await platform.retire("detect", replicas=0)
            with pytest.raises(AssertionError, match="was killed"):
                await request

    asyncio.run(run())


@pytest.mark.parametrize(("version", "sleeps"), [((1, 29), False), ((1, 30), True)])
def test_pods_linger_where_they_can(tmp_path, version, sleeps):
    """`preStop.sleep` is on by default from 1.30; before that it is refused."""

    async def run():
        async with platform_on(tmp_path, version=version) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            one = deployment(fake)["spec"]["template"]["spec"]["containers"][0]
            assert ("lifecycle" in one) == sleeps

    asyncio.run(run())


def test_as_many_stay_as_there_are_requests(tmp_path):
    async def in_flight(function):
        return 2

    async def run():
        async with platform_on(tmp_path, in_flight=in_flight) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=3, by=within())
            warmth = await platform.retire("detect", replicas=0)
            assert deployment(fake)["spec"]["replicas"] == 2
            assert "2 requests" in warmth.detail
            assert (await platform.observe("detect")).in_flight == 2

    asyncio.run(run())


def test_a_gpu_is_whole(tmp_path):
    """Extended resources are whole numbers: `nvidia.com/gpu` of the device plugin."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            half = await platform.apply("detect", Configuration("gpu", 0.5), replicas=1, by=within())
            assert half.outcome is Outcome.UNSUPPORTED
            assert "whole devices" in half.detail
            assert not fake.sent
            whole = Configuration("gpu", 1.0, batch=4)
            assert (await platform.apply("detect", whole, replicas=1, by=within())).outcome is Outcome.READY
            assert (await platform.observe("detect")).configuration == whole
            limits = deployment(fake)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
            assert limits == {"nvidia.com/gpu": "1"}
        async with platform_on(tmp_path, gpu=False) as (platform, _):
            assert (await platform.apply("detect", whole, replicas=1, by=within())).outcome is Outcome.UNSUPPORTED
            assert not (await platform.capabilities()).gpu

    asyncio.run(run())


def test_a_quota_clamps(tmp_path):
    """A ReplicaFailure condition says that no more pods are made, and why."""

    async def run():
        async with platform_on(tmp_path, quota=2) as (platform, _):
            warmth = await platform.apply("detect", CPU1, replicas=3, by=within(0.8))
            assert warmth.outcome is Outcome.CLAMPED
            assert warmth.ready == 2
            assert "exceeded quota" in warmth.detail

    asyncio.run(run())


def test_what_others_change_is_seen(tmp_path):
    """Admission policies and people change resources: then what is deployed is not what was asked for."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU2, replicas=0, by=within())
            changed = json.loads(json.dumps(deployment(fake)))
            changed["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "500m"
            fake.put(DEPLOYMENTS, changed)
            assert (await platform.observe("detect")).configuration is None
            await platform.apply("detect", CPU2, replicas=0, by=within())
            assert (await platform.observe("detect")).configuration == CPU2

    asyncio.run(run())


def test_equal_quantities_are_equal(tmp_path):
    """The server may write 1 core as "1", "1000m" or "1.0"."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            for text in ("1000m", "1.0"):
                changed = json.loads(json.dumps(deployment(fake)))
                changed["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = text
                fake.put(DEPLOYMENTS, changed)
                assert (await platform.observe("detect")).configuration == CPU1

    asyncio.run(run())


def test_a_new_image_is_deployed_and_the_same_is_not(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            before = len(fake.sent)
            newer = {**SERVICES_OF, "detect": SERVICES_OF["detect"].replace(image="registry.example/detect:1.5")}
            other = Kubernetes(newer, Cluster(tmp_path / "config"))
            await other.apply("detect", CPU1, replicas=1, by=within())
            await other.close()
            assert len(fake.sent) > before
            images = {
                each["spec"]["containers"][0]["image"]
                for each in fake.pods_of("detect")
                if "deletionTimestamp" not in each["metadata"]
            }
            assert images == {"registry.example/detect:1.5"}

    asyncio.run(run())


def test_only_what_is_ours_is_touched(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            fake.put(
                DEPLOYMENTS, {"metadata": {"name": "detect", "labels": {}}, "spec": {"replicas": 0, "template": {}}}
            )
            for call in (
                platform.apply("detect", CPU1, replicas=1, by=within()),
                platform.warm("detect", replicas=1, by=within()),
                platform.observe("detect"),
            ):
                with pytest.raises(PlatformError, match="without our label") as caught:
                    await call
                assert not caught.value.retryable
            assert not fake.sent

    asyncio.run(run())


def test_fields_of_others_stay(tmp_path):
    """Server-side apply: what another field manager has set and we do not name is left alone."""

    async def run():
        async with platform_on(tmp_path, resize=False) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            fake.handle(
                "PATCH",
                "apis/apps/v1/namespaces/default/deployments/detect",
                {"fieldManager": "kubectl"},
                {"metadata": {"annotations": {"team": "vision"}}},
                "application/merge-patch+json",
            )
            await platform.apply("detect", CPU2, replicas=0, by=within())
            annotations = deployment(fake)["metadata"]["annotations"]
            assert annotations["team"] == "vision"
            assert json.loads(annotations["smiless.dev/configuration"])["size"] == 2.0

    asyncio.run(run())


def test_replicas_survive_a_change_after_a_scale(tmp_path):
    """A field that was set through the scale subresource belongs to it: an apply without it must not reset it to 1."""

    async def run():
        async with platform_on(tmp_path, resize=False) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            await platform.warm("detect", replicas=2, by=within())
            await platform.apply("detect", CPU2, replicas=3, by=within())
            assert deployment(fake)["spec"]["replicas"] == 3
            await platform.apply("detect", CPU1, replicas=0, by=within())
            assert deployment(fake)["spec"]["replicas"] == 0

    asyncio.run(run())


def test_conflicts_are_looked_at_again(tmp_path):
    """409: someone has changed the object since it was read."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=0, by=within())
            busy = [True] * 3

            async def meddle(request):
                if request.method == "PATCH" and busy:
                    busy.pop()
                    changed = json.loads(json.dumps(deployment(fake)))
                    changed["metadata"]["labels"]["touched"] = str(len(busy))
                    fake.put(DEPLOYMENTS, changed)

            fake.faults = [meddle] * 40
            assert (await platform.warm("detect", replicas=1, by=within())).outcome is Outcome.READY
            assert not busy

    asyncio.run(run())


def test_names_of_objects(tmp_path):
    async def run():
        async with platform_on(tmp_path, prefix="shop-") as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            assert list(fake.objects[DEPLOYMENTS]) == list(fake.objects[SERVICES]) == ["shop-detect"]

    asyncio.run(run())
    for services, prefix in (
        ({"detect": Service(image="i")}, "Shop-"),
        ({"d" * 64: Service(image="i")}, ""),
        ({"1a": Service(image="i")}, ""),
        ({"detect": Service(command=("serve",))}, ""),
    ):
        with pytest.raises(InvalidInputError):
            Kubernetes(services, Cluster(), prefix=prefix)


def test_arrivals_come_from_a_source(tmp_path):
    class Source:
        async def arrivals(self, function, *, since):
            return Arrived((1.0, 2.0), f"{function}{since}")

    async def run():
        async with platform_on(tmp_path, arrivals=Source()) as (platform, _):
            assert (await platform.capabilities()).arrivals_source is ArrivalsSource.COUNTED
            assert await platform.arrivals("detect", since="7") == ((1.0, 2.0), "detect7", 0)
        async with platform_on(tmp_path) as (platform, _):
            assert (await platform.capabilities()).arrivals_source is ArrivalsSource.NONE
            assert await platform.arrivals("detect", since="7") == ((), "7", 0)

    asyncio.run(run())


# --- other cores for what runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("resize", [True, False])
def test_running_pods_are_resized_where_that_can_be(tmp_path, resize):
    """The `pods/resize` subresource: on by default from 1.33, listed in discovery where it is on."""

    async def run():
        async with FakeKubernetes(resize=resize) as fake:
            platform = Kubernetes(SERVICES_OF, Cluster(fake.kubeconfig(tmp_path / "config"), resync=0.2))
            assert (await platform.capabilities()).in_place_resize == resize
            await platform.apply("caption", CPU1, replicas=2, by=within())
            before = {each["metadata"]["name"] for each in fake.pods_of("caption")}
            assert (await platform.apply("caption", CPU2, replicas=2, by=within())).outcome is Outcome.READY
            pods = [each for each in fake.pods_of("caption") if "deletionTimestamp" not in each["metadata"]]
            assert {cpu_of(each) for each in pods} == {"2"}
            assert ({each["metadata"]["name"] for each in pods} == before) == resize
            assert (await platform.observe("caption")).configuration == CPU2
            sent = len(fake.sent)
            await platform.apply("caption", CPU2, replicas=2, by=within())
            assert len(fake.sent) == sent
            await platform.close()

    asyncio.run(run())


def test_pods_that_come_later_are_resized_too(tmp_path):
    """The template keeps its cores, for changing it would replace all pods."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            await platform.apply("detect", CPU2, replicas=1, by=within())
            assert (await platform.warm("detect", replicas=3, by=within())).outcome is Outcome.READY
            assert [cpu_of(each) for each in fake.pods_of("detect")] == ["2"] * 3
            assert cpu_of({"spec": deployment(fake)["spec"]["template"]["spec"]}) == "1"
            # And back: the template has them already.
            await platform.apply("detect", CPU1, replicas=1, by=within())
            assert [cpu_of(each) for each in fake.pods_of("detect")] == ["1"] * 3

    asyncio.run(run())


def test_the_template_follows_once_nothing_runs(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            await platform.apply("detect", CPU2, replicas=1, by=within())
            await platform.retire("detect", replicas=0)
            await asyncio.sleep(0.3)
            await platform.warm("detect", replicas=1, by=within())
            assert cpu_of({"spec": deployment(fake)["spec"]["template"]["spec"]}) == "2"
            assert [cpu_of(each) for each in fake.pods_of("detect")] == ["2"]

    asyncio.run(run())


def test_what_a_node_has_not_is_found_elsewhere(tmp_path):
    """An Infeasible resize stays pending for ever: pods are replaced instead."""

    async def run():
        async with platform_on(tmp_path, node_cores=1.5) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            before = {each["metadata"]["name"] for each in fake.pods_of("detect")}
            warmth = await platform.apply("detect", CPU2, replicas=1, by=within())
            assert warmth.outcome is Outcome.READY
            after = {
                each["metadata"]["name"]
                for each in fake.pods_of("detect")
                if "deletionTimestamp" not in each["metadata"]
            }
            assert not before & after

    asyncio.run(run())


def test_another_batch_is_not_a_resize(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            await platform.apply("detect", Configuration("cpu", 2, batch=8), replicas=1, by=within())
            assert not [each for each in fake.sent if each[0] == "resize"]

    asyncio.run(run())


# --- watches ----------------------------------------------------------------------------------------------------------


def test_a_watch_tells_sooner_than_looking(tmp_path):
    async def run():
        async with platform_on(tmp_path, cluster={"resync": 30.0, "read_timeout": 20.0}) as (platform, _):
            begun = time.monotonic()
            assert (await platform.apply("detect", CPU1, replicas=1, by=within(20.0))).outcome is Outcome.READY
            assert time.monotonic() - begun < 5.0

    asyncio.run(run())


@pytest.mark.parametrize("trouble", ["idle", "dropped", "forgotten", "short", "refused", "garbage"])
def test_watches_are_hints(tmp_path, trouble):
    """Watches that say nothing, break off, expire (410) or end: one looks now and then in any case."""

    async def run():
        cluster = {"watch_timeout": 1.0} if trouble == "short" else {}
        async with platform_on(tmp_path, cold_start=0.5, cluster=cluster) as (platform, fake):
            fake.idle_watches, fake.dropped_watches = trouble == "idle", trouble == "dropped"

            async def break_watches(request):
                if request.query.get("watch") == "true" and trouble == "refused":
                    return await answers(503)(request)
                if request.query.get("watch") == "true" and trouble == "garbage":
                    return await answers(200, "not json\n")(request)
                return None

            fake.faults = [break_watches] * 500

            async def forget():
                while trouble == "forgotten":
                    await asyncio.sleep(0.05)
                    fake.forget()

            forgetting = asyncio.ensure_future(forget())
            warmth = await platform.apply("detect", CPU1, replicas=1, by=within())
            forgetting.cancel()
            assert warmth.outcome is Outcome.READY
            watches = [each for each in fake.queries if each.get("watch")]
            assert len(watches) < 20
            if trouble == "forgotten":  # it begins anew, with what is there
                assert not any(each.get("resourceVersion") for each in watches[1:2])

    asyncio.run(run())


def test_what_a_watch_asks_for(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.apply("detect", CPU1, replicas=1, by=within())
            (query, *_) = [each for each in fake.queries if each.get("watch")]
            assert 60 <= int(query["timeoutSeconds"]) <= 300
            assert query["allowWatchBookmarks"] == "true"
            assert query["fieldSelector"] == "metadata.name=detect"
            assert "resourceVersion" not in query

    asyncio.run(run())


# --- failures ---------------------------------------------------------------------------------------------------------

FAILURES = [
    pytest.param(answers(403, {"message": "no"}), False, None, "no (403)", id="403"),
    pytest.param(answers(409, {"message": "busy"}), True, None, "busy", id="409"),
    pytest.param(answers(410, {"message": "gone"}), True, None, "gone", id="410"),
    pytest.param(answers(422, {"message": "cpu: must be more"}), False, None, "cpu: must be more", id="422"),
    pytest.param(answers(429, {}, Retry_After="7"), True, 7.0, "429", id="429"),
    pytest.param(answers(503, "<html>", Retry_After="soon"), True, None, "503", id="503"),
    pytest.param(answers(500, {"message": "x" * 5000}), True, None, "xxx", id="long"),
    pytest.param(answers(200, "[1, 2"), True, None, "not JSON", id="broken"),
    pytest.param(answers(200, "[1, 2]"), True, None, "expected an object", id="no-object"),
    pytest.param(answers(200, "[" * 100000), True, None, "not JSON", id="deep"),
    pytest.param(answers(302, "", Location="http://127.0.0.1:9/steal"), False, None, "redirects", id="redirect"),
    pytest.param(resets, True, None, "", id="reset"),
    pytest.param(hangs, True, None, "no answer in time", id="slow"),
    pytest.param(never_ends, True, None, "more than", id="endless"),
]


@pytest.mark.parametrize(("fault", "retryable", "after", "text"), FAILURES)
def test_failures_are_told_in_one_line(tmp_path, fault, retryable, after, text):
    async def run():
        async with platform_on(tmp_path, cluster={"read_timeout": 0.3}) as (platform, fake):
            await platform.capabilities()
            # On a connection that is used again, aiohttp itself tries a GET once more.
            fake.faults = [fault] * (2 if fault is resets else 1)
            # Only what is read may be answered by 404, and only what names a version by 409.
            call = platform.observe("detect")
            if text in ("busy", "gone"):
                call.close()
                call = platform._cluster.apply(Resource(*DEPLOYMENTS), {"metadata": {"name": "detect"}})
            with pytest.raises(PlatformError) as caught:
                await call
            error = caught.value
            assert (error.retryable, error.retry_after) == (retryable, after)
            assert text in str(error)
            assert "detect" in error.doing
            assert "\n" not in str(error)
            assert len(str(error)) < 500
            assert fake.token not in str(error)
            assert str(pickle.loads(pickle.dumps(error))) == str(error)
            # And the next call is answered.
            assert (await platform.observe("detect")).configuration is None

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(2))
def test_a_cluster_that_fails_now_and_then(tmp_path, seed):
    """Whatever fails: errors are ours, and calling again gets there."""
    draw = random.Random(seed)

    async def run():
        async with platform_on(tmp_path, cluster={"read_timeout": 0.3}) as (platform, fake):
            kinds = [
                passes,
                passes,
                passes,
                answers(429, {}, Retry_After="0"),
                answers(500),
                resets,
                hangs,
                answers(200, "?"),
            ]
            for configuration, replicas in ((CPU1, 1), (CPU2, 2), (CPU1, 3)):
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
                assert (seen.configuration, seen.wanted) == (configuration, replicas)

    asyncio.run(run())


def test_answers_of_other_shapes(tmp_path):
    """Nothing in an object can be relied on."""

    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            for body in (
                {},
                {"metadata": 1},
                {"metadata": {"labels": {"app.kubernetes.io/managed-by": "smiless"}}, "spec": [], "status": "fine"},
                {
                    "metadata": {
                        "labels": {"app.kubernetes.io/managed-by": "smiless"},
                        "annotations": {"smiless.dev/configuration": '{"hardware": "tpu"}'},
                    },
                    "spec": {"replicas": -3, "template": {"spec": {"containers": [None, {"name": 5}]}}},
                    "status": {"conditions": [None, "x"], "readyReplicas": True},
                },
            ):
                fake.faults = [answers(200, body)]
                try:
                    seen = await platform.observe("detect")
                except PlatformError:
                    continue
                assert seen == (None, 0, 0, None)

    asyncio.run(run())


def test_lists_are_read_in_parts_and_again_when_they_expire(tmp_path):
    async def run():
        async with FakeKubernetes(lag=60.0) as fake:
            cluster = Cluster(fake.kubeconfig(tmp_path / "config"))
            for k in range(120):
                fake.put(PODS, {"metadata": {"name": f"p.{k:03}", "labels": {"a": "b"}}, "spec": {}, "status": {}})
            fake.put(PODS, {"metadata": {"name": "other.1", "labels": {}}, "spec": {}, "status": {}})

            async def forget(request):
                fake.forget()

            fake.faults = [passes, forget]
            assert len(await cluster.list(Resource(*PODS), "a=b")) == 120
            lists = [each for each in fake.queries if each.get("limit")]
            assert len(lists) == 5
            await cluster.close()

    asyncio.run(run())


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder


def test_certificates_are_verified(tmp_path, certificate):
    async def run():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        fake = await FakeKubernetes().start(context)
        try:
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes that fail on the other side
            stranger = Cluster(fake.kubeconfig(tmp_path / "config"))
            with pytest.raises(PlatformError, match="certificate is not trusted") as caught:
                await stranger.version()
            assert not caught.value.retryable
            assert not fake.requests
            await stranger.close()
            known = Cluster(fake.kubeconfig(tmp_path / "config", authority=str(certificate / "cert.pem")))
            assert await known.version() == (1, 33)
            await known.close()
        finally:
            await fake.stop()

    asyncio.run(run())


def test_credentials_of_the_pod(tmp_path, certificate, monkeypatch):
    """In a cluster: a token that is changed from time to time, an authority and a namespace, as files."""

    async def run():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        fake = await FakeKubernetes().start(context)
        try:
            (tmp_path / "token").write_text(fake.token)
            (tmp_path / "namespace").write_text(NAMESPACE)
            in_cluster = "kubernetes.aio.config.incluster_config"
            monkeypatch.setattr(f"{in_cluster}.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
            monkeypatch.setattr(f"{in_cluster}.SERVICE_CERT_FILENAME", str(certificate / "cert.pem"))
            monkeypatch.setattr("smiless_core.adapters.cluster._NAMESPACE_FILE", str(tmp_path / "namespace"))
            monkeypatch.setenv("KUBECONFIG", str(tmp_path / "there-is-none"))
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", fake.url.rsplit(":", 1)[1])
            platform = Kubernetes(SERVICES_OF, Cluster())
            assert (await platform.observe("detect")).configuration is None
            # A token that is refused is read again.
            fake.token = "another-token"
            (tmp_path / "token").write_text(fake.token)
            with pytest.raises(PlatformError, match="401"):
                await platform.observe("detect")
            assert (await platform.observe("detect")).configuration is None
            await platform.close()
        finally:
            await fake.stop()

    asyncio.run(run())


def test_without_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes.aio", None)
    with pytest.raises(MissingExtraError, match=r"smiless-core\[kubernetes\]"):
        asyncio.run(Cluster().version())


def test_a_new_token_is_read_after_a_refusal(tmp_path):
    async def run():
        async with platform_on(tmp_path) as (platform, fake):
            await platform.observe("detect")
            fake.token = "another-token"
            with pytest.raises(PlatformError, match="401") as caught:
                await platform.observe("detect")
            assert caught.value.retryable
            fake.kubeconfig(tmp_path / "config")
            assert (await platform.observe("detect")).configuration is None

    asyncio.run(run())


def test_secrets_are_not_told(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("users: [{name: me, user: {token: a-token-that-is-secret}}\n")

    async def run(path):
        cluster = Cluster(path)
        assert "a-token" not in repr(cluster)
        with pytest.raises(InvalidInputError) as caught:
            await cluster.version()
        assert "a-token" not in str(caught.value)
        assert str(path) in str(caught.value)

    asyncio.run(run(broken))
    asyncio.run(run(tmp_path / "there-is-none"))


def test_a_server_that_is_not_there(tmp_path):
    async def run():
        async with FakeKubernetes() as fake:
            path = fake.kubeconfig(tmp_path / "config")
        cluster = Cluster(path)
        with pytest.raises(PlatformError) as caught:
            await cluster.version()
        assert caught.value.retryable
        await cluster.close()

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
    text = manifest(SHOP, PLANNED, SERVICES_OF, namespace="shop", prefix="shop-")
    assert text == (GOLDEN / "kubernetes.yaml").read_text()


def test_manifest_is_what_is_applied(tmp_path):
    async def run():
        async with platform_on(tmp_path, prefix="shop-") as (platform, fake):
            for each in PLANNED:
                await platform.apply(each.function, each.configuration, replicas=each.replicas, by=within())
            for body in yaml.safe_load_all(manifest(SHOP, PLANNED, SERVICES_OF, prefix="shop-")):
                key = DEPLOYMENTS if body["kind"] == "Deployment" else SERVICES
                there = fake.objects[key][body["metadata"]["name"]]
                assert there["spec"] == body["spec"]
                assert (
                    there["metadata"]["annotations"] == body["metadata"]["annotations"] if key is DEPLOYMENTS else True
                )

    asyncio.run(run())


def test_manifest_refuses_what_cannot_be():
    with pytest.raises(InvalidInputError, match="detekt"):
        manifest(SHOP, [assignment("detekt", CPU1)], SERVICES_OF)
    with pytest.raises(InvalidInputError, match="service"):
        manifest(SHOP, [assignment("caption", CPU1)], {"detect": SERVICES_OF["detect"]})
    with pytest.raises(InvalidInputError, match="whole devices"):
        manifest(SHOP, [assignment("detect", Configuration("gpu", 0.5))], SERVICES_OF)


def test_ascending(tmp_path):
    """More cores are never written as fewer."""
    from smiless_core.adapters.workloads import cores

    written = [cores(Configuration("cpu", k / 16)) for k in range(1, 129)]
    amounts = [float(each[:-1]) / 1000 if each.endswith("m") else float(each) for each in written]
    assert all(a < b for a, b in pairwise(amounts))
    assert all(amount >= (k + 1) / 16 for k, amount in enumerate(amounts))
