"""A Prometheus and queries of one's own, on a real API server: who is asked what, with which credentials."""

import asyncio
import base64
import json

import pytest
import yaml
from chart.rendering import one, render
from played_prometheus import PlayedPrometheus
from played_world import ANALYSIS, NAME, World, model
from prometheus_scene import Scene, asking

from claims_cluster.controlplane import ControlPlane
from claims_operator.adapters.kubernetes import Cluster
from claims_operator.api.status import ClaimsModelStatus
from claims_operator.errors import Refused

# A Prometheus of one's own ------------------------------------------------------------------------------------------


def secret(api_server: ControlPlane, namespace: str, name: str, **keys: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys}
    api_server.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))


async def test_a_claims_model_is_judged_by_the_prometheus_that_it_names(world: World, api_server: ControlPlane) -> None:
    """Each of the two gets its own credentials, from the first query to the last."""
    own, named = PlayedPrometheus(world.traffic), PlayedPrometheus(world.traffic)
    async with (
        own.serve() as operators,
        named.serve() as teams,
        asking(world, operators.address, token=b"of-the-operator", allowed=(teams.address,)),
    ):
        named_in_spec = {"address": teams.address, "credentialsSecret": "mimir"}
        await world.serve_first_version(analysis={**ANALYSIS, "prometheus": named_in_spec})
        await world.change(model=model(2, "2.0.0"))

        held = await world.run_until(lambda status: status.reason == "AnalysisError")
        assert f"there is no Secret {world.key.namespace}/mimir" in held.message
        secret(api_server, world.key.namespace, "mimir", token="of-the-team", **{"header.X-Scope-OrgID": "risk"})
        await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 50)
        rotated = {"token": base64.b64encode(b"rotated").decode()}
        change = json.dumps({"data": {"header.X-Scope-OrgID": None, **rotated}})
        api_server.kubectl("patch", "secret", "mimir", "-n", world.key.namespace, "--type=merge", "-p", change)
        await world.run_until(lambda status: status.stable.version == "2.0.0")

        seen = [(request.headers["authorization"], request.headers.get("x-scope-orgid")) for request in teams.requests]
        assert list(dict.fromkeys(seen)) == [("Bearer of-the-team", "risk"), ("Bearer rotated", None)]
        assert operators.requests == []
        await world.change(analysis=ANALYSIS, model=model(3, "3.0.0"))
        await world.run_until(lambda status: status.stable.version == "3.0.0")
        assert {request.headers["authorization"] for request in operators.requests} == {"Bearer of-the-operator"}


async def test_an_address_that_was_not_allowed_holds_the_rollout_and_is_not_asked(scene: Scene) -> None:
    elsewhere = PlayedPrometheus(scene.world.traffic)
    async with elsewhere.serve() as server:
        named = {"address": server.address}
        await scene.at_the_first_step(analysis={**ANALYSIS, "prometheus": named})
        held = await scene.world.run_until(lambda status: status.reason == "AnalysisError")

        assert f"the operator may not ask {server.address}" in held.message
        assert "(Helm: prometheus.allowedAddresses)" in held.message
        assert server.requests == []


async def test_the_operator_may_read_the_secrets_it_was_told_of_and_no_others(
    api_server: ControlPlane, namespace: str
) -> None:
    rights = one(render({"prometheus": {"readableSecrets": ["claims-prometheus"]}}), "ClusterRole", "claims-operator")
    rights["metadata"]["name"] = f"secrets-{namespace}"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": namespace}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": rights["metadata"]["name"]},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": rights["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    }
    for manifest in (rights, account, binding):
        api_server.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    secret(api_server, namespace, "claims-prometheus", token="abc")
    secret(api_server, namespace, "database", token="not for the operator")
    token = api_server.kubectl("create", "token", "operator", "-n", namespace).strip()
    kubeconfig = yaml.safe_load(api_server.kubeconfig.read_text(encoding="utf-8"))
    kubeconfig["users"][0]["user"] = {"token": token}
    path = api_server.directory / f"{namespace}.kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    async with await Cluster.connect(kubeconfig=path, request_timeout_seconds=10) as cluster:
        assert await cluster.read_secret(namespace, "claims-prometheus") == {"token": b"abc"}
        assert await cluster.read_secret("default", "claims-prometheus") is None
        with pytest.raises(Refused, match='secrets \\\\"database\\\\" is forbidden'):
            await cluster.read_secret(namespace, "database")
        await asyncio.sleep(0.1)  # aiohttp closes TLS connections in the background.


