"""The folder that a model is served from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlserver.types import InferenceRequest, ResponseOutput
from pydantic import TypeAdapter, ValidationError

from claims_contract import tensors
from claims_runtime import schema
from claims_runtime.errors import InvalidPackage

_OUTPUTS = TypeAdapter(list[ResponseOutput])


@dataclass(frozen=True, kw_only=True)
class Package:
    """A model package, without the model itself."""

    folder: Path
    version: str
    """The package's semantic version; answers carry it as ``model_version``."""

    schema: schema.Schema
    sample_request: InferenceRequest
    sample_outputs: tuple[ResponseOutput, ...]
    """What the model answered to the sample request where it was trained."""


def read(folder: Path) -> Package:
    """Read the package in ``folder``, or raise `InvalidPackage`."""
    samples = _read_json(folder / tensors.SAMPLES_FILE)
    try:
        version = str(_read_json(folder / tensors.PACKAGE_FILE)["version"])
        request = InferenceRequest.model_validate(samples["request"])
        outputs = _OUTPUTS.validate_python(samples["response"]["outputs"])
    except KeyError as error:
        raise InvalidPackage(f"the package has no field {error} in its JSON files") from error
    except ValidationError as error:
        raise InvalidPackage(f"{tensors.SAMPLES_FILE} is not a V2 request and response: {error}") from error
    return Package(
        folder=folder,
        version=version,
        schema=schema.parse(_read_json(folder / tensors.SCHEMA_FILE)),
        sample_request=request,
        sample_outputs=tuple(outputs),
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidPackage(f"cannot read {path.name} of the package: {error.strerror}") from error
    except ValueError as error:
        raise InvalidPackage(f"{path.name} is not JSON: {error}") from error
