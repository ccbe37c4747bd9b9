"""The command that runs a policy on a platform."""

import asyncio
import contextlib
import io
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any

import typer

from smiless_core.cli.exit_codes import ExitCode
from smiless_core.cli.loading import limits_of, problem_of
from smiless_core.cli.options import App, MaxReplicas, MinKeepAlive, MinReplicas, ProfilesFile, Sla, Target, seconds
from smiless_core.cli.printing import print_result

__all__ = ["control"]


class PlatformName(Enum):
    """Where functions run."""

    LOCAL = "local"
    OPENFAAS = "openfaas"
    KUBERNETES = "kubernetes"
    KNATIVE = "knative"


def control(
    app: App,
    platform: Annotated[PlatformName, typer.Option(show_default=False, help="Where its functions run.")],
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Of the gateway (openfaas) or the node (local). Clusters are found as kubectl finds them.",
        ),
    ] = None,
    services: Annotated[
        str | None, typer.Option(metavar="FILE", help="What the functions are there: images, ports, environments.")
    ] = None,
    profiles: ProfilesFile = None,
    policy: Annotated[str, typer.Option(metavar="NAME", help="What decides: as for 'smiless simulate'.")] = "smiless",
    sla: Sla = None,
    target: Target = None,
    namespace: Annotated[str | None, typer.Option(metavar="NAME", help="Of a cluster, or of OpenFaaS.")] = None,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Where invocations are counted, on clusters and OpenFaaS.")
    ] = None,
    counter: Annotated[
        str | None,
        typer.Option(
            metavar="SELECTOR",
            help="The counter of invocations on plain Kubernetes, with the function in it:"
            " requests_total{service='{function}'}.",
        ),
    ] = None,
    user: Annotated[str, typer.Option(metavar="NAME", help="Of the OpenFaaS gateway.")] = "admin",
    password_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Its password; by default what the environment variable OPENFAAS_PASSWORD holds. It is on no command"
            " line and in no log.",
        ),
    ] = None,
    ca_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Certificates to trust, besides those of the system.")
    ] = None,
    state: Annotated[
        str, typer.Option(metavar="FILE", help="Where arrivals and the schedule are kept for a restart.")
    ] = "smiless-state.db",
    lease: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Act only while it is held: of the lease in the cluster, or of a file elsewhere. For two controllers.",
        ),
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to answer /metrics and /healthz.")
    ] = None,
    stale: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=seconds,
            help="It stops acting if it could not read arrivals for so long, and leaves the platform to itself.",
        ),
    ] = 30.0,
    lasting: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", parser=seconds, help="By default until it is interrupted."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what it would do beside what is there, and end.")
    ] = False,
    min_replicas: MinReplicas = None,
    max_replicas: MaxReplicas = None,
    min_keep_alive: MinKeepAlive = None,
) -> int:
    """Run a policy on a platform.

    It observes invocations, forecasts, plans, and starts and retires instances in time. Decisions and actions are
    lines of JSON on standard error. When it ends, however it ends, what runs is left to the platform; nothing is let
    go.
    """
    from smiless_core.cli.policies import choose
    from smiless_core.controller.running import control as controlled

    problem, _ = problem_of(app, profiles, limits=limits_of(min_replicas, max_replicas, min_keep_alive, False))
    changes: dict[str, Any] = {"sla": sla, "attainment_target": target}
    changes = {name: value for name, value in changes.items() if value is not None}
    problem = problem.replace(application=problem.application.replace(**changes)) if changes else problem
    (chosen,) = choose([policy])
    would = _DryRun(problem.application.names)

    async def run() -> None:
        from smiless_core.cli.platforms import lease_of, platform_of

        there = platform_of(
            platform.value,
            problem.application,
            address=address,
            services=services,
            namespace=namespace,
            prometheus=prometheus,
            counter=counter,
            user=user,
            password_file=password_file,
            ca_file=ca_file,
        )
        lasts = 3.0 if dry_run and lasting is None else lasting
        running = asyncio.current_task()
        assert running is not None
        terminated = asyncio.Event()

        def terminate() -> None:
            terminated.set()
            running.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        with _ending(terminated), tempfile.TemporaryDirectory() as scratch:
            await controlled(
                problem,
                chosen.policy,
                there,
                state=os.path.join(scratch, "state") if dry_run else state,
                lease=None if lease is None or dry_run else lease_of(platform.value, lease, namespace=namespace),
                log=would if dry_run else sys.stderr,
                status=status,
                stale=stale,
                dry_run=dry_run,
                until=math.inf if lasts is None else time.time() + lasts,
            )

    asyncio.run(run())
    if dry_run:
        print_result(would.page())
    return ExitCode.DONE


@contextlib.contextmanager
def _ending(terminated: asyncio.Event) -> Iterator[None]:
    """Take a termination for an end like any other; an interrupt is the caller's."""
    try:
        yield
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise


class _DryRun(io.StringIO):
    """Takes what a dry run tells, and makes a page of it."""

    def __init__(self, functions: tuple[str, ...]) -> None:
        super().__init__()
        self._functions = functions
        self._would: dict[str, dict[str, Any]] = {}
        self._decided: dict[str, Any] = {}
        self._errors: list[str] = []

    def write(self, line: str) -> int:
        """Take a line of JSON."""
        told = json.loads(line)
        if told["event"] == "would":
            self._would.setdefault(told["function"], told)
        elif told["event"] == "decision":
            self._decided |= told["functions"]
        elif told["event"] in ("platform_error", "policy_error"):
            self._errors.append(told["error"])
        return len(line)

    def page(self) -> str:
        """Return what would be done beside what is there."""
        from smiless_core.solver.formatting import fitting_width, table

        rows = []
        for name in self._functions:
            plan, would = self._decided.get(name), self._would.get(name)
            seen = would["seen"] if would else {}
            rows.append(
                (
                    name,
                    plan["configuration"] if plan else "nothing decided",
                    plan["readiness"] if plan else "",
                    f"{seen['ready']} on {seen['configuration'] or 'nothing'}" if seen else "as it should be",
                    f"{would['action']}, {would['replicas']} instance{'s' * (would['replicas'] != 1)}"
                    if would
                    else "nothing",
                )
            )
        page = table(("function", "plan", "readiness", "there now", "would send"), rows, width=fitting_width(None))
        return "\n".join([page, *dict.fromkeys(self._errors)])
