"""``kubectl claims render``: the children that the operator would make of a ClaimsModel, by the operator's own code."""

import os
import re
from typing import Any, Final

from claims_operator.api.names import ObjectKey
from claims_operator.api.status import ClaimsModelStatus, ResolvedModel, Stable, Traffic
from claims_operator.api.v1alpha1 import ClaimsModelSpec
from claims_operator.core import desired
from claims_operator.core.facts import Platform, build_revision
from claims_operator.errors import InvalidSettings
from claims_operator.settings import Settings
from kubectl_claims.errors import Trouble
from kubectl_claims.objects import Object

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
UNKNOWN_DIGEST: Final = "sha256:" + "0" * 64
"""Stands for what only the registry knows."""
UNKNOWN_UID: Final = "00000000-0000-0000-0000-000000000000"
"""Stands for what only the API server gives."""


def render(model: Object, namespace: str | None, digest: str) -> tuple[dict[str, Any], ...]:
    """Return the InferenceService and the HTTPRoute of a valid ClaimsModel that is at rest.

    Raises:
        Trouble: a setting in the environment (``CLAIMS_...``, the operator's) cannot be used.
    """
    metadata = model["metadata"]
    if "name" not in metadata:
        raise Trouble("the ClaimsModel has no name, only a generateName; its children are named by its name")
    key = ObjectKey(namespace or metadata.get("namespace") or "default", metadata["name"])
    uid = metadata.get("uid", UNKNOWN_UID)
    spec = ClaimsModelSpec.model_validate(model["spec"])
    resolved = ResolvedModel(
        version=spec.model.version,
        requested_uri=spec.model.uri,
        uri=spec.model.uri,
        digest=digest,
        format=spec.model.format.name,
    )
    revision = build_revision(uid, resolved, spec)
    # As it stands once the first version was promoted: attempt 1, and one change of weight.
    status = ClaimsModelStatus(
        stable=Stable(**dict(revision), slot=0), traffic=Traffic(attempt=1, epoch=1), model=resolved
    )
    return desired.build_children(key, uid, spec, status, _platform())


def _platform() -> Platform:
    try:
        return Settings.from_environment(os.environ).platform
    except InvalidSettings as error:
        raise Trouble(f"the environment holds settings of the operator that cannot be used: {error}") from error
