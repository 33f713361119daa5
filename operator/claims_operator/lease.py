"""One active operator: a Lease that is renewed while it works, and taken over when its holder has been silent."""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from typing import Final

from claims_operator.adapters.kubernetes import Cluster
from claims_operator.api import names
from claims_operator.api.names import Manifest
from claims_operator.errors import ClusterError

_LOG: Final = logging.getLogger(__name__)

NAME: Final = "claims-operator"


class Lease:
    """The Lease of one operator process. Expiry is timed by our own clock, from when we saw the holder renew."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        identity: str,
        lease_seconds: int,
        utc_now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._identity = identity
        self._lease_seconds = lease_seconds
        self._utc_now = utc_now
        self._monotonic = monotonic
        self._seen: tuple[str, float] = ("", 0.0)

    async def acquire(self) -> None:
        """Return when the Lease is ours."""
        while True:
            try:
                if await self._take():
                    _LOG.info("this operator (%s) is active", self._identity)
                    return
            except ClusterError as error:
                _LOG.warning("the Lease could not be taken: %s", error)
            await asyncio.sleep(self._lease_seconds / 5)

    async def hold(self) -> None:
        """Renew the Lease; return when it is lost. The caller must then stop at once."""
        renewed = self._monotonic()
        while True:
            await asyncio.sleep(self._lease_seconds / 5)
            # We stop a third before the others may start: what we sent last must have arrived by then.
            remaining = renewed + self._lease_seconds * 2 / 3 - self._monotonic()
            started = self._monotonic()
            try:
                if not await asyncio.wait_for(self._take(), max(remaining, 0.1)):
                    _LOG.error("another operator took the Lease")
                    return
                renewed = started
            except TimeoutError:
                _LOG.error("the Lease could not be renewed in time")
                return
            except ClusterError as error:
                _LOG.warning("the Lease was not renewed: %s", error)
                if remaining <= 0:
                    return

    async def release(self) -> None:
        """Let the next operator start at once."""
        try:
            live = await self._cluster.get(names.LEASE, self._namespace, NAME)
            if live is not None and live["spec"].get("holderIdentity") == self._identity:
                await self._cluster.replace(names.LEASE, {**live, "spec": {**live["spec"], "holderIdentity": ""}})
        except ClusterError as error:
            _LOG.warning("the Lease was not given back: %s", error)

    async def _take(self) -> bool:
        """Take or renew the Lease; return whether it is ours. Raise Conflict where another was faster."""
        live = await self._cluster.get(names.LEASE, self._namespace, NAME)
        if live is None:
            await self._cluster.create(names.LEASE, self._manifest(None))
            return True
        if not self._may_take(live):
            return False
        await self._cluster.replace(names.LEASE, self._manifest(live))
        return True

    def _may_take(self, live: Manifest) -> bool:
        holder = live["spec"].get("holderIdentity") or ""
        if holder in ("", self._identity):
            return True
        stamp = f"{holder} {live['spec'].get('renewTime')}"
        if self._seen[0] != stamp:
            self._seen = (stamp, self._monotonic())
        silent_seconds = self._monotonic() - self._seen[1]
        return silent_seconds > float(live["spec"].get("leaseDurationSeconds", self._lease_seconds))

    def _manifest(self, live: Manifest | None) -> Manifest:
        now = self._utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = {} if live is None else live["spec"]
        ours = before.get("holderIdentity") == self._identity
        return {
            "apiVersion": names.LEASE.api_version,
            "kind": names.LEASE.kind,
            "metadata": {"name": NAME, "namespace": self._namespace} if live is None else live["metadata"],
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._lease_seconds,
                "renewTime": now,
                "acquireTime": before.get("acquireTime", now) if ours else now,
                "leaseTransitions": before.get("leaseTransitions", 0) + (0 if ours else 1),
            },
        }
