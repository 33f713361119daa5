"""Renders the chart with Helm, as objects that tests look into."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from claims_cluster import parts

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "claims-platform"

Object = dict[str, Any]
Values = Mapping[str, Any]

PULL = {"databaseSecret": "settlements", "query": "SELECT 1", "watermarkColumn": "changed", "start": "2025-01-01"}
"""What a pull of outcomes has to be told."""
PULLING: Object = {"feedback": {"pull": {"enabled": True, **PULL}}}


class RefusedError(Exception):
    """Helm did not render; holds what it said."""


def helm_program() -> str:
    """Return Helm: ``$HELM``, the one on PATH, or the local cluster's own."""
    found = os.environ.get("HELM") or shutil.which("helm")
    return found or str(parts.program("helm"))


def run_helm(*arguments: str | Path, stdin: str = "") -> str:
    """Run Helm and return its standard output; raise `RefusedError` where it fails."""
    done = subprocess.run(
        [helm_program(), *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    return done.stdout


def render_text(values: Values | None = None, *, namespace: str = "claims-system") -> str:
    """Return what the chart makes of the values, as YAML."""
    return run_helm(
        "template",
        "claims-platform",
        CHART,
        "--namespace",
        namespace,
        "--values",
        "-",
        stdin=json.dumps(dict(values or {})),
    )


def render(values: Values | None = None, *, namespace: str = "claims-system") -> list[Object]:
    """Return what the chart makes of the values."""
    return [found for found in yaml.safe_load_all(render_text(values, namespace=namespace)) if found]


def one(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    """Return the only object of a kind (and name)."""
    found = [item for item in objects if item["kind"] == kind and name in (None, item["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} and name {name}"
    return found[0]


def pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Return the pod specifications of the Deployments and CronJobs, by name."""
    for item in objects:
        if item["kind"] == "Deployment":
            yield item["metadata"]["name"], item["spec"]["template"]["spec"]
        elif item["kind"] == "CronJob":
            yield item["metadata"]["name"], item["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Return every container the chart describes, also those that KServe puts into its pods, by owner."""
    for name, pod in pods(objects):
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            yield name, container
    yield "claims-mlserver", one(objects, "ClusterServingRuntime")["spec"]["containers"][0]
    yield "claims-storage", one(objects, "ClusterStorageContainer")["spec"]["container"]


def environment(container: Object) -> dict[str, str]:
    """Return the variables of a container that have a plain value."""
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


def nested(path: str, value: object) -> dict[str, Any]:
    """Return values with one set: ``nested("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def merged(*several: Values) -> dict[str, Any]:
    """Return values merged as Helm merges them: later ones win."""
    result: dict[str, Any] = {}
    for values in several:
        for key, value in values.items():
            both_maps = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both_maps else value
    return result
