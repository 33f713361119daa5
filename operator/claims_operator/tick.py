"""One pass over one ClaimsModel: read, judge, decide, record, apply. Every await of a tick is here or below."""

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from claims_operator.adapters.kubernetes import Cluster
from claims_operator.api import names, validation
from claims_operator.api.names import Manifest, ObjectKey
from claims_operator.api.reasons import Reason
from claims_operator.api.status import (
    ClaimsModelStatus,
    ClaimsRolloutStatus,
    ResolvedModel,
    Revision,
    State,
)
from claims_operator.api.v1alpha1 import ClaimsModelSpec, ModelSource, PrometheusReference
from claims_operator.collector import Collector
from claims_operator.core import cleanup, desired, facts, judging, own_metrics, replicas
from claims_operator.core.analysis import absorb, assess
from claims_operator.core.decision import Hold
from claims_operator.core.facts import Facts, Obstacle, Platform, Unresolved
from claims_operator.core.reconcile import Outcome, reconcile
from claims_operator.errors import ClusterError, ModelUnusable, RegistryUnavailable, TickIncomplete
from claims_operator.publishing import Publisher
from claims_operator.worker import Pass

ROLLOUT_HISTORY: Final = 10
"""So many ClaimsRollouts of one ClaimsModel are kept."""

RELEASE_RECHECK_SECONDS: Final = 2.0

_KINDS: Final = {
    kind.kind: kind for kind in (names.HTTP_ROUTE, names.INFERENCE_SERVICE, names.CLAIMS_ROLLOUT, names.CLAIMS_MODEL)
}


class ModelRegistry(Protocol):
    """Where a spec's model is pinned."""

    async def resolve(self, model: ModelSource) -> ResolvedModel:
        """Pin a model; raise ModelUnusable or RegistryUnavailable."""
        ...


class PrometheusServers(Protocol):
    """Where counters come from."""

    async def find(self, namespace: str, named: PrometheusReference | None) -> Collector:
        """Return the collector that a ClaimsModel is judged by."""
        ...


@dataclass(frozen=True, kw_only=True)
class Children:
    """What was read of a ClaimsModel's children; all of it is ours."""

    route: Manifest | None
    inference_services: dict[str, Manifest]
    deployments: list[Manifest]
    rollouts: dict[str, Manifest]
    strangers: frozenset[tuple[str, str]]
    """Kind and name of objects that have a child's name and another owner, or none."""

    def find(self, kind: str, name: str) -> Manifest | None:
        """Return a child as it was read."""
        if kind == names.HTTP_ROUTE.kind:
            return self.route
        return (self.inference_services if kind == names.INFERENCE_SERVICE.kind else self.rollouts).get(name)


