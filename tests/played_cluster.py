"""The parts of a cluster that the operator's tests play: KServe, the gateway, MLflow, traffic and outcomes."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from claims_contract import labels
from claims_operator.adapters.kubernetes import Cluster
from claims_operator.api import names
from claims_operator.api.names import Kind, Manifest
from claims_operator.core.own_metrics import Answer
from claims_operator.core.snapshot import (
    INFINITE_EDGE,
    Backend,
    Counter,
    OutcomeTotal,
    Scope,
    Snapshot,
    bucket_kind,
    http_kind,
)

EDGES = (100.0, 250.0, 500.0)
REST_RULE = 1
WHOLE_WEIGHT = 1_000_000


@dataclass
class PlayedClock:
    """A clock that moves when the test says so."""

    time: dt.datetime = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)


@dataclass(frozen=True)
class Quality:
    """How a version answers: shares of its requests and decisions."""

    failed: float = 0.001
    slow: float = 0.002
    wrong: float = 0.1


@dataclass
class PlayedTraffic:
    """Requests through the route as it is, counted as the gateway and the feedback service count them."""

    clock: PlayedClock
    name: str
    namespace: str
    requests_per_second: float = 200
    qualities: dict[str, Quality] = field(default_factory=dict)
    """By version; a version that is not named has the usual quality."""
    versions: dict[str, str] = field(default_factory=dict)
    """Revision → version."""
    silent: bool = False
    """Prometheus does not answer."""
    counted: dict[tuple[int, str], float] = field(default_factory=dict)
    outcomes: dict[tuple[str, int, int, str], float] = field(default_factory=dict)

    def flow(self, route: Manifest | None, seconds: float) -> None:
        """Let requests come for a while."""
        if route is None or labels.MODEL not in route["metadata"].get("labels", {}):
            return
        for slot, backend in enumerate(route["spec"]["rules"][REST_RULE]["backendRefs"]):
            requests = self.requests_per_second * seconds * backend["weight"] / WHOLE_WEIGHT
            self._count(slot, backend, requests)

    def _count(self, slot: int, backend: dict[str, Any], requests: float) -> None:
        revision = _revision_of(backend)
        quality = self.qualities.get(self.versions.get(revision, ""), Quality())
        stratum = backend["filters"][0]["requestHeaderModifier"]["set"][0]["value"]
        attempt, epoch = (int(number) for number in stratum.split("."))
        shares = {
            http_kind("2"): 1 - quality.failed,
            http_kind("5"): quality.failed,
            bucket_kind(250): 1 - quality.slow,
            bucket_kind(500): 1.0,
            INFINITE_EDGE: 1.0,
        }
        for kind, share in shares.items():
            self.counted[slot, kind] = self.counted.get((slot, kind), 0.0) + requests * share
        for result, share in (("tp", 1 - quality.wrong), ("fp", quality.wrong)):
            key = (revision, attempt, epoch, result)
            self.outcomes[key] = self.outcomes.get(key, 0.0) + requests * share

    async def collect(self, scope: Scope) -> Snapshot:
        """Answer as the collector of Prometheus does, which reads the buckets it is asked for."""
        if self.silent:
            return Snapshot(collected_at=self.clock.now(), error="Prometheus does not answer")
        at = self.clock.now().timestamp()
        gateway: dict[Backend, tuple[Counter, ...]] = {}
        unasked = {bucket_kind(edge) for edge in EDGES if not scope.reads(edge)}
        for (slot, kind), value in self.counted.items():
            if kind in unasked:
                continue
            backend = Backend(namespace=self.namespace, route=self.name, rule=REST_RULE, slot=slot)
            counter = Counter(kind=kind, instance="envoy-1", value=float(int(value)), at=at)
            gateway[backend] = (*gateway.get(backend, ()), counter)
        totals = tuple(
            OutcomeTotal(revision=revision, attempt=attempt, epoch=epoch, result=result, value=float(int(value)), at=at)
            for (revision, attempt, epoch, result), value in self.outcomes.items()
        )
        return Snapshot(
            collected_at=self.clock.now(),
            gateway=gateway,
            outcomes={(self.namespace, self.name): totals},
            latency_edges=EDGES,
        )

    async def ask(self, query: str) -> Answer:
        """Own metrics are asked of a real HTTP server (`played_prometheus`)."""
        raise AssertionError(f"nobody asks for own metrics here: {query}")

    async def close(self) -> None:
        """There is nothing to close."""


class PlayedKServe:
    """Makes a Deployment per InferenceService, and says how they are."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self._cluster, self._namespace, self._name = cluster, namespace, name
        self.down: set[str] = set()
        """Registry versions whose pods are not there."""

    async def play(self) -> None:
        services, deployments = await asyncio.gather(
            *(
                self._cluster.list_children(kind, self._namespace, self._name)
                for kind in (names.INFERENCE_SERVICE, names.DEPLOYMENT)
            )
        )
        existing = {item["metadata"]["name"]: item for item in deployments}
        wanted = set()
        for service in services:
            name = f"{service['metadata']['name']}-predictor"
            wanted.add(name)
            predictor = service["spec"]["predictor"]
            number = predictor["model"]["storageUri"].partition("?")[0].rpartition("/")[2]
            replicas = 0 if number in self.down else predictor["minReplicas"]
            deployment = existing.get(name) or await self._cluster.create(names.DEPLOYMENT, _deployment(service, name))
            await _say(self._cluster, names.DEPLOYMENT, deployment, _deployment_status(deployment, replicas))
            ready = "True" if replicas else "False"
            conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-20T12:00:00Z"}]
            await _say(self._cluster, names.INFERENCE_SERVICE, service, {"conditions": conditions})
        for name, deployment in existing.items():
            if name not in wanted:
                await self._cluster.delete(names.DEPLOYMENT, deployment)