# Own metrics --------------------------------------------------------------------------------------------------------

REVIEWS = {
    "name": "reviews",
    "query": 'reviews{namespace="{{namespace}}",name="{{name}}",revision="{{revision}}"}',
    "interval": "10s",
    "successCondition": {"maxAboveStable": "0.1"},
    "failureCondition": {"aboveStableBy": "0.2"},
}
OWN = {**ANALYSIS, "metrics": [REVIEWS]}


def by_version(scene: Scene, query: str, shares: dict[str, list[float]]) -> list[float]:
    """Return what the query comes to for the version that it asks for."""
    revision = query.rpartition('revision="')[2].removesuffix('"}')
    assert f'namespace="{scene.world.key.namespace}",name="{NAME}"' in query
    return shares[scene.world.traffic.versions[revision]]


def say(scene: Scene, shares: dict[str, list[float]]) -> None:
    """Let the own query come to these values, by version."""
    scene.prometheus.own = {"reviews": lambda query: by_version(scene, query, shares)}


async def test_an_own_metric_that_passes_is_needed_and_recorded(scene: Scene) -> None:
    shares = {"1.0.0": [0.2], "2.0.0": [0.35]}
    say(scene, shares)
    await scene.at_the_first_step(analysis=OWN)
    held = await scene.world.run_until(lambda status: status.reason == "Inconclusive")
    assert held.message == "reviews is 0.35, stable's 0.2; it must be above stable's by at most 0.1"
    assert held.candidate.weight == 10
    shares["2.0.0"] = [0.25]

    await scene.world.run_until(lambda status: status.stable.version == "2.0.0")
    await scene.world.step()

    [record] = (await scene.rollout())["ownMetrics"]
    assert (record["verdict"], record["value"], record["stableValue"]) == ("Pass", "0.25", "0.2")
    assert record["query"].startswith(f'reviews{{namespace="{scene.world.key.namespace}",name="claim-risk",revision="')


async def test_an_own_metric_that_fails_often_enough_rolls_back_also_when_the_operator_dies(scene: Scene) -> None:
    say(scene, {"1.0.0": [0.2], "2.0.0": [0.45]})
    await scene.at_the_first_step(analysis=OWN)
    looks = set()

    def rolled_back(status: ClaimsModelStatus) -> bool:
        looks.update(metric.message for metric in status.analysis if metric.metric == "reviews")
        return status.state == "RolledBack"

    status = await scene.world.run_until(rolled_back, dying=True)

    assert status.rejected[0].reason == "MetricFailed"
    assert status.rejected[0].message == (
        "2.0.0: reviews is 0.45, stable's 0.2: above stable's by more than 0.2, 3 times in a row"
    )
    assert {message.rpartition(", ")[2].split(" ")[0] for message in looks if "times in a row that" in message} == {
        "1",
        "2",
    }


OWN_TROUBLES = {
    "several series": ([0.1, 0.2], "AnalysisError", 'comes to 2 series and must come to one, by sum() or max()'),
    "no series": ([], "NoData", "reviews: Prometheus has no value: reviews{namespace="),
    "NaN": ([float("nan")], "NoData", "reviews: the value is nan, which is no number"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "reason", "words"), OWN_TROUBLES.values(), ids=OWN_TROUBLES.keys())
async def test_an_own_metric_without_one_value_holds_and_shows_the_query(
    scene: Scene, values: list[float], reason: str, words: str
) -> None:
    shares = {"1.0.0": [0.2], "2.0.0": values}
    say(scene, shares)
    await scene.at_the_first_step(analysis=OWN)

    held = await scene.world.run_until(lambda status: words in status.message)

    assert (held.reason, held.candidate.weight, held.rejected) == (reason, 10, ())
    assert f'name="claim-risk",revision="{held.candidate.revision}"}}' in held.message
    shares["2.0.0"] = [0.2]
    await scene.world.run_until(lambda status: status.stable.version == "2.0.0")


async def test_an_own_query_that_prometheus_refuses_holds_with_its_words(scene: Scene) -> None:
    scene.prometheus.wrong = lambda query: (
        (400, json.dumps({"status": "error", "error": "parse error: unclosed left parenthesis"}))
        if query.startswith("reviews")
        else None
    )
    await scene.at_the_first_step(analysis=OWN)

    held = await scene.world.run_until(lambda status: status.reason == "AnalysisError")

    assert "refused the query reviews{namespace=" in held.message
    assert "parse error: unclosed left parenthesis" in held.message
