"""Names of objects, labels and kinds; the only place that formats them."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from claims_contract import labels
from claims_operator.api.status import ResolvedModel
from claims_operator.api.v1alpha1 import ClaimsModelSpec

Manifest = dict[str, Any]

FIELD_MANAGER: Final = "claims-operator"
FINALIZER: Final = f"{labels.GROUP}/cleanup"

REVISION_LENGTH: Final = 8
LONGEST_NAME: Final = 40
"""So that ``<name>-<revision>-predictor`` fits a DNS label of 63."""


@dataclass(frozen=True)
class ObjectKey:
    """Names one ClaimsModel."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Kind:
    """A kind of object and where the API server serves it."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """Return the value of ``apiVersion``."""
        return f"{self.group}/{self.version}"


CLAIMS_MODEL: Final = Kind(labels.GROUP, labels.VERSION, "claimsmodels", "ClaimsModel")
CLAIMS_ROLLOUT: Final = Kind(labels.GROUP, labels.VERSION, "claimsrollouts", "ClaimsRollout")
INFERENCE_SERVICE: Final = Kind("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
DEPLOYMENT: Final = Kind("apps", "v1", "deployments", "Deployment")
EVENT: Final = Kind("events.k8s.io", "v1", "events", "Event")
LEASE: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease")


def content_hash(content: object) -> str:
    """Return the hex SHA-256 of ``content`` as canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def revision(uid: str, model: ResolvedModel, spec: ClaimsModelSpec) -> str:
    """Return the name of what is served: the resolved model and what the pods are made of, not how many there are.

    ``uid`` is the ClaimsModel's: one that was deleted and made again starts at attempt 1 again, and without it the
    outcomes of the first one, which may come for weeks, would count as evidence for the second.
    """
    served = {
        "uid": uid,
        "uri": model.uri,
        "digest": model.digest,
        "format": model.format,
        "resources": spec.serving.resources.model_dump(mode="json"),
        "feedback": spec.feedback.enabled,
    }
    return content_hash(served)[:REVISION_LENGTH]


def inference_service(model: str, revision: str) -> str:
    """Return the name of a revision's InferenceService."""
    return f"{model}-{revision}"


def predictor(model: str, revision: str) -> str:
    """Return the name that KServe gives a revision's Deployment and Service."""
    return f"{inference_service(model, revision)}-predictor"


def rollout(model: str, attempt: int) -> str:
    """Return the name of an attempt's ClaimsRollout."""
    return f"{model}-{attempt}"


def default_hostname(key: ObjectKey, domain: str) -> str:
    """Return the host that clients name where the spec sets none."""
    return f"{key.name}-{key.namespace}.{domain}"
