"""What the commands show of rollouts that the operator makes on a real API server."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.kubectl_claims.command import ROOT, environment, run
from played_cluster import Quality
from played_world import World, model

from claims_cluster import parts
from claims_cluster.controlplane import ControlPlane
from claims_contract import labels
from claims_operator.api import names
from claims_operator.api.names import Kind
from kubectl_claims.connection import Api, Target
from kubectl_claims.errors import Trouble


async def try_second_version(world: World) -> None:
    """Go on until 2.0.0 takes its first requests."""
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.candidate is not None and bool(status.analysis))


def make_pod(api_server: ControlPlane, world: World, revision: str, *, ready: bool) -> None:
    """Make a pod of a revision; there is no kubelet that would."""
    name = f"{names.predictor(world.key.name, revision)}-abcde"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": world.key.namespace,
            "labels": {labels.MODEL: world.key.name, labels.REVISION: revision},
        },
        "spec": {"containers": [{"name": "kserve-container", "image": "model:1"}]},
    }
    api_server.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}}
    api_server.kubectl(
        "patch",
        "pod",
        name,
        "-n",
        world.key.namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        json.dumps(status),
    )


async def test_get_shows_the_tree_of_a_rollout(world: World, api_server: ControlPlane) -> None:
    await try_second_version(world)
    status = await world.status()
    assert status.stable is not None
    assert status.candidate is not None
    make_pod(api_server, world, status.candidate.revision, ready=False)
    answer = await run(api_server.kubeconfig, "get", "claim-risk", "-n", world.key.namespace)

    assert (answer.code, answer.errors) == (0, "")
    rows = [row.lstrip("│├└─ ").split() for row in answer.output.splitlines()]
    by_name = {row[0]: row[1:] for row in rows if row}
    assert by_name["State:"][0] == "Progressing"
    assert by_name[status.stable.revision][:3] == ["Revision", "0/0", "ready"]
    assert by_name[status.candidate.revision][4:] == ["candidate,", "2.0.0,", "10", "%"]
    assert by_name[f"claim-risk-{status.candidate.revision}"][:2] == ["InferenceService", "Ready"]
    assert by_name[f"claim-risk-{status.candidate.revision}-predictor-abcde"][:2] == ["Pod", "NotReady"]
    assert {"errors", "latency"} <= by_name.keys()


async def test_get_gives_programs_the_objects(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    for form, parse in (("json", json.loads), ("yaml", yaml.safe_load)):
        answer = await run(api_server.kubeconfig, "get", "claim-risk", "-n", world.key.namespace, "-o", form)
        seen: dict[str, Any] = parse(answer.output)

        assert seen["claimsModel"]["status"]["stable"]["version"] == "1.0.0"
        assert [service["kind"] for service in seen["inferenceServices"]] == ["InferenceService"]
        assert {event["reason"] for event in seen["events"]} == {"AttemptStarted", "FirstVersion"}


async def test_list_shows_all_namespaces(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    answer = await run(api_server.kubeconfig, "list", "-A", "-o", "wide")

    [row] = [line for line in answer.output.splitlines() if line.startswith(f"{world.key.namespace} ")]
    assert row.split()[1:4] == ["claim-risk", "True", "1.0.0"]
    assert row.endswith("1.0.0 serves all requests")
    narrow = await run(api_server.kubeconfig, "list", "-n", world.key.namespace)
    assert narrow.output.split()[:2] == ["NAME", "READY"]


async def test_an_empty_namespace_is_said_to_be_empty(api_server: ControlPlane, namespace: str) -> None:
    answer = await run(api_server.kubeconfig, "list", "-n", namespace)

    assert (answer.code, answer.output) == (0, "")
    assert answer.errors == f"there are no ClaimsModels in namespace {namespace}\n"


async def test_explain_tells_what_a_rollout_waits_for(world: World, api_server: ControlPlane) -> None:
    await try_second_version(world)
    answer = await run(api_server.kubeconfig, "explain", "claim-risk", "-n", world.key.namespace)

    assert answer.code == 0
    assert len(answer.output.splitlines()) == 1
    assert "claim-risk serves 1.0.0 to 90 % of the requests" in answer.output
    assert "2.0.0 is tried, on step 1 of 2, with 10 % of the requests" in answer.output
    assert "it is rolled back at" in answer.output


async def test_history_lists_attempts_and_shows_one(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    world.traffic.qualities["2.0.0"] = Quality(failed=0.3)
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.state == "RolledBack" and not status.retiring)
    where = ("claim-risk", "-n", world.key.namespace)
    listed = await run(api_server.kubeconfig, "history", *where)
    shown = await run(api_server.kubeconfig, "history", where[0], "2", *where[1:])

    assert [row.split()[:5] for row in listed.output.splitlines()[1:]] == [
        ["1", "-", "1.0.0", "Promoted", "FirstVersion"],
        ["2", "1.0.0", "2.0.0", "RolledBack", "ErrorsFailed"],
    ]
    assert "errors failed (" in listed.output
    assert "Result:    RolledBack (ErrorsFailed)" in shown.output
    assert "Step 1, 10 %, from " in shown.output
    raw = await run(api_server.kubeconfig, "history", where[0], "2", *where[1:], "-o", "json")
    assert json.loads(raw.output)["status"]["evidence"]["metrics"]
    missing = await run(api_server.kubeconfig, "history", where[0], "9", *where[1:])
    assert (missing.code, missing.errors) == (3, "error: claim-risk has no attempt 9 on record; there are: 1, 2\n")


async def test_what_is_not_there_ends_with_3_and_a_sentence(api_server: ControlPlane, namespace: str) -> None:
    for command in (["get"], ["explain"], ["history"], ["wait", "--for=ready"]):
        answer = await run(api_server.kubeconfig, command[0], "nobody", "-n", namespace, *command[1:])

        assert answer.code == 3
        assert answer.errors.startswith(f"error: there is no ClaimsModel nobody in namespace {namespace}")
        assert len(answer.errors.splitlines()) == 1


async def test_a_cluster_without_the_platform_is_named_as_that(api_server: ControlPlane) -> None:
    async with await Api.connect(Target(kubeconfig=api_server.kubeconfig)) as api:
        with pytest.raises(Trouble) as trouble:
            await api.find_all(Kind("elsewhere.example", "v1", "claimsmodels", "ClaimsModel"))

    assert trouble.value.message == "this cluster has no claimsmodels.elsewhere.example; is the platform installed?"


async def test_who_may_see_less_is_shown_less_and_told_so(
    world: World, api_server: ControlPlane, tmp_path: Path
) -> None:
    await world.serve_first_version()
    namespace = world.key.namespace
    api_server.kubectl("create", "serviceaccount", "viewer", "-n", namespace)
    api_server.kubectl("create", "role", "viewer", "-n", namespace, "--verb=get,list,watch",
                       "--resource=claimsmodels.claimsmodel.io,inferenceservices.serving.kserve.io")  # fmt: skip
    api_server.kubectl("create", "rolebinding", "viewer", "-n", namespace, "--role=viewer",
                       f"--serviceaccount={namespace}:viewer")  # fmt: skip
    config = yaml.safe_load(api_server.kubeconfig.read_text(encoding="utf-8"))
    token = api_server.kubectl("create", "token", "viewer", "-n", namespace).strip()
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = namespace
    limited = tmp_path / "config"
    limited.write_text(yaml.safe_dump(config), encoding="utf-8")
    answer = await run(limited, "get", "claim-risk")

    assert answer.code == 0
    assert "InferenceService" in answer.output
    assert "not shown: could not list pods: pods is forbidden" in answer.output
    config["users"][0]["user"] = {"token": "wrong"}
    limited.write_text(yaml.safe_dump(config), encoding="utf-8")
    refused = await run(limited, "get", "claim-risk")
    assert refused.code == 1
    assert "does not accept your credentials; log in again" in refused.errors


async def test_a_certificate_of_an_unknown_authority_is_named_as_that(api_server: ControlPlane, tmp_path: Path) -> None:
    config = yaml.safe_load(api_server.kubeconfig.read_text(encoding="utf-8"))
    for key in ("certificate-authority", "certificate-authority-data"):
        config["clusters"][0]["cluster"].pop(key, None)
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    answer = await run(path, "list")

    assert answer.code == 1
    assert answer.errors.startswith(f"error: the certificate of the API server at {api_server.address} is not trusted")
    assert len(answer.errors.splitlines()) == 1


def test_kubectl_finds_it_as_a_plugin(api_server: ControlPlane, namespace: str, tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-claims"
    plugin.write_text(
        f'#!/bin/sh\nexec {ROOT / ".venv/operator/bin/python"} -m kubectl_claims "$@"\n', encoding="utf-8"
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    variables = environment(api_server.kubeconfig) | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    answer = subprocess.run(
        [parts.program("kubectl"), "claims", "get", "nobody", "-n", namespace],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert answer.returncode == 3
    assert "there is no ClaimsModel nobody" in answer.stderr
