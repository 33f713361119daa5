"""The URI of a pinned model version."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from claims_storage.errors import InvalidAddress

_PATTERN: Final = re.compile(
    r"models:/(?P<name>[^/?#@]+)/(?P<version>[1-9][0-9]{0,9})\?digest=(?P<digest>sha256:[0-9a-f]{64})"
)


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One version of a registered model, and what its package must be."""

    name: str
    version: int
    digest: str
    """The package digest: ``sha256:`` and 64 hex digits."""


def parse(uri: str) -> ModelVersion:
    """Read the URI, or raise `InvalidAddress`."""
    match = _PATTERN.fullmatch(uri)
    if match is None:
        raise InvalidAddress(
            f"cannot use the URI {uri!r}: write models:/<name>/<version>?digest=sha256:<64 hex digits>, "
            "with the digest of the package"
        )
    return ModelVersion(name=unquote(match["name"]), version=int(match["version"]), digest=match["digest"])
