"""The API server: objects as plain dicts, one field manager, and every foreign exception translated to `errors`."""

import base64
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio import client, config

from claims_contract import labels
from claims_operator.api import names
from claims_operator.api.names import Kind, Manifest
from claims_operator.errors import ClusterUnavailable, Conflict, Refused

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_REFUSED: Final = frozenset({400, 403, 405, 413, 415, 422})


class Cluster:
    """A client of one API server. Use it as an async context manager."""

    def __init__(self, api_client: client.ApiClient, *, request_timeout_seconds: float) -> None:
        self._client = api_client
        self._objects = client.CustomObjectsApi(api_client)
        self._core = client.CoreV1Api(api_client)
        self._options: dict[str, Any] = {"_request_timeout": request_timeout_seconds}

    @classmethod
    async def connect(cls, *, kubeconfig: Path | None = None, request_timeout_seconds: float) -> Self:
        """Connect by a kubeconfig, or as a pod by its service account where none is given."""
        configuration = client.Configuration()
        if kubeconfig is not None:
            await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return cls(client.ApiClient(configuration), request_timeout_seconds=request_timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return an object; None where there is none."""
        try:
            return await self._call(
                f"read {kind.kind} {namespace}/{name}",
                self._objects.get_namespaced_custom_object(
                    kind.group, kind.version, namespace, kind.plural, name, **self._options
                ),
            )
        except Refused as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise

    async def read_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Return the keys of a Secret; None where there is none."""
        try:
            secret = await self._send(
                f"read Secret {namespace}/{name}", self._core.read_namespaced_secret(name, namespace, **self._options)
            )
        except Refused as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise
        if not isinstance(secret, client.V1Secret):
            raise ClusterUnavailable(f"could not read Secret {namespace}/{name}: the answer is no Secret")
        return {key: base64.b64decode(value) for key, value in (secret.data or {}).items()}

    async def list_children(self, kind: Kind, namespace: str, model: str) -> list[Manifest]:
        """Return the objects of a kind that carry the label of a ClaimsModel."""
        answer = await self._call(
            f"list {kind.plural} of {namespace}/{model}",
            self._objects.list_namespaced_custom_object(
                kind.group,
                kind.version,
                namespace,
                kind.plural,
                label_selector=f"{labels.MODEL}={model}",
                **self._options,
            ),
        )
        items: list[Manifest] = answer["items"]
        return items

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object; raise Conflict where its name is taken."""
        metadata = manifest["metadata"]
        return await self._call(
            f"create {kind.kind} {metadata['namespace']}/{metadata.get('name', metadata.get('generateName'))}",
            self._objects.create_namespaced_custom_object(
                kind.group,
                kind.version,
                metadata["namespace"],
                kind.plural,
                manifest,
                field_manager=names.FIELD_MANAGER,
                **self._options,
            ),
        )

    async def apply(self, kind: Kind, manifest: Manifest) -> None:
        """Make an object what the manifest says, taking over fields that others changed."""
        metadata = manifest["metadata"]
        # The client drops the answer where the object is new (201), so there is none to return.
        await self._send(
            f"apply {kind.kind} {metadata['namespace']}/{metadata['name']}",
            self._objects.patch_namespaced_custom_object(
                *_address(kind, metadata),
                manifest,
                field_manager=names.FIELD_MANAGER,
                force=True,
                _content_type=_APPLY,
                **self._options,
            ),
        )

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replace an object; raise Conflict where its resourceVersion is not the one in the manifest."""
        metadata = manifest["metadata"]
        return await self._call(
            f"replace {kind.kind} {metadata['namespace']}/{metadata['name']}",
            self._objects.replace_namespaced_custom_object(
                *_address(kind, metadata),
                manifest,
                field_manager=names.FIELD_MANAGER,
                **self._options,
            ),
        )

    async def replace_status(self, kind: Kind, live: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Write the status of an object as it was read; raise Conflict where it changed since."""
        metadata = live["metadata"]
        return await self._call(
            f"write the status of {kind.kind} {metadata['namespace']}/{metadata['name']}",
            self._objects.replace_namespaced_custom_object_status(
                *_address(kind, metadata),
                {**live, "status": dict(status)},
                field_manager=names.FIELD_MANAGER,
                **self._options,
            ),
        )

    async def set_finalizers(self, kind: Kind, live: Manifest, finalizers: tuple[str, ...]) -> Manifest:
        """Replace the finalizers of an object as it was read; raise Conflict where it changed since."""
        metadata = live["metadata"]
        change = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": list(finalizers)}}
        return await self._call(
            f"set the finalizers of {kind.kind} {metadata['namespace']}/{metadata['name']}",
            self._objects.patch_namespaced_custom_object(
                *_address(kind, metadata),
                change,
                field_manager=names.FIELD_MANAGER,
                _content_type=_MERGE,
                **self._options,
            ),
        )

    async def delete(self, kind: Kind, live: Manifest) -> None:
        """Delete the object that was read, and no other that took its name since; it may be gone already."""
        metadata = live["metadata"]
        try:
            await self._send(
                f"delete {kind.kind} {metadata['namespace']}/{metadata['name']}",
                self._objects.delete_namespaced_custom_object(
                    *_address(kind, metadata),
                    body=client.V1DeleteOptions(
                        preconditions=client.V1Preconditions(uid=metadata["uid"]), propagation_policy="Background"
                    ),
                    **self._options,
                ),
            )
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    async def _call(self, what: str, call: Awaitable[object]) -> Manifest:
        answer = await self._send(what, call)
        if not isinstance(answer, dict):
            raise ClusterUnavailable(f"could not {what}: the answer is no object")
        return answer

    async def _send(self, what: str, call: Awaitable[object]) -> object:
        try:
            return await call
        except client.ApiException as error:
            message = f"could not {what}: {error.status} {_reason(error)}"
            if error.status == _CONFLICT:
                raise Conflict(message, status=error.status) from error
            if error.status == _NOT_FOUND or error.status in _REFUSED:
                raise Refused(message, status=error.status) from error
            raise ClusterUnavailable(message, status=error.status) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ClusterUnavailable(f"could not {what}: {type(error).__name__} {error}") from error


def _reason(error: client.ApiException) -> str:
    """Return the API server's own sentence, without the headers that the client's text begins with."""
    return str(error.body or error.reason)[:1000]


def _address(kind: Kind, metadata: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return what names an object to the client, in the order of its arguments."""
    return kind.group, kind.version, metadata["namespace"], kind.plural, metadata["name"]
