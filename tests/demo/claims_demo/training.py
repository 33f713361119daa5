"""Training a version in a Kubernetes Job, and what the Job says at its end."""

import dataclasses
import json
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A version that is in the registry."""

    uri: str
    accuracy: float
    """On claims that were held out, in [0, 1]."""


class NoResultError(Exception):
    """The Job ended well but did not say what it registered."""


def arguments(model: str, version: str, options: str) -> list[str]:
    """Return the arguments of ``claims-train`` for one version; ``options`` say what is special about it."""
    return ["train", "--name", model, "--version", version, "--out", "/tmp/package", "--json", *options.split()]  # noqa: S108


def read_result(log: str) -> Trained:
    """Find the line of JSON that ``claims-train --json`` prints."""
    for line in reversed(log.splitlines()):
        if line.startswith("{"):
            result = json.loads(line)
            return Trained(uri=result["uri"], accuracy=float(result["metrics"]["accuracy"]))
    raise NoResultError(f"the training Job printed no line of JSON, only:\n{log[-1000:]}")


def build_job(name: str, image: str, command_arguments: list[str], *, tracking_uri: str) -> dict[str, Any]:
    """Return a Job of one pod that passes Pod Security "restricted". It is removed an hour after its end."""
    container = {
        "name": "train",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": command_arguments,
        "env": [{"name": "MLFLOW_TRACKING_URI", "value": tracking_uri}],
        # Less than one core: traffic and judging go on beside it on a machine of two.
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod, not of this host
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 3600, "template": {"spec": pod}},
    }
