"""The API server: which one, and reading from it. Every failure becomes one sentence."""

import json
import os
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import yaml

from claims_operator.api.names import Kind
from kubectl_claims.errors import NotFound, Trouble, Unreachable
from kubectl_claims.objects import Object

if TYPE_CHECKING:
    from kubernetes.aio import client

REQUEST_TIMEOUT_SECONDS: Final = 30.0
WATCH_SECONDS: Final = 240
"""So long the API server keeps a watch open; then it is opened again."""
PAGE: Final = 500
"""So many objects are read with one request."""

_SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_GONE: Final = 410
_MALFORMED: Final = (yaml.YAMLError, OSError, KeyError, TypeError, ValueError, AttributeError)
"""What the loader of kubeconfigs raises; it expects files that are well made."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which cluster, and which namespace of it, as the command line says."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """An object that is there, was changed, or is gone."""

    item: Object
    is_gone: bool


class Api:
    """Reads from one API server. Use it as an async context manager."""

    def __init__(self, api_client: "client.ApiClient", namespace: str) -> None:
        self._client = api_client
        self.namespace = namespace
        """Where objects are looked for unless another namespace is named."""

    @classmethod
    async def connect(cls, target: Target) -> Self:
        """Find out whom to ask: by the kubeconfig, or as a pod by its service account where there is none."""
        from kubernetes.aio import client, config  # Half a second, which `--help` and `lint` should not take.

        configuration = client.Configuration()
        paths, is_there = _kubeconfig(target)
        if not is_there and target.kubeconfig is None and target.context is None and _is_in_a_pod():
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            own = _SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip()
            return cls(client.ApiClient(configuration), target.namespace or own)
        if not is_there:
            raise Trouble(f"there is no kubeconfig at {paths}; write --kubeconfig FILE or set KUBECONFIG")
        try:
            loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=paths,
                context=target.context,
                client_configuration=configuration,
                persist_config=False,
            )
        except (config.ConfigException, *_MALFORMED) as error:
            raise Trouble(f"the kubeconfig {paths} cannot be used: {_first_line(error)}") from error
        context: Object = loader.current_context.get("context", {})
        return cls(client.ApiClient(configuration), target.namespace or context.get("namespace") or "default")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, name: str) -> Object:
        """Return an object of the namespace; raise NotFound where there is none."""
        return await self._read(_path(kind, self.namespace, name), f"read {kind.kind} {self.namespace}/{name}")

    async def find_all(
        self, kind: Kind, *, labels: str = "", fields: str = "", all_namespaces: bool = False
    ) -> tuple[Object, ...]:
        """Return the objects of a kind; raise Trouble where the cluster does not have the kind."""
        path = _path(kind, None if all_namespaces else self.namespace)
        query = [("labelSelector", labels), ("fieldSelector", fields), ("limit", str(PAGE))]
        found: list[Object] = []
        following = ""
        while True:
            try:
                page = await self._read(path, f"list {kind.plural}", [*query, ("continue", following)])
            except NotFound as error:
                raise Trouble(f"this cluster has no {kind.plural}.{kind.group}; is the platform installed?") from error
            # Objects in a list name neither their kind nor its version.
            head = {"apiVersion": kind.api_version.lstrip("/"), "kind": kind.kind}
            found += [{**head, **item} for item in page["items"]]
            following = page["metadata"].get("continue", "")
            if not following:
                return tuple(found)

    async def changes(self, kind: Kind, *, labels: str = "", fields: str = "") -> AsyncGenerator[Change, None]:
        """Yield each object of the kind as it is, then each change; end when the API server ends the watch."""
        what = f"watch {kind.plural}"
        query = [
            ("labelSelector", labels),
            ("fieldSelector", fields),
            ("watch", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
        ]
        response = await self._send(_path(kind, self.namespace), what, query, timeout_seconds=WATCH_SECONDS + 30.0)
        try:
            while line := await response.response.content.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == _GONE:
                        return
                    raise Unreachable(f"could not {what}: {event['object'].get('message', 'the watch broke')}")
                yield Change(is_gone=event["type"] == "DELETED", item=event["object"])
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"could not {what}: {_first_line(error)}") from error
        finally:
            response.response.close()

    async def _read(self, path: str, what: str, query: list[tuple[str, str]] | None = None) -> dict[str, Any]:
        response = await self._send(path, what, query or [], timeout_seconds=REQUEST_TIMEOUT_SECONDS)
        try:
            answer = json.loads(await response.read())  # type: ignore[no-untyped-call]
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"could not {what}: {_first_line(error)}") from error
        if not isinstance(answer, dict):
            raise Unreachable(f"could not {what}: the answer is no object; is this a Kubernetes API server?")
        return answer

    async def _send(
        self, path: str, what: str, query: list[tuple[str, str]], *, timeout_seconds: float
    ) -> "client.rest.RESTResponse":
        host = self._client.configuration.host
        try:
            request = await self._client.param_serialize(
                "GET",
                path,
                query_params=[(name, value) for name, value in query if value],
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*request, _request_timeout=timeout_seconds)
            if response.status == 200:
                return response
            body = await response.read()  # type: ignore[no-untyped-call]
        except ssl.SSLError as error:
            raise Trouble(
                f"the certificate of the API server at {host} is not trusted: {_first_line(error)}"
            ) from error
        except TimeoutError as error:
            raise Unreachable(f"the API server at {host} does not answer within {timeout_seconds:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"the API server at {host} cannot be reached: {_first_line(error)}") from error
        raise _refusal(response.status, body, what)


def _refusal(status: int, body: bytes, what: str) -> Trouble:
    """Return what the API server said, as our error."""
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace").strip()[:300]
    if status == 404:
        return NotFound(f"could not {what}: {said}")
    if status == 401:
        return Trouble(f"could not {what}: the API server does not accept your credentials; log in again ({said})")
    if status in {429, 500, 502, 503, 504}:
        return Unreachable(f"could not {what}: {status} {said}")
    return Trouble(f"could not {what}: {said}")


def _path(kind: Kind, namespace: str | None, name: str | None = None) -> str:
    parts = ["apis", kind.group] if kind.group else ["api"]
    parts.append(kind.version)
    if namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(kind.plural)
    if name is not None:
        parts.append(name)
    return "/" + "/".join(parts)


def _kubeconfig(target: Target) -> tuple[str, bool]:
    """Return the files that make up the kubeconfig, as KUBECONFIG lists them, and whether any of them is there."""
    named = str(target.kubeconfig or "") or os.environ.get("KUBECONFIG", "")
    paths = named or str(Path.home() / ".kube" / "config")
    return paths, any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)


def _is_in_a_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and _SERVICE_ACCOUNT_NAMESPACE.is_file()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
