"""Rollouts judged over HTTP by a Prometheus that is well, stopped, slow, empty or wrong, on a real API server."""

import asyncio
import base64
import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from chart.rendering import one, render
from played_cluster import Quality
from played_prometheus import EMPTY, PlayedPrometheus
from played_world import ANALYSIS, NAME, ROLLOUT, World, model
from prometheus_server import scalar, success, vector

from claims_cluster.controlplane import ControlPlane
from claims_operator.adapters.kubernetes import Cluster
from claims_operator.adapters.prometheus import Prometheus
from claims_operator.api import names
from claims_operator.api.status import ClaimsModelStatus
from claims_operator.core import credentials, queries
from claims_operator.core.credentials import Credentials
from claims_operator.errors import Refused
from claims_operator.sources import Sources

TIMEOUT_SECONDS = 3.0
"""Real time: an answer takes milliseconds, and a slow Prometheus never answers."""
OVERDUE_SOON = {**ROLLOUT, "progressDeadline": "2m"}
SELDOM = {**ANALYSIS, "interval": "40s"}
"""Of the played time; a slow Prometheus costs real time at each look."""


@dataclass
class Scene:
    """A world whose operator asks its Prometheus over HTTP."""

    world: World
    prometheus: PlayedPrometheus

    async def at_the_first_step(self, **spec: Any) -> ClaimsModelStatus:
        """Begin a rollout of version 2."""
        await self.world.serve_first_version(**spec)
        await self.world.change(model=model(2, "2.0.0"))
        return await self.world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)

    async def rollout(self) -> dict[str, Any]:
        """Return the status of the ClaimsRollout of version 2."""
        [found] = [item for item in await self.world.children(names.CLAIMS_ROLLOUT) if item["spec"]["attempt"] == 2]
        status: dict[str, Any] = found["status"]
        return status


@contextlib.asynccontextmanager
async def asking(
    world: World, address: str, *, token: bytes | None = None, allowed: tuple[str, ...] = ()
) -> AsyncIterator[None]:
    """Let the operator ask over HTTP."""

    def connect(place: str, of: Credentials) -> Prometheus:
        return Prometheus(place, credentials=of, timeout_seconds=TIMEOUT_SECONDS, now=world.clock.now)

    sources = Sources(
        address=address,
        own_credentials=lambda: credentials.parse({} if token is None else {"token": token}),
        allowed_addresses=allowed,
        read_secret=world.cluster.read_secret,
        connect=connect,
        least_seconds=0,
        now=world.clock.now,
        monotonic=lambda: world.clock.now().timestamp(),
    )
    world.sources = sources
    world.ticker = world.new_process()
    try:
        yield
    finally:
        await sources.close()


@pytest.fixture
async def scene(world: World) -> AsyncIterator[Scene]:
    prometheus = PlayedPrometheus(world.traffic)
    async with prometheus.serve() as server, asking(world, server.address):
        yield Scene(world, prometheus)


async def test_a_good_version_is_promoted_and_a_bad_one_rolled_back(scene: Scene) -> None:
    await scene.at_the_first_step()
    await scene.world.run_until(lambda status: status.stable.version == "2.0.0" and not status.retiring)
    scene.world.traffic.qualities["3.0.0"] = Quality(failed=0.3)
    await scene.world.change(model=model(3, "3.0.0"))

    status = await scene.world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "ErrorsFailed"


# Trouble ------------------------------------------------------------------------------------------------------------

