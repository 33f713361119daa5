"""Recorded status → manifests of the children. Every field that the API server would default is set here."""

from typing import Any, Final

from claims_contract import headers, labels
from claims_operator.api import names
from claims_operator.api.names import Kind, Manifest, ObjectKey
from claims_operator.api.status import Candidate, ClaimsModelStatus, Revision, RolloutTarget
from claims_operator.api.v1alpha1 import ClaimsModelSpec, GatewayReference
from claims_operator.core.facts import Platform
from claims_operator.core.record import in_route

REST_PORT: Final = 8080
GRPC_PORT: Final = 9000
REST_SERVICE_PORT: Final = 80
GRPC_SERVICE_PORT: Final = 9000

SLOTS: Final = 2
"""Every rule of the route has so many backendRefs, always. The gateway makes a cluster of each, named by its index, and
answers 500 for a moment when one goes away that the route still names; so none ever goes. What has no revision of
its own is stable's too, with the least weight there is: of weight 0 the gateway makes no cluster."""

WEIGHT_OF_A_PERCENT: Final = 10_000
IDLE_WEIGHT: Final = 1
"""Of the 1,000,000 that the weights of a rule sum to."""

TERMINATION_GRACE_SECONDS: Final = 60
"""The runtime finishes its requests and hands over its prediction events within this."""


def build_children(
    key: ObjectKey, uid: str, spec: ClaimsModelSpec, status: ClaimsModelStatus, platform: Platform
) -> tuple[Manifest, ...]:
    """Return all children that should exist, the route first: it must not wait for anything."""
    children = []
    if in_route(status):
        children.append(build_http_route(key, uid, spec, status, platform))
    children.extend(build_inference_service(key, uid, spec, revision, platform) for revision in wanted(status))
    if status.candidate is not None:
        children.append(build_claims_rollout(key, uid, status.stable, status.candidate))
    return tuple(children)


def wanted(status: ClaimsModelStatus) -> tuple[Revision, ...]:
    """Return the revisions whose pods should exist."""
    return tuple(item for item in (status.stable, status.candidate, *status.retiring) if item is not None)


def gateway(spec: ClaimsModelSpec, platform: Platform) -> GatewayReference:
    """Return the Gateway that the route attaches to."""
    return spec.serving.route.gateway or GatewayReference(
        name=platform.gateway_name, namespace=platform.gateway_namespace
    )


def build_http_route(
    key: ObjectKey, uid: str, spec: ClaimsModelSpec, status: ClaimsModelStatus, platform: Platform
) -> Manifest:
    """Return the route: gRPC and REST to the same revisions with the same weights."""
    parent = gateway(spec, platform)
    hostname = spec.serving.route.hostname or names.default_hostname(key, platform.route_domain)
    grpc = {"type": "RegularExpression", "name": "content-type", "value": "application/grpc.*"}
    root = {"type": "PathPrefix", "value": "/"}
    return _child(names.HTTP_ROUTE, key, uid, key.name) | {
        "spec": {
            "parentRefs": [
                {
                    "group": names.HTTP_ROUTE.group,
                    "kind": "Gateway",
                    "name": parent.name,
                    "namespace": parent.namespace,
                }
            ],
            "hostnames": [hostname],
            "rules": [
                {
                    "matches": [{"path": root, "headers": [grpc]}],
                    "backendRefs": _backends(key, status, GRPC_SERVICE_PORT),
                },
                {"matches": [{"path": root}], "backendRefs": _backends(key, status, REST_SERVICE_PORT)},
            ],
        }
    }


def weights(status: ClaimsModelStatus) -> dict[str, int]:
    """Return revision → percent of requests, for every revision in the route; they sum to 100."""
    candidate, stable = status.candidate, status.stable
    shares = {}
    if candidate is not None and candidate.slot is not None:
        shares[candidate.revision] = candidate.weight
    if stable is not None:
        shares[stable.revision] = 100 - sum(shares.values())
    return shares


def _backends(key: ObjectKey, status: ClaimsModelStatus, port: int) -> list[dict[str, Any]]:
    """Return one backendRef per slot. Its two filters also make Envoy count each of them apart."""
    stratum = headers.format_stratum(status.traffic.attempt, status.traffic.epoch)
    serving = in_route(status)
    idle = SLOTS - len(serving)
    shares = weights(status)
    backends = []
    for slot in range(SLOTS):
        revision = serving.get(slot) or status.stable
        if revision is None:
            raise AssertionError("nothing is in the route before a revision is stable")
        weight = (
            shares[revision.revision] * WEIGHT_OF_A_PERCENT - idle * IDLE_WEIGHT if slot in serving else IDLE_WEIGHT
        )
        backends.append(_backend(key, revision, port, weight, stratum))
    return backends


