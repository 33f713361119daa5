"""A ClaimsModel in a cluster whose other parts are played, and the operator's passes over it."""

import asyncio
import datetime as dt
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from played_cluster import PlayedClock, PlayedGateway, PlayedKServe, PlayedRegistry, PlayedTraffic
from prometheus_client import CollectorRegistry

from claims_operator.adapters.kubernetes import Cluster
from claims_operator.adapters.registry import Registry
from claims_operator.api import names
from claims_operator.api.names import Kind, Manifest, ObjectKey
from claims_operator.api.status import ClaimsModelStatus
from claims_operator.api.v1alpha1 import PrometheusReference
from claims_operator.collector import Collector
from claims_operator.core.facts import Platform
from claims_operator.publishing import Metrics, Publisher
from claims_operator.tick import PrometheusServers, Ticker

NAME = "claim-risk"
LONGEST_PAUSE_SECONDS = 60.0

ANALYSIS = {
    "interval": "10s",
    "errors": {"maxRatio": "0.05", "margin": "0.04"},
    "latency": {"thresholdMilliseconds": 250, "minFractionUnder": "0.95", "margin": "0.04"},
}
ROLLOUT = {
    "steps": [
        {"weight": 10, "minDuration": "20s", "minRequests": 50},
        {"weight": 50, "minDuration": "20s", "minRequests": 50},
    ],
    "progressDeadline": "8m",
    "scaleDownDelay": "2m",
}


class Died(BaseException):
    """The operator's process ended in the middle of a pass."""


class MortalCluster(Cluster):
    """A client that dies before its n-th write, counted from 0."""

    writes_left: int | None = None

    async def _send(self, what: str, call: Awaitable[object]) -> object:
        if not what.startswith(("read", "list")) and self.writes_left is not None:
            if self.writes_left == 0:
                call.close()  # type: ignore[attr-defined]  # A coroutine that will not be awaited.
                raise Died(what)
            self.writes_left -= 1
        return await super()._send(what, call)


def claims_model(namespace: str, **spec: Any) -> Manifest:
    """Return a valid ClaimsModel, changed by keyword."""
    return {
        "apiVersion": names.CLAIMS_MODEL.api_version,
        "kind": names.CLAIMS_MODEL.kind,
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "model": {"version": "1.0.0", "uri": "models:/claim-risk/1", "format": {"name": "sklearn"}},
            "serving": {"replicas": {"min": 1}},
            "rollout": ROLLOUT,
            "analysis": ANALYSIS,
            **spec,
        },
    }


def model(number: int, version: str) -> dict[str, Any]:
    """Return spec.model for a version of the registry."""
    return {"version": version, "uri": f"models:/claim-risk/{number}", "format": {"name": "sklearn"}}


@dataclass(frozen=True)
class OneSource:
    """Every ClaimsModel is judged by the same."""

    collector: Collector

    async def find(self, _namespace: str, _named: PrometheusReference | None) -> Collector:
        return self.collector


@dataclass
class World:
    """Everything around one ClaimsModel."""

    cluster: MortalCluster
    registry: Registry
    models: PlayedRegistry
    key: ObjectKey
    clock: PlayedClock = field(default_factory=PlayedClock)
    audit: io.StringIO = field(default_factory=io.StringIO)
    sources: PrometheusServers | None = None
    """What the operator asks; None for the traffic itself, without a Prometheus between."""

    def __post_init__(self) -> None:
        self.traffic = PlayedTraffic(clock=self.clock, name=self.key.name, namespace=self.key.namespace)
        self.kserve = PlayedKServe(self.cluster, self.key.namespace, self.key.name)
        self.gateway = PlayedGateway(self.cluster, self.key.namespace, self.key.name)
        self.ticker = self.new_process()

    def new_process(self) -> Ticker:
        """Return an operator that remembers nothing."""
        return Ticker(
            cluster=self.cluster,
            registry=self.registry,
            sources=self.sources or OneSource(Collector(self.traffic, least_seconds=0, monotonic=lambda: 0)),
            publisher=Publisher(
                self.cluster, Metrics(CollectorRegistry()), identity="test", audit=self.audit, now=self.clock.now
            ),
            platform=Platform(
                gateway_name="claims",
                gateway_namespace="claims-system",
                route_domain="claims.local",
                serving_runtime="claims-mlserver",
                feedback_url="http://claims-feedback.claims-system:8080",
                settle=dt.timedelta(seconds=5),
                drain=dt.timedelta(seconds=5),
            ),
            now=self.clock.now,
        )

    async def play(self, seconds: float) -> None:
        """Let the rest of the world go on."""
        _, route = await asyncio.gather(self.kserve.play(), self.gateway.play())
        self.traffic.flow(route, seconds)
        self.clock.advance(seconds)

    async def step(self) -> ClaimsModelStatus:
        """Make one pass, then let the world go on until the next."""
        done = await self.ticker.tick(self.key)
        await self.play(min(done.recheck_seconds or LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
        return await self.status()

    async def step_dying_everywhere(self) -> ClaimsModelStatus:
        """Make one pass that dies before its first write, then one that dies before its second, and so on."""
        for writes in range(20):
            self.cluster.writes_left = writes
            try:
                done = await self.new_process().tick(self.key)
            except Died:
                continue
            finally:
                self.cluster.writes_left = None
            await self.play(min(done.recheck_seconds or LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
            return await self.status()
        raise AssertionError("a pass makes fewer writes than this")

    async def run_until(
        self, reached: Callable[[ClaimsModelStatus], bool], *, steps: int = 120, dying: bool = False
    ) -> ClaimsModelStatus:
        """Go on until the status is as wanted."""
        status = await self.status()
        for _ in range(steps):
            if reached(status):
                return status
            status = await (self.step_dying_everywhere() if dying else self.step())
            for revision in (status.stable, status.candidate, *status.retiring):
                if revision is not None:
                    self.traffic.versions[revision.revision] = revision.version
        raise AssertionError(f"not reached after {steps} passes: {status.state} {status.reason} {status.message}")

    async def status(self) -> ClaimsModelStatus:
        return ClaimsModelStatus.model_validate((await self.live()).get("status", {}))

    async def live(self) -> Manifest:
        found = await self.cluster.get(names.CLAIMS_MODEL, self.key.namespace, self.key.name)
        assert found is not None
        return found

    async def create(self, **spec: Any) -> None:
        await self.cluster.create(names.CLAIMS_MODEL, claims_model(self.key.namespace, **spec))

    async def change(self, **spec: Any) -> None:
        live = await self.live()
        await self.cluster.replace(names.CLAIMS_MODEL, {**live, "spec": {**live["spec"], **spec}})

    async def serve_first_version(self, **spec: Any) -> ClaimsModelStatus:
        await self.create(**spec)
        return await self.run_until(lambda status: status.state == "Serving" and is_true(status, "Ready"))

    async def children(self, kind: Kind) -> list[Manifest]:
        return await self.cluster.list_children(kind, self.key.namespace, self.key.name)

    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.getvalue().splitlines()]


def is_true(status: ClaimsModelStatus, type_: str) -> bool:
    """Return whether a condition is True."""
    return any(condition.type == type_ and condition.status == "True" for condition in status.conditions)
