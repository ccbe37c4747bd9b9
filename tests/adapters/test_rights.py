"""The manifests of the controller: it may do what it uses and nothing else, and runs with as little as can be."""

import asyncio
import time
from pathlib import Path

import pytest
import typer
import yaml

from fake_knative import FakeKnative
from fake_kubernetes import FakeKubernetes
from smiless_core.adapters import Outcome, Service
from smiless_core.adapters.cluster import Cluster
from smiless_core.adapters.knative import Knative
from smiless_core.adapters.kubernetes import Kubernetes
from smiless_core.adapters.lease import KubernetesLease
from smiless_core.cli.commands import smiless
from smiless_core.errors import PlatformError
from smiless_core.model import Configuration

pytestmark = pytest.mark.repository

DEPLOY = Path(__file__).parents[2] / "deploy"
LEASE = "smiless-controller"


def documents(name):
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))


def of_kind(kind, name):
    (found,) = [each for each in documents(name) if each["kind"] == kind]
    return found


def allowed(name):
    rules = of_kind("Role", name)["rules"]
    return {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


async def run_all(platform, cluster):
    """Do everything that a controller does."""
    lease = KubernetesLease(cluster, LEASE, seconds=1, leeway=0.1)
    assert await lease.hold()
    await asyncio.sleep(0.3)
    assert await lease.hold()
    await platform.capabilities()
    for cores, replicas in ((1, 1), (2, 2), (3, 0), (4, 1), (5, 0), (6, 0)):
        warmth = await platform.apply("detect", Configuration("cpu", cores), replicas=replicas, by=time.time() + 5.0)
        assert warmth.outcome is Outcome.READY
    assert (await platform.warm("detect", replicas=2, by=time.time() + 5.0)).outcome is Outcome.READY
    await platform.retire("detect", replicas=0)
    await platform.observe("detect")
    await lease.release()
    await platform.close()


@pytest.mark.parametrize("short", [False, True], ids=["enough", "too-little"])
@pytest.mark.parametrize("kind", ["kubernetes", "knative"])
def test_the_role_is_what_is_used(kind, short, tmp_path):
    role = allowed(f"rbac-{kind}.yaml")
    used = set()
    services = {"detect": Service(image="registry.example/detect:1")}

    async def run(fake, version):
        fake.allowed = (
            role - {("watch", "apps", "deployments"), ("get", "serving.knative.dev", "revisions")} if short else role
        )
        async with fake:
            cluster = Cluster(fake.kubeconfig(tmp_path / "config"), resync=0.2)
            if kind == "kubernetes":
                platform = Kubernetes(services, cluster)
            else:
                platform = Knative(services, cluster, version=version, variants=2)
            try:
                await run_all(platform, cluster)
            finally:
                await cluster.close()
        used.update(fake.used)

    if kind == "kubernetes":
        # A watch that is refused is only a hint less.
        asyncio.run(run(FakeKubernetes(), None))
    elif short:
        with pytest.raises(PlatformError, match="403"):
            asyncio.run(run(FakeKnative(), (1, 21)))
        return
    else:
        asyncio.run(run(FakeKnative(serving=(1, 20)), (1, 20)))
        asyncio.run(run(FakeKnative(serving=(1, 21)), (1, 21)))
    assert used == role


@pytest.mark.parametrize("name", ["rbac-kubernetes.yaml", "rbac-knative.yaml"])
def test_roles_are_bound_and_name_what_they_can(name):
    binding, account = of_kind("RoleBinding", name), of_kind("ServiceAccount", name)["metadata"]["name"]
    assert binding["roleRef"]["name"] == of_kind("Role", name)["metadata"]["name"]
    assert [each["name"] for each in binding["subjects"]] == [account]
    assert of_kind("Deployment", "controller.yaml")["spec"]["template"]["spec"]["serviceAccountName"] == account
    text = (DEPLOY / "kubernetes" / name).read_text()
    assert "*" not in text
    assert "ClusterRole\n" not in text
    for rule in of_kind("Role", name)["rules"]:
        if "leases" in rule["resources"] and "create" not in rule["verbs"]:
            assert rule["resourceNames"] == [LEASE]


def test_the_controller_is_given_what_it_takes():
    """Each argument is an option of `smiless control`."""
    (container,) = of_kind("Deployment", "controller.yaml")["spec"]["template"]["spec"]["containers"]
    control = typer.main.get_command(smiless).commands["control"]
    name, _, *given = container["args"]
    known = {each for parameter in control.params for each in parameter.opts}
    assert name == "control"
    assert {each.partition("=")[0] for each in given} <= known
    required = {each.opts[0] for each in control.params if each.required and each.opts[0].startswith("--")}
    assert required <= {each.partition("=")[0] for each in given}


def test_the_controller_runs_with_little():
    pod = of_kind("Deployment", "controller.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert f"--lease={LEASE}" in container["args"]
    mounted = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    state = next(each for each in container["args"] if each.startswith("--state="))
    assert str(Path(state.removeprefix("--state=")).parent) in mounted
    user = str(pod["securityContext"]["runAsUser"])
    assert f"USER {user}" in (DEPLOY / "Dockerfile").read_text()