def _backend(key: ObjectKey, revision: Revision, port: int, weight: int, stratum: str) -> dict[str, Any]:
    return {
        "group": "",
        "kind": "Service",
        "name": names.predictor(key.name, revision.revision),
        "port": port,
        "weight": weight,
        "filters": [
            {
                "type": "RequestHeaderModifier",
                "requestHeaderModifier": {"set": [{"name": headers.STRATUM, "value": stratum}]},
            },
            {
                "type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"set": [{"name": headers.VARIANT, "value": revision.revision}]},
            },
        ],
    }


def build_inference_service(
    key: ObjectKey, uid: str, spec: ClaimsModelSpec, revision: Revision, platform: Platform
) -> Manifest:
    """Return a revision's InferenceService. What its pods are made of follows from the recorded revision alone."""
    replicas = spec.serving.replicas.min
    manifest = _child(
        names.INFERENCE_SERVICE, key, uid, names.inference_service(key.name, revision.revision), revision.revision
    )
    # Without a route of its own from KServe: ours is the only one.
    manifest["metadata"]["labels"]["networking.kserve.io/visibility"] = "cluster-local"
    manifest["metadata"]["annotations"] = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "none",
    }
    manifest["spec"] = {
        "predictor": {
            "minReplicas": replicas,
            "maxReplicas": replicas,
            "deploymentStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "labels": {labels.MODEL: key.name, labels.REVISION: revision.revision},
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "model": _model(key, revision, platform),
        }
    }
    return manifest


def _model(key: ObjectKey, revision: Revision, platform: Platform) -> dict[str, Any]:
    environment = {
        "MLSERVER_MODEL_NAME": key.name,
        labels.ENV_NAMESPACE: key.namespace,
        labels.ENV_MODEL: key.name,
        labels.ENV_REVISION: revision.revision,
        labels.ENV_FEEDBACK_URL: platform.feedback_url if revision.feedback else "",
    }
    return {
        "modelFormat": {"name": revision.format},
        "runtime": platform.serving_runtime,
        "protocolVersion": "v2",
        "storageUri": f"{revision.uri}?digest={revision.digest}",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "ports": [
            {"name": "http1", "containerPort": REST_PORT, "protocol": "TCP"},
            {"name": "h2c", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        # The model, not the server: MLServer is ready without any model.
        "readinessProbe": {
            "httpGet": {"path": f"/v2/models/{key.name}/ready", "port": REST_PORT, "scheme": "HTTP"},
            "periodSeconds": 3,
            "timeoutSeconds": 2,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "resources": revision.resources.model_dump(mode="json", exclude_none=True),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
    }


def build_claims_rollout(key: ObjectKey, uid: str, stable: Revision | None, candidate: Candidate) -> Manifest:
    """Return the record of the attempt under way."""
    spec: dict[str, Any] = {
        "model": key.name,
        "attempt": candidate.attempt,
        "candidate": _target(candidate),
    }
    if stable is not None:
        spec["stable"] = _target(stable)
    name = names.rollout(key.name, candidate.attempt)
    return _child(names.CLAIMS_ROLLOUT, key, uid, name, candidate.revision) | {"spec": spec}


def _target(revision: Revision) -> dict[str, Any]:
    return RolloutTarget(revision=revision.revision, version=revision.version).model_dump(by_alias=True)


def _child(kind: Kind, key: ObjectKey, uid: str, name: str, revision: str | None = None) -> Manifest:
    """Return a child's head. Its owner reference lets Kubernetes delete it with the ClaimsModel."""
    own_labels = {labels.MODEL: key.name, "app.kubernetes.io/managed-by": names.FIELD_MANAGER}
    if revision is not None:
        own_labels[labels.REVISION] = revision
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": key.namespace,
            "labels": own_labels,
            "ownerReferences": [
                {
                    "apiVersion": names.CLAIMS_MODEL.api_version,
                    "kind": names.CLAIMS_MODEL.kind,
                    "name": key.name,
                    "uid": uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }
