"""The model registry (MLflow): a ``models:/`` URI → the version, digest and semantic version that are pinned."""

import re
from typing import Any, Final

import httpx

from claims_contract import tensors
from claims_operator.api.reasons import Reason
from claims_operator.api.status import ResolvedModel
from claims_operator.api.v1alpha1 import ModelSource
from claims_operator.errors import ModelUnusable, RegistryUnavailable

_DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")


class Registry:
    """A client of one MLflow server. Use it as an async context manager."""

    def __init__(self, url: str, *, request_timeout_seconds: float) -> None:
        self.url = url
        self._client = httpx.AsyncClient(base_url=url, timeout=request_timeout_seconds)

    async def __aenter__(self) -> "Registry":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def resolve(self, model: ModelSource) -> ResolvedModel:
        """Pin a model; raise ModelUnusable where the user must act and RegistryUnavailable where waiting may help."""
        version = await self._version(model.uri)
        tags = {tag["key"]: tag["value"] for tag in version.get("tags", ())}
        digest = tags.get(tensors.DIGEST_TAG, "")
        uri = f"models:/{version['name']}/{version['version']}"
        if not _DIGEST.match(digest):
            raise ModelUnusable(
                Reason.MODEL_UNUSABLE,
                f"{uri} has no tag {tensors.DIGEST_TAG} that pins its files; register the package with claims-train",
            )
        packaged = tags.get(tensors.VERSION_TAG)
        if packaged != model.version:
            raise ModelUnusable(
                Reason.MODEL_UNUSABLE,
                f"{uri} is version {packaged or 'unknown'} (tag {tensors.VERSION_TAG}), not {model.version}:"
                f" write spec.model.version: {packaged}"
                if packaged
                else f"{uri} has no tag {tensors.VERSION_TAG}; register the package with claims-train",
            )
        return ResolvedModel(
            version=model.version,
            requested_uri=model.uri,
            uri=uri,
            digest=digest,
            format=model.format.name,
        )

    async def _version(self, uri: str) -> dict[str, Any]:
        reference = uri.removeprefix("models:/")
        name, at, alias = reference.partition("@")
        if at:
            path, query = "registered-models/alias", {"name": name, "alias": alias}
        else:
            name, _, number = reference.partition("/")
            path, query = "model-versions/get", {"name": name, "version": number}
        answer = await self._ask(path, query, uri)
        version = answer.get("model_version")
        if not isinstance(version, dict) or not {"name", "version"} <= version.keys():
            raise RegistryUnavailable(f"{self.url} answered without a model version; is it an MLflow server?")
        return version

    async def _ask(self, path: str, query: dict[str, str], uri: str) -> dict[str, Any]:
        try:
            response = await self._client.get(f"/api/2.0/mlflow/{path}", params=query)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(
                f"the model registry {self.url} does not answer: {type(error).__name__} {error}"
            ) from error
        answer = _json(response)
        code = answer.get("error_code")
        if code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise ModelUnusable(
                Reason.MODEL_NOT_FOUND, f"the model registry knows no {uri}: {answer.get('message', code)}"
            )
        if response.status_code != httpx.codes.OK:
            raise RegistryUnavailable(
                f"the model registry {self.url} answered {response.status_code}: {response.text[:200]}"
            )
        return answer


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