@dataclass(kw_only=True)
class Ticker:
    """Makes passes. It remembers only what it applied last, to send nothing twice."""

    cluster: Cluster
    registry: ModelRegistry
    sources: PrometheusServers
    publisher: Publisher
    platform: Platform
    now: Callable[[], dt.datetime]
    applied: dict[tuple[ObjectKey, str, str], str] = field(default_factory=dict)

    async def tick(self, key: ObjectKey) -> Pass:
        """Make one pass; return when the next is due that no watch event asks for."""
        live = await self.cluster.get(names.CLAIMS_MODEL, key.namespace, key.name)
        if live is None:
            self._forget(key)
            return Pass(is_gone=True)
        if "deletionTimestamp" in live["metadata"]:
            return await self._clean_up(key, live)
        if names.FINALIZER not in live["metadata"].get("finalizers", ()):
            finalizers = (*live["metadata"].get("finalizers", ()), names.FINALIZER)
            live = await self.cluster.set_finalizers(names.CLAIMS_MODEL, live, finalizers)
        spec = ClaimsModelSpec.model_validate(live["spec"])
        before = ClaimsModelStatus.model_validate(live.get("status", {}))
        status, target = await self._resolve(live["metadata"]["uid"], spec, before)
        children = await self._read_children(key, live["metadata"]["uid"], status, target)
        known = self._observe(key, live, spec, status, target, children)
        known = await self._judge(known, children)
        outcome = reconcile(known)
        # Recorded first: if we die before applying, the next tick applies what we meant.
        if outcome.status != before:
            await self.cluster.replace_status(names.CLAIMS_MODEL, live, outcome.status.to_json())
        self.publisher.measure(known, outcome)
        if not isinstance(outcome.decision, Hold):
            await self.publisher.announce(known, outcome)
        await self._apply(key, outcome, children)
        recheck = outcome.recheck_after
        return Pass(recheck_seconds=None if recheck is None else recheck.total_seconds())

    # Read -----------------------------------------------------------------------------------------------------------

    async def _resolve(
        self, uid: str, spec: ClaimsModelSpec, status: ClaimsModelStatus
    ) -> tuple[ClaimsModelStatus, Revision | Unresolved]:
        """Pin the model once per change of spec.model; the registry is not needed for anything else."""
        pinned, asked = status.model, spec.model
        if pinned is None or (pinned.version, pinned.requested_uri, pinned.format) != (
            asked.version,
            asked.uri,
            asked.format.name,
        ):
            try:
                pinned = await self.registry.resolve(asked)
            except ModelUnusable as error:
                return status, Unresolved(reason=Reason(error.reason), message=str(error))
            except RegistryUnavailable as error:
                return status, Unresolved(reason=Reason.REGISTRY_UNAVAILABLE, message=str(error))
        return status.model_copy(update={"model": pinned}), facts.build_revision(uid, pinned, spec)

    async def _read_children(
        self, key: ObjectKey, uid: str, status: ClaimsModelStatus, target: Revision | Unresolved
    ) -> Children:
        route, listed, deployments, rollouts = await asyncio.gather(
            self.cluster.get(names.HTTP_ROUTE, key.namespace, key.name),
            self.cluster.list_children(names.INFERENCE_SERVICE, key.namespace, key.name),
            self.cluster.list_children(names.DEPLOYMENT, key.namespace, key.name),
            self.cluster.list_children(names.CLAIMS_ROLLOUT, key.namespace, key.name),
        )
        services = {item["metadata"]["name"]: item for item in listed}
        wanted = {names.inference_service(key.name, item.revision) for item in desired.wanted(status)}
        if isinstance(target, Revision):
            wanted.add(names.inference_service(key.name, target.revision))
        # A stranger has our name, and not our label: it is not in the list.
        unlisted = await asyncio.gather(
            *(
                self.cluster.get(names.INFERENCE_SERVICE, key.namespace, name)
                for name in sorted(wanted - services.keys())
            )
        )
        services |= {item["metadata"]["name"]: item for item in unlisted if item is not None}
        everything = [*services.values(), *rollouts] + ([route] if route is not None else [])
        strangers = frozenset(
            (item["kind"], item["metadata"]["name"]) for item in everything if not facts.is_owned(item, uid)
        )
        return Children(
            route=None if route is None or not facts.is_owned(route, uid) else route,
            inference_services={name: item for name, item in services.items() if facts.is_owned(item, uid)},
            deployments=deployments,
            rollouts={item["metadata"]["name"]: item for item in rollouts if facts.is_owned(item, uid)},
            strangers=strangers,
        )

    def _observe(
        self,
        key: ObjectKey,
        live: Manifest,
        spec: ClaimsModelSpec,
        status: ClaimsModelStatus,
        target: Revision | Unresolved,
        children: Children,
    ) -> Facts:
        problems = validation.problems(key, spec, self.platform.route_domain)
        gateway = desired.gateway(spec, self.platform)
        rollout = children.rollouts.get(names.rollout(key.name, status.traffic.attempt))
        return Facts(
            key=key,
            uid=live["metadata"]["uid"],
            generation=live["metadata"]["generation"],
            spec=spec,
            status=status,
            obstacles=tuple(
                [Obstacle(reason=Reason.INVALID_SPEC, message=str(problem)) for problem in problems]
                + [
                    Obstacle(
                        reason=Reason.NAME_TAKEN,
                        message=f"{kind} {key.namespace}/{name} exists and does not belong to this ClaimsModel;"
                        " delete it, or give the ClaimsModel another name",
                    )
                    for kind, name in sorted(children.strangers)
                ]
            ),
            target=target,
            revisions=facts.read_revisions(
                children.inference_services.values(), children.deployments, spec.serving.replicas.min
            ),
            route=None if children.route is None else facts.read_route(children.route, gateway.name, gateway.namespace),
            rollout=None if rollout is None else ClaimsRolloutStatus.model_validate(rollout.get("status", {})),
            analysis=None,
            platform=self.platform,
            now=self.now(),
        )

    # Judge ----------------------------------------------------------------------------------------------------------

    async def _judge(self, known: Facts, children: Children) -> Facts:
        """Take the metrics in when it is time, record the evidence, and say what it means for the step."""
        window = judging.window(known.key, known.status, self.platform.settle)
        candidate = known.status.candidate
        if window is None or candidate is None or known.rollout is None:
            return known
        limits = judging.limits(known.spec)
        evidence, rollout = judging.recall(known.rollout, limits), known.rollout
        programmed = known.route is not None and known.route.programmed
        if programmed and judging.next_look(known.spec, rollout, known.now) <= known.now:
            collector = await self.sources.find(known.key.namespace, known.spec.analysis.prometheus)
            threshold = known.spec.analysis.latency.threshold_milliseconds
            snapshot = await collector.snapshot(known.key.namespace, known.key.name, threshold)
            snapshot = replicas.without_lagging(snapshot, window, evidence.gateway)
            evidence = absorb(evidence, snapshot, window, limits, known.now)
            due = own_metrics.due(known.spec, rollout.own_metrics, window, known.now)
            own = own_metrics.asked_for(known.spec, rollout.own_metrics)
            if snapshot.error is None:  # Otherwise the error holds the rollout already.
                own = await collector.ask(due, own, window, known.now)
            changes = {"evidence": evidence.to_json(), "own_metrics": own, "judged_at": known.now}
            rollout = rollout.model_copy(update=changes)
            name = names.rollout(known.key.name, candidate.attempt)
            # Nothing is decided on evidence that is not recorded.
            children.rollouts[name] = await self.cluster.replace_status(
                names.CLAIMS_ROLLOUT, children.rollouts[name], rollout.to_json()
            )
        gate = judging.gate(known.spec, candidate.step)
        analysis = own_metrics.joined(
            assess(evidence, limits, gate, window, known.now), known.spec, rollout.own_metrics, window
        )
        return replace(known, rollout=rollout, analysis=analysis)

    # Apply ----------------------------------------------------------------------------------------------------------

    async def _apply(self, key: ObjectKey, outcome: Outcome, children: Children) -> None:
        """Send what differs. One failure keeps nothing else back: the route must not wait for KServe."""
        failures: list[ClusterError] = []
        for manifest in outcome.manifests:
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            if (kind, name) in children.strangers:
                continue
            try:
                await self._send(key, manifest, children.find(kind, name))
            except ClusterError as failure:
                failures.append(failure)
        try:
            await self._write_history(key, outcome, children)
            await self._delete_what_is_not_wanted(key, outcome, children)
        except ClusterError as failure:
            failures.append(failure)
        if failures:
            raise TickIncomplete(tuple(failures))

    async def _send(self, key: ObjectKey, manifest: Manifest, live: Manifest | None) -> None:
        slot = (key, manifest["kind"], manifest["metadata"]["name"])
        content = names.content_hash(manifest)
        if live is not None and self.applied.get(slot) == content and is_contained(manifest, live):
            return
        await self.cluster.apply(_KINDS[manifest["kind"]], manifest)
        self.applied[slot] = content

    async def _write_history(self, key: ObjectKey, outcome: Outcome, children: Children) -> None:
        if outcome.rollout is None:
            return
        name = names.rollout(key.name, outcome.status.traffic.attempt)
        live = children.rollouts.get(name)
        if live is not None and ClaimsRolloutStatus.model_validate(live.get("status", {})) != outcome.rollout:
            await self.cluster.replace_status(names.CLAIMS_ROLLOUT, live, outcome.rollout.to_json())

    async def _delete_what_is_not_wanted(self, key: ObjectKey, outcome: Outcome, children: Children) -> None:
        wanted = {names.inference_service(key.name, item.revision) for item in desired.wanted(outcome.status)}
        for name, service in children.inference_services.items():
            if name not in wanted and "deletionTimestamp" not in service["metadata"]:
                await self.cluster.delete(names.INFERENCE_SERVICE, service)
        by_age = sorted(children.rollouts.values(), key=lambda item: -int(item["spec"]["attempt"]))
        for rollout in by_age[ROLLOUT_HISTORY:]:
            await self.cluster.delete(names.CLAIMS_ROLLOUT, rollout)

    # Clean up -------------------------------------------------------------------------------------------------------

    async def _clean_up(self, key: ObjectKey, live: Manifest) -> Pass:
        metadata = live["metadata"]
        route = await self.cluster.get(names.HTTP_ROUTE, key.namespace, key.name)
        if route is not None and not facts.is_owned(route, metadata["uid"]):
            route = None
        step = cleanup.next_step(
            finalizers=tuple(metadata.get("finalizers", ())),
            route_exists=route is not None,
            deleted_at=dt.datetime.fromisoformat(metadata["deletionTimestamp"]),
            drain=self.platform.drain,
            now=self.now(),
        )
        match step:
            case cleanup.CleanupStep.NOTHING:
                return Pass()
            case cleanup.CleanupStep.WAIT:
                return Pass(recheck_seconds=RELEASE_RECHECK_SECONDS)
            case cleanup.CleanupStep.DELETE_ROUTE:
                before = ClaimsModelStatus.model_validate(live.get("status", {}))
                message = "the route is deleted first, then the InferenceServices"
                status = before.model_copy(
                    update={"state": State.DELETING, "reason": Reason.DELETING, "message": message}
                )
                await self.cluster.replace_status(names.CLAIMS_MODEL, live, status.to_json())
                if route is not None:
                    await self.cluster.delete(names.HTTP_ROUTE, route)
                return Pass(recheck_seconds=RELEASE_RECHECK_SECONDS)
            case cleanup.CleanupStep.RELEASE:
                kept = tuple(name for name in metadata["finalizers"] if name != names.FINALIZER)
                await self.cluster.set_finalizers(names.CLAIMS_MODEL, live, kept)
                self.publisher.released(key)
                return Pass()

    def _forget(self, key: ObjectKey) -> None:
        self.applied = {slot: content for slot, content in self.applied.items() if slot[0] != key}
        self.publisher.forget(key)


def is_contained(wanted: object, live: object) -> bool:
    """Return whether an object has every field that a manifest sets, with its value; lists must be equal in length."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            name in live and is_contained(value, live[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(wanted) == len(live)
            and all(is_contained(value, other) for value, other in zip(wanted, live, strict=True))
        )
    return wanted == live