async def _say(cluster: Cluster, kind: Kind, item: Manifest, status: dict[str, Any]) -> Manifest:
    """Set the status of an object, where it is another than it has."""
    return item if item.get("status") == status else await cluster.replace_status(kind, item, status)


def _deployment(service: Manifest, name: str) -> Manifest:
    metadata = service["metadata"]
    pod = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": metadata["namespace"], "labels": metadata["labels"]},
        "spec": {
            "replicas": service["spec"]["predictor"]["minReplicas"],
            "selector": {"matchLabels": pod},
            "template": {"metadata": {"labels": pod}, "spec": {"containers": [{"name": "model", "image": "model:1"}]}},
        },
    }


def _deployment_status(deployment: Manifest, replicas: int) -> dict[str, Any]:
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
    }


class PlayedGateway:
    """Accepts routes, and refuses what the real one answers 500 for: a backend that goes away or changes its index."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self._cluster, self._namespace, self._name = cluster, namespace, name
        self.asleep = False
        self.history: list[dict[str, int]] = []
        """Percent of requests by revision, each time they changed."""
        self._slots: dict[str, int] = {}

    async def play(self) -> Manifest | None:
        route = await self._cluster.get(names.HTTP_ROUTE, self._namespace, self._name)
        if route is None or self.asleep:
            return route
        if labels.MODEL in route["metadata"].get("labels", {}):
            self._take_over([rule["backendRefs"] for rule in route["spec"]["rules"]])
        generation = route["metadata"]["generation"]
        conditions = [
            {
                "type": type_,
                "status": "True",
                "reason": type_,
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": "2026-11-20T12:00:00Z",
            }
            for type_ in ("Accepted", "ResolvedRefs")
        ]
        parent = {
            "parentRef": route["spec"]["parentRefs"][0],
            "controllerName": "example.com/gateway",
            "conditions": conditions,
        }
        return await _say(self._cluster, names.HTTP_ROUTE, route, {"parents": [parent]})

    def _take_over(self, rules: list[list[dict[str, Any]]]) -> None:
        shared = [[(_revision_of(backend), backend["weight"]) for backend in rule] for rule in rules]
        assert shared[0] == shared[REST_RULE], "gRPC and REST go to the same revisions"
        backends = shared[REST_RULE]
        assert len(backends) == 2, "the gateway drops a cluster that requests are still sent to"
        assert all(weight > 0 for _, weight in backends), "the gateway makes no cluster of a backend without weight"
        assert sum(weight for _, weight in backends) == WHOLE_WEIGHT
        # By rising weight: a revision that fills both slots has the one with the larger.
        slots = {revision: slot for slot, (revision, _) in sorted(enumerate(backends), key=lambda item: item[1][1])}
        stays = slots.keys() & self._slots.keys()
        assert {name: slots[name] for name in stays} == {name: self._slots[name] for name in stays}, "slots stay"
        self._slots = slots
        weights = {name: sum(weight for other, weight in backends if other == name) for name in slots}
        percents = {name: weight * 100 // WHOLE_WEIGHT for name, weight in weights.items()}
        assert sum(percents.values()) == 100, "shares are whole percents"
        if not self.history or self.history[-1] != percents:
            self.history.append(percents)


def _revision_of(backend: dict[str, Any]) -> str:
    """Return the revision of a backend's Service, which is also what the backend tells clients."""
    [variant] = backend["filters"][1]["responseHeaderModifier"]["set"]
    revision = str(variant["value"])
    assert backend["name"].endswith(f"-{revision}-predictor")
    return revision


@dataclass
class PlayedRegistry:
    """MLflow's REST API over a few model versions."""

    versions: dict[str, str] = field(default_factory=dict)
    """Registry version → semantic version."""
    aliases: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve; yield the base URL."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/api/2.0/mlflow/model-versions/get", self._get),
                web.get("/api/2.0/mlflow/registered-models/alias", self._by_alias),
            ]
        )
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        return self._answer(request.query["name"], request.query["version"])

    async def _by_alias(self, request: web.Request) -> web.Response:
        return self._answer(request.query["name"], self.aliases.get(request.query["alias"], ""))

    def _answer(self, name: str, number: str) -> web.Response:
        self.asked += 1
        if number not in self.versions:
            return web.json_response(
                {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Model Version {number} not found"}, status=404
            )
        digest = f"sha256:{int(number):064x}"
        tags = [
            {"key": "claims.digest", "value": digest},
            {"key": "claims.version", "value": self.versions[number]},
        ]
        return web.json_response({"model_version": {"name": name, "version": number, "tags": tags}})
