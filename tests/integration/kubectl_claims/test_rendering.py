"""Render beside the operator: what it shows is what the operator makes."""

import json
from pathlib import Path
from typing import Any

from integration.kubectl_claims.command import run
from played_world import World, claims_model

from claims_cluster.controlplane import ControlPlane
from claims_operator.api import names


def essence(item: dict[str, Any]) -> dict[str, Any]:
    """Return what is not the API server's own."""
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    return {
        "kind": item["kind"],
        "metadata": {key: item["metadata"][key] for key in kept if key in item["metadata"]},
        "spec": item["spec"],
    }


async def test_render_shows_what_the_operator_makes(world: World, api_server: ControlPlane, tmp_path: Path) -> None:
    status = await world.serve_first_version()
    assert status.stable is not None
    live = await world.live()
    file = tmp_path / "claim-risk.json"
    manifest = claims_model(world.key.namespace)
    manifest["metadata"]["uid"] = live["metadata"]["uid"]
    file.write_text(json.dumps(manifest), encoding="utf-8")
    answer = await run(api_server.kubeconfig, "render", str(file), "--digest", status.stable.digest, "-o", "json")
    children = [*await world.children(names.HTTP_ROUTE), *await world.children(names.INFERENCE_SERVICE)]

    assert answer.code == 0
    assert json.loads(answer.output)["items"] == [
        {"apiVersion": child["apiVersion"], **essence(child)} for child in children
    ]
