"""The few things the demo asks of the Kubernetes API server."""

import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from claims_contract import labels
from claims_demo import waiting

FIELD_MANAGER = "claims-demo"
APPLY = "application/apply-patch+yaml"
REQUEST_TIMEOUT_SECONDS = 20.0

Manifest = dict[str, Any]


class Cluster:
    """One namespace of one cluster."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        """Use an open client; `connect` makes one."""
        self._core = client.CoreV1Api(api)
        self._batch = client.BatchV1Api(api)
        self._custom = client.CustomObjectsApi(api)
        self.api = api
        self.namespace = namespace

    async def ensure_namespace(self) -> None:
        """Make the namespace, with Pod Security "restricted"."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }
        await self._core.patch_namespace(
            self.namespace,
            manifest,
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type=APPLY,
            _request_timeout=REQUEST_TIMEOUT_SECONDS,
        )

    async def read_secret(self, reference: str) -> str:
        """Return the text at ``namespace/secret:key``."""
        place, _, key = reference.partition(":")
        namespace, _, name = place.partition("/")
        secret = await self._core.read_namespaced_secret(name, namespace, _request_timeout=REQUEST_TIMEOUT_SECONDS)
        data = secret.data or {}
        if key not in data:
            raise NoKeyError(f"secret {place} has no key '{key}'; it has {sorted(data)}")
        return base64.b64decode(data[key]).decode().strip()

    async def apply_claims_model(self, manifest: Manifest) -> None:
        """Server-side apply, refusing fields that the CRD does not know."""
        await self._custom.patch_namespaced_custom_object(
            labels.GROUP,
            labels.VERSION,
            self.namespace,
            "claimsmodels",
            manifest["metadata"]["name"],
            manifest,
            field_manager=FIELD_MANAGER,
            force=True,
            field_validation="Strict",
            _content_type=APPLY,
            _request_timeout=REQUEST_TIMEOUT_SECONDS,
        )

    async def read_claims_model(self, name: str) -> Manifest | None:
        """Return the ClaimsModel, or None where there is none."""
        try:
            found = await self._custom.get_namespaced_custom_object(
                labels.GROUP,
                labels.VERSION,
                self.namespace,
                "claimsmodels",
                name,
                _request_timeout=REQUEST_TIMEOUT_SECONDS,
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return cast("Manifest", found)

    async def list_rollouts(self, name: str) -> list[Manifest]:
        """Return the ClaimsRollouts of a ClaimsModel, oldest first."""
        found = await self._custom.list_namespaced_custom_object(
            labels.GROUP,
            labels.VERSION,
            self.namespace,
            "claimsrollouts",
            label_selector=f"{labels.MODEL}={name}",
            _request_timeout=REQUEST_TIMEOUT_SECONDS,
        )
        items = cast("Manifest", found)["items"]
        return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    async def delete_claims_model(self, name: str, *, limit_seconds: float) -> bool:
        """Delete it and wait until it, its rollouts and its pods are gone. Returns whether there was one."""
        try:
            await self._custom.delete_namespaced_custom_object(
                labels.GROUP,
                labels.VERSION,
                self.namespace,
                "claimsmodels",
                name,
                _request_timeout=REQUEST_TIMEOUT_SECONDS,
            )
        except ApiException as error:
            if error.status == 404:
                return False
            raise

        async def look() -> tuple[bool | None, str]:
            model = await self.read_claims_model(name)
            pods = await self.list_pods(f"{labels.MODEL}={name}")
            rollouts = await self.list_rollouts(name)
            if model is None and not pods and not rollouts:
                return True, "nothing is left"
            held = (model or {}).get("metadata", {}).get("finalizers", [])
            return None, f"finalizers {held}, {len(pods)} pods and {len(rollouts)} ClaimsRollouts are left"

        await waiting.wait_for(f"ClaimsModel {name} to be deleted", look, limit_seconds=limit_seconds)
        return True

    async def list_pods(self, selector: str, namespace: str | None = None) -> list[Any]:
        """Return the pods that ``selector`` matches."""
        found = await self._core.list_namespaced_pod(
            namespace or self.namespace,
            label_selector=selector,
            _request_timeout=REQUEST_TIMEOUT_SECONDS,
        )
        return list(found.items)

    async def delete_pod(self, name: str, namespace: str | None = None, *, grace_seconds: int | None = None) -> None:
        """Delete one pod; ``grace_seconds`` 0 kills it, None leaves the pod its own period."""
        await self._core.delete_namespaced_pod(
            name,
            namespace or self.namespace,
            grace_period_seconds=grace_seconds,
            _request_timeout=REQUEST_TIMEOUT_SECONDS,
        )

    async def run_job(self, manifest: Manifest, *, limit_seconds: float) -> str:
        """Run a Job to its end and return what its pod printed; a failed Job raises `JobFailedError`."""
        name = manifest["metadata"]["name"]
        await self._batch.create_namespaced_job(
            self.namespace,
            cast("client.V1Job", manifest),
            field_validation="Strict",
            _request_timeout=REQUEST_TIMEOUT_SECONDS,
        )

        async def look() -> tuple[bool | None, str]:
            job = await self._batch.read_namespaced_job_status(
                name, self.namespace, _request_timeout=REQUEST_TIMEOUT_SECONDS
            )
            for condition in (job.status.conditions if job.status else None) or []:
                if condition.type in {"Complete", "Failed"} and condition.status == "True":
                    return condition.type == "Complete", condition.type
            return None, await self._describe_pods(f"job-name={name}")

        complete = await waiting.wait_for(f"Job {name} to end", look, limit_seconds=limit_seconds)
        log = await self._read_log(f"job-name={name}")
        if not complete:
            raise JobFailedError(f"Job {self.namespace}/{name} failed. Its last lines:\n{log[-2000:]}")
        return log

    async def _describe_pods(self, selector: str) -> str:
        pods = await self.list_pods(selector)
        if not pods:
            return "no pod yet"
        return ", ".join(f"pod {pod.metadata.name} is {pod.status.phase}{_trouble(pod)}" for pod in pods)

    async def _read_log(self, selector: str) -> str:
        pods = await self.list_pods(selector)
        if not pods:
            return "(its pod is gone)"
        newest = max(pods, key=lambda pod: pod.metadata.creation_timestamp)
        text: str = await self._core.read_namespaced_pod_log(
            newest.metadata.name, self.namespace, _request_timeout=REQUEST_TIMEOUT_SECONDS
        )
        return text


class JobFailedError(Exception):
    """A Job ended without success."""


class NoKeyError(Exception):
    """A Secret has not the key that was asked for."""


class NoClusterError(Exception):
    """The API server does not answer."""


def _trouble(pod: Any) -> str:
    """Return why a container waits, in brackets, or nothing."""
    statuses = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
    reasons = [status.state.waiting.reason for status in statuses if status.state and status.state.waiting]
    return f" ({', '.join(str(reason) for reason in reasons)})" if reasons else ""


def describe_api_error(error: ApiException) -> str:
    """Return the API server's sentence, without headers."""
    return f"the API server answered {error.status} {error.reason}: {str(error.body or '')[:600]}"


@contextlib.asynccontextmanager
async def connect(kubeconfig: Path, namespace: str) -> AsyncIterator[Cluster]:
    """Open a client for the kubeconfig's current context."""
    configuration = client.Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        str(kubeconfig), client_configuration=configuration, persist_config=False
    )
    async with client.ApiClient(configuration) as api:
        try:
            await client.VersionApi(api).get_code(_request_timeout=REQUEST_TIMEOUT_SECONDS)
        except aiohttp.ClientConnectionError as error:
            raise NoClusterError(
                f"no API server answers at {configuration.host} ({error}); start the cluster with `make up`"
            ) from error
        yield Cluster(api, namespace)
