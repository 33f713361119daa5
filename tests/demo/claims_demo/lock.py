"""One demo at a time in a namespace: a Lease that the demo holds, renews, and lets go of at its end."""

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator

from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

NAME = "claims-demo"
LEASE_SECONDS = 30
"""A demo that was killed holds the stage for so long after its last renewal."""

RENEW_SECONDS = 8.0
REQUEST_TIMEOUT_SECONDS = 10.0


class StageTakenError(Exception):
    """Another demo plays in the namespace."""


@contextlib.asynccontextmanager
async def held(api: client.ApiClient, namespace: str, holder: str) -> AsyncIterator[None]:
    """Hold the namespace's stage; raise `StageTakenError` where somebody else does."""
    leases = client.CoordinationV1Api(api)
    await _take(leases, namespace, f"{holder} on {socket.gethostname()}")
    renewal = asyncio.create_task(_renew(leases, namespace))
    try:
        yield
    finally:
        renewal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewal
        await leases.delete_namespaced_lease(NAME, namespace, _request_timeout=REQUEST_TIMEOUT_SECONDS)


async def _take(leases: client.CoordinationV1Api, namespace: str, holder: str) -> None:
    now = dt.datetime.now(dt.UTC)
    spec = client.V1LeaseSpec(
        holder_identity=holder, lease_duration_seconds=LEASE_SECONDS, acquire_time=now, renew_time=now
    )
    lease = client.V1Lease(metadata=client.V1ObjectMeta(name=NAME), spec=spec)
    try:
        await leases.create_namespaced_lease(namespace, lease, _request_timeout=REQUEST_TIMEOUT_SECONDS)
        return
    except ApiException as error:
        if error.status != 409:
            raise
    found = await leases.read_namespaced_lease(NAME, namespace, _request_timeout=REQUEST_TIMEOUT_SECONDS)
    if found.spec and found.spec.renew_time and now - found.spec.renew_time < dt.timedelta(seconds=LEASE_SECONDS):
        raise StageTakenError(
            f"{found.spec.holder_identity} plays in namespace {namespace} already; wait until it is over, end it, or "
            "play in another namespace with --namespace"
        )
    # The resourceVersion of what was read lets only one of two heirs through.
    found.spec = spec
    try:
        await leases.replace_namespaced_lease(NAME, namespace, found, _request_timeout=REQUEST_TIMEOUT_SECONDS)
    except ApiException as error:
        if error.status != 409:
            raise
        raise StageTakenError(f"another demo has just begun in namespace {namespace}") from error


async def _renew(leases: client.CoordinationV1Api, namespace: str) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        patch = {"spec": {"renewTime": dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")}}
        # A renewal that fails in passing is made up for by the next.
        with contextlib.suppress(ApiException, OSError, TimeoutError):
            await leases.patch_namespaced_lease(
                NAME,
                namespace,
                patch,
                _content_type="application/merge-patch+json",
                _request_timeout=REQUEST_TIMEOUT_SECONDS,
            )
