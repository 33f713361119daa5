"""What MLflow knows of the model's versions, by its REST interface."""

from collections.abc import Mapping
from typing import Any

import httpx

from claims_contract import tensors
from claims_demo.settings import MODEL

REQUEST_TIMEOUT_SECONDS = 15.0


class RegistryError(Exception):
    """MLflow does not answer, or does not know the version."""


async def newest(mlflow_url: str, version: str) -> str:
    """Return the URI (``models:/name/number``) of the newest registered model whose semantic version is ``version``."""
    query = {"filter": f"name='{MODEL}'", "max_results": "500"}
    async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_SECONDS) as client:
        try:
            response = await client.get(f"{mlflow_url.rstrip('/')}/api/2.0/mlflow/model-versions/search", params=query)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise RegistryError(f"MLflow at {mlflow_url} did not list the versions of {MODEL}: {error}") from error
    found: list[Mapping[str, Any]] = response.json().get("model_versions", [])
    numbers = [int(each["version"]) for each in found if _tags(each).get(tensors.VERSION_TAG) == version]
    if not numbers:
        known = sorted({_tags(each).get(tensors.VERSION_TAG, "untagged") for each in found})
        raise RegistryError(f"MLflow has no {MODEL} tagged {tensors.VERSION_TAG}={version}; it has {known}")
    return f"models:/{MODEL}/{max(numbers)}"


def _tags(version: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in version.get("tags", [])}