Change = Callable[[PlayedPrometheus], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong with Prometheus, and what the status says of it."""

    begin: Change
    reason: str
    words: str


async def stop(prometheus: PlayedPrometheus) -> None:
    await prometheus.stop()


async def slow_down(prometheus: PlayedPrometheus) -> None:
    assert prometheus.server is not None
    prometheus.server.delay_seconds = 600


async def set_its_clock_wrong(prometheus: PlayedPrometheus) -> None:
    prometheus.ahead_seconds = 7_200


def answering(wrong: Callable[[str], tuple[int, str] | None]) -> Change:
    async def change(prometheus: PlayedPrometheus) -> None:
        prometheus.wrong = wrong

    return change


async def mend(prometheus: PlayedPrometheus) -> None:
    """Let it be well again, whatever was wrong."""
    prometheus.wrong, prometheus.ahead_seconds = lambda _: None, 0.0
    await prometheus.stop()
    await prometheus.start()


def nothing_scraped(query: str) -> tuple[int, str] | None:
    return None if query == queries.CLOCK else success(EMPTY)


def nothing_but_nan(query: str) -> tuple[int, str] | None:
    if not query.startswith("{__name__=~"):
        return None
    labels = {"__name__": queries.HTTP_ANSWERS, queries.CLUSTER_LABEL: "httproute/a/b/rule/1/backend/0"}
    return success({"resultType": "matrix", "result": [{"metric": labels, "values": [[1, "NaN"]]}]})


def other_buckets(query: str) -> tuple[int, str] | None:
    if query != queries.latency_edges():
        return None
    return success(vector(({"le": "100"}, (1, "1")), ({"le": "500"}, (1, "1")), ({"le": "+Inf"}, (1, "1"))))


def refused(_query: str) -> tuple[int, str]:
    return 503, json.dumps({"status": "error", "errorType": "unavailable", "error": "the TSDB is not ready"})


TROUBLES = {
    "stopped": Trouble(begin=stop, reason="AnalysisError", words="cannot be reached"),
    "slow": Trouble(begin=slow_down, reason="AnalysisError", words=f"did not answer within {TIMEOUT_SECONDS:g} s"),
    "empty": Trouble(
        begin=answering(nothing_scraped), reason="NoData", words="Prometheus has no requests from the gateway yet"
    ),
    "NaN": Trouble(
        begin=answering(nothing_but_nan), reason="NoData", words="Prometheus has no requests from the gateway yet"
    ),
    "a web page": Trouble(
        begin=answering(lambda _: (200, "<html>Sign in</html>")),
        reason="AnalysisError",
        words="did not answer as Prometheus does: HTTP 200 <html>Sign in</html>",
    ),
    "not ready": Trouble(
        begin=answering(refused), reason="AnalysisError", words="refused the query time(): the TSDB is not ready"
    ),
    "a part of the data": Trouble(
        begin=answering(lambda _: success(scalar(1.0), warnings=["store 2 is down"])),
        reason="AnalysisError",
        words="warns that data may be missing or wrong: ['store 2 is down']",
    ),
    "a wrong clock": Trouble(
        begin=set_its_clock_wrong, reason="AnalysisError", words="has a clock that is 2:00:00 ahead of the operator's"
    ),
    "other buckets": Trouble(
        begin=answering(other_buckets),
        reason="AnalysisError",
        words="thresholdMilliseconds 250 is no edge of the gateway's latency buckets; use one of 100, 500",
    ),
}
every_trouble = pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())


@every_trouble
async def test_trouble_holds_the_rollout_says_why_and_is_over_when_it_is_over(scene: Scene, trouble: Trouble) -> None:
    before = await scene.at_the_first_step(analysis=SELDOM)
    await trouble.begin(scene.prometheus)

    await scene.world.run_until(lambda status: status.reason == trouble.reason and trouble.words in status.message)
    held = await scene.world.step()
    assert (held.candidate.weight, held.traffic, held.rejected) == (10, before.traffic, ())
    analysed = {condition.type: condition for condition in held.conditions}["Analysed"]
    assert (analysed.status, analysed.reason) == ("False", trouble.reason)
    assert {metric.verdict for metric in held.analysis} <= {"Error", "NoData", "Inconclusive"}

    await mend(scene.prometheus)
    await scene.world.run_until(lambda status: status.stable.version == "2.0.0")


@every_trouble
async def test_trouble_that_stays_ends_in_a_rollback_at_the_deadline(scene: Scene, trouble: Trouble) -> None:
    await scene.at_the_first_step(analysis=SELDOM, rollout=OVERDUE_SOON)
    await trouble.begin(scene.prometheus)

    status = await scene.world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "ProgressDeadlineExceeded"
    assert trouble.words in status.rejected[0].message
    assert status.stable.version == "1.0.0"
    candidate = [weight for seen in scene.world.gateway.history for weight in seen.values() if weight not in (100, 90)]
    assert candidate == [10]


async def test_clocks_that_are_minutes_apart_change_nothing(scene: Scene) -> None:
    scene.prometheus.ahead_seconds = 240
    await scene.at_the_first_step()
    promoted = await scene.world.run_until(lambda status: status.stable.version == "2.0.0")

    scene.prometheus.ahead_seconds = -240
    scene.world.traffic.qualities["3.0.0"] = Quality(failed=0.3)
    await scene.world.change(model=model(3, "3.0.0"))
    status = await scene.world.run_until(lambda status: status.state == "RolledBack")

    assert (promoted.rejected, [rejected.version for rejected in status.rejected]) == ((), ["3.0.0"])


async def test_numbers_that_grow_old_are_no_data_by_whichever_clock(scene: Scene) -> None:
    """The gateway is not scraped any more, and the clock of Prometheus is behind: its samples look no younger."""
    scene.prometheus.ahead_seconds = -240
    await scene.at_the_first_step(analysis={**SELDOM, "errors": {"maxRatio": "0.001", "margin": "0.0001"}})
    await scene.world.run_until(lambda status: status.reason == "Inconclusive")
    scene.prometheus.wrong = nothing_scraped
    stopped_at = scene.world.clock.now()

    status = await scene.world.run_until(lambda status: "has had no numbers from the gateway since" in status.message)

    assert status.reason == "NoData"
    assert scene.world.clock.now() - stopped_at < dt.timedelta(minutes=4), "by the other clock they were fresh"


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
