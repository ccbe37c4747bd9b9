"""The contract on a live platform of yours: ``pytest -m cluster``, with these in the environment.

============================  ======================================================================================
SMILESS_TEST_GATEWAY          the address of an OpenFaaS gateway; SMILESS_TEST_PASSWORD_FILE its password
SMILESS_TEST_PROMETHEUS       the address of the Prometheus that scrapes it
SMILESS_TEST_KUBECONFIG       a kubeconfig, for plain Kubernetes; SMILESS_TEST_NAMESPACE a namespace in it
SMILESS_TEST_IMAGE            what functions run: a server on port 8080 that answers after a second
SMILESS_TEST_PATIENCE         seconds within which it is ready; 120 by default
============================  ======================================================================================

Names begin with ``smiless-test-`` and something random. What was made under them is removed in the end, and nothing
else is touched. On Kubernetes nothing can be sent to functions from outside, so checks that need requests are left out.
"""

import asyncio
import contextlib
import os
import secrets
import time
from pathlib import Path

import pytest

from fake_gateway import FakeGateway
from fake_kubernetes import DEPLOYMENTS, SERVICES, FakeKubernetes
from smiless_core.adapters import Service
from smiless_core.adapters.cluster import Cluster, Resource
from smiless_core.adapters.kubernetes import Kubernetes
from smiless_core.adapters.openfaas import OpenFaaS
from smiless_core.adapters.testing import CONTRACT
from smiless_core.adapters.web import Site
from smiless_core.model import Configuration

FUNCTIONS = ("detect", "caption")
WITH_REQUESTS = {"what_serves_is_not_let_go", "another_configuration_takes_over", "arrivals_are_told_once"}
MADE = (Resource("apis/apps/v1", "deployments"), Resource("api/v1", "services"))


class Harness:
    """A live platform; what is sent to it is not counted."""

    functions = FUNCTIONS
    configurations = (Configuration("cpu", 0.25), Configuration("cpu", 0.5))

    def __init__(self, platform, patience, invoke=None):
        self.platform, self.patience, self.invoke = platform, patience, invoke

    def now(self):
        return time.time()

    def changes(self):
        return 0


def services(image):
    return {name: Service(image=image) for name in FUNCTIONS}


@contextlib.asynccontextmanager
async def on_gateway(url, *, prometheus, image, patience, password_file=None):
    """A harness for a gateway; its functions are removed in the end."""
    prefix = f"smiless-test-{secrets.token_hex(4)}-"
    site = Site(url, platform="openfaas", now=time.time, user="admin", password_file=password_file)
    platform = OpenFaaS(url, services(image), prefix=prefix, password_file=password_file, prometheus=prometheus)

    async def invoke(function):
        await site.call("POST", f"/function/{prefix}{function}", doing="invoke", accepted=(200, 202))

    try:
        yield Harness(platform, patience, invoke)
    finally:
        for name in FUNCTIONS:
            body = {"functionName": f"{prefix}{name}"}
            await site.call("DELETE", "/system/functions", doing="remove", body=body, accepted=(200, 202, 404))
        await platform.close()
        await site.close()


@contextlib.asynccontextmanager
async def on_cluster(kubeconfig, *, image, patience, namespace=None):
    """A harness for a cluster; its Deployments and Services are removed in the end."""
    prefix = f"smiless-test-{secrets.token_hex(4)}-"
    platform = Kubernetes(services(image), Cluster(kubeconfig, namespace=namespace), prefix=prefix)
    removing = Cluster(kubeconfig, namespace=namespace)
    try:
        yield Harness(platform, patience)
    finally:
        for resource in MADE:
            for name in FUNCTIONS:
                await removing.delete(resource, f"{prefix}{name}")
        await platform.close()
        await removing.close()


def settings(name):
    """Return what the environment says, or skip: these run where somebody has a cluster to spare."""
    for each in (name, "SMILESS_TEST_IMAGE"):
        if not os.environ.get(each):
            pytest.skip(f"{each} names none")
    return {"image": os.environ["SMILESS_TEST_IMAGE"], "patience": float(os.environ.get("SMILESS_TEST_PATIENCE", 120))}


async def checked(check, made):
    async with made as harness:
        await check(harness)


@pytest.mark.cluster
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_a_live_gateway(check):
    given = settings("SMILESS_TEST_GATEWAY")
    password = os.environ.get("SMILESS_TEST_PASSWORD_FILE")
    prometheus = os.environ.get("SMILESS_TEST_PROMETHEUS")
    made = on_gateway(os.environ["SMILESS_TEST_GATEWAY"], prometheus=prometheus, password_file=password, **given)
    asyncio.run(checked(check, made))


@pytest.mark.cluster
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "check", [each for each in CONTRACT if each.__name__ not in WITH_REQUESTS], ids=lambda check: check.__name__
)
def test_a_live_cluster(check):
    given = settings("SMILESS_TEST_KUBECONFIG")
    namespace = os.environ.get("SMILESS_TEST_NAMESPACE")
    made = on_cluster(os.environ["SMILESS_TEST_KUBECONFIG"], namespace=namespace, **given)
    asyncio.run(checked(check, made))


# --- that these tests would do what they say --------------------------------------------------------------------------


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_nothing_is_left_on_a_gateway(check):
    async def run():
        async with FakeGateway() as fake:
            await checked(check, on_gateway(fake.url, prometheus=fake.url, image="example/image:1", patience=5.0))
            return fake.functions, [body.get("service", "smiless-test-") for _, _, body in fake.bodies]

    left, touched = asyncio.run(run())
    assert left == {}
    assert all(name.startswith("smiless-test-") for name in touched)


@pytest.mark.parametrize("check", CONTRACT[:4], ids=lambda check: check.__name__)
def test_nothing_is_left_on_a_cluster(check, tmp_path: Path):
    async def run():
        async with FakeKubernetes() as fake:
            made = on_cluster(fake.kubeconfig(tmp_path / "config"), image="registry.example/image:1", patience=5.0)
            await checked(check, made)
            return {kind: dict(fake.objects[kind]) for kind in (DEPLOYMENTS, SERVICES)}

    left = asyncio.run(run())
    assert left == {DEPLOYMENTS: {}, SERVICES: {}}


def test_names_of_platforms_are_needed(monkeypatch):
    for name in ("SMILESS_TEST_GATEWAY", "SMILESS_TEST_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pytest.skip.Exception, match="SMILESS_TEST_GATEWAY names none"):
        settings("SMILESS_TEST_GATEWAY")
