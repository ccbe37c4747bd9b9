"""Which of several controllers on a Kubernetes cluster may act: the one that holds a Lease object.

The rules are those of the leader election of client-go (Kubernetes 1.14 and later, ``coordination.k8s.io/v1``): who
does not hold the lease takes it once its record has not changed for as long as the record says that it lasts, as
measured by its own clock from when it first saw that record. Times in the record are for people; clocks may differ as
they like as long as they run at about the same speed. The holder trusts itself for less long than others wait.
"""

from __future__ import annotations

import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from smiless_core.adapters.cluster import Cluster, Resource, field, timestamp
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.validation import text, whole_number

__all__ = ["KubernetesLease"]

_LEASES = Resource("apis/coordination.k8s.io/v1", "leases")

# Of the duration: after what the holder renews it, and for how long it trusts a renewal. client-go has 10 of 15 s.
_RENEWED, _TRUSTED = 0.2, 2.0 / 3.0


class KubernetesLease:
    """A Lease object that one controller holds at a time.

    Parameters
    ----------
    cluster : Cluster
        Where it is; better one of its own, for `release` closes it.
    name : str
        Of the object; made if there is none.
    holder : str, optional
        Who this is; different for each process, also after a restart. By default drawn.
    seconds : int, default 15
        How long the lease lasts without renewal: as long nobody acts after a holder has died.
    leeway : float, default 1
        Seconds for which `hold` is relied on after it was asked.
    now : callable, default `time.monotonic`
        Seconds on a clock that is never set.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        *,
        holder: str | None = None,
        seconds: int = 15,
        leeway: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._name = text(name, "name")
        self._holder = text(holder, "holder") if holder else f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4()}"
        self._seconds = whole_number(seconds, "seconds", at_least=1, at_most=3600)
        if not 0.0 <= leeway < _TRUSTED * self._seconds / 2.0:
            raise InvalidInputError(
                f"expected less than a third of the {self._seconds} s of the lease, got {leeway!r}", place="leeway"
            )
        self._leeway = leeway
        self._now = now
        self._renewed = -math.inf  # when the last renewal that succeeded was begun
        self._seen: tuple[Any, ...] | None = None
        self._seen_at = math.inf

    @property
    def held(self) -> bool:
        """Whether it is held now, as far as is known without asking."""
        return self._now() < self._renewed + _TRUSTED * self._seconds

    async def hold(self) -> bool:
        """Take the lease, or keep it.

        Returns
        -------
        bool
            Whether it is held now and for `leeway` seconds more, whatever happens.

        Raises
        ------
        PlatformError
            If that cannot be told. Then it is not held.
        """
        begun = self._now()
        if begun - self._renewed < _RENEWED * self._seconds - self._leeway:
            return True
        try:
            if await self._try(begun):
                self._renewed = begun
            else:
                self._renewed = -math.inf
        except PlatformError:
            if not self._lasts():
                raise
        # What the server said may have come late.
        return self._lasts()

    async def release(self) -> None:
        """Let others have it at once, and let go of connections. If that fails, they have it once it has run out."""
        renewed, self._renewed = self._renewed, -math.inf
        try:
            if renewed > -math.inf:
                lease = await self._cluster.read(_LEASES, self._name)
                if lease is not None and field(lease, "spec", "holderIdentity") == self._holder:
                    await self._cluster.replace(_LEASES, self._name, self._record(lease, holder=""))
        except PlatformError:
            pass
        finally:
            await self._cluster.close()

    def _lasts(self) -> bool:
        return self._now() + self._leeway < self._renewed + _TRUSTED * self._seconds

    async def _try(self, begun: float) -> bool:
        """Make, take or renew the record; false if it is another's, or someone was faster."""
        lease = await self._cluster.read(_LEASES, self._name)
        if lease is None:
            return await self._cluster.create(_LEASES, self._record(None, holder=self._holder)) is not None
        holder = field(lease, "spec", "holderIdentity")
        if holder and holder != self._holder and not self._has_run_out(lease, begun):
            return False
        return await self._cluster.replace(_LEASES, self._name, self._record(lease, holder=self._holder)) is not None

    def _has_run_out(self, lease: Mapping[str, Any], begun: float) -> bool:
        """Tell whether another's record has not changed for as long as it lasts, up to when it was asked for."""
        spec = field(lease, "spec")
        record = (
            *(field(spec, key) for key in ("holderIdentity", "renewTime", "acquireTime", "leaseTransitions")),
            field(lease, "metadata", "resourceVersion"),
        )
        if record != self._seen:
            self._seen, self._seen_at = record, self._now()
            return False
        lasts = field(spec, "leaseDurationSeconds")
        known = isinstance(lasts, int) and not isinstance(lasts, bool)
        return begun - self._seen_at >= max(lasts if known else 0, self._seconds)

    def _record(self, lease: Mapping[str, Any] | None, *, holder: str) -> dict[str, Any]:
        spec = field(lease, "spec")
        before = field(spec, "holderIdentity") or ""
        transitions = field(spec, "leaseTransitions")
        wall = timestamp(self._cluster.now())
        changes = lease is not None and bool(holder) and before != holder
        metadata = {"name": self._name}
        if lease is not None:
            # Whoever has written it meanwhile wins.
            metadata["resourceVersion"] = str(field(lease, "metadata", "resourceVersion"))
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": self._seconds,
                "acquireTime": (field(spec, "acquireTime") if before == holder or not holder else None) or wall,
                "renewTime": wall,
                "leaseTransitions": (transitions if isinstance(transitions, int) else 0) + changes,
            },
        }
