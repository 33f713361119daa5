"""What the operator tells others: Kubernetes events, the audit log on stdout, its own metrics."""

import datetime as dt
import json
import logging
from collections.abc import Callable
from typing import Any, Final, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from claims_operator.adapters.kubernetes import Cluster
from claims_operator.api import names
from claims_operator.api.names import Manifest, ObjectKey
from claims_operator.api.status import State
from claims_operator.core.decision import Decision, RollBack, Shift
from claims_operator.core.facts import Facts
from claims_operator.core.reconcile import Outcome
from claims_operator.errors import ClusterError

_LOG: Final = logging.getLogger(__name__)
_NOTE_LIMIT: Final = 1024
_MODEL_LABELS: Final = ("model_namespace", "model_name")


class Metrics:
    """Metrics of the operator itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "claims_rollout_decisions_total",
            "Decisions that changed something.",
            (*_MODEL_LABELS, "decision", "reason"),
            registry=registry,
        )
        self.weight = Gauge(
            "claims_rollout_candidate_weight_percent",
            "Percent of requests that the candidate takes; 0 without one.",
            _MODEL_LABELS,
            registry=registry,
        )
        self.state = Gauge(
            "claims_rollout_state", "1 for the state a ClaimsModel is in.", (*_MODEL_LABELS, "state"), registry=registry
        )
        self.ticks = Counter(
            "claims_rollout_ticks_total", "Passes over ClaimsModels, by how they ended.", ("result",), registry=registry
        )
        self.tick_seconds = Histogram(
            "claims_rollout_tick_seconds", "Seconds that one pass over one ClaimsModel took.", registry=registry
        )
        self.leader = Gauge("claims_rollout_leader", "1 while this process holds the Lease.", registry=registry)


class Publisher:
    """Tells of decisions that were recorded. That it fails to tell never stops a rollout."""

    def __init__(
        self,
        cluster: Cluster,
        metrics: Metrics,
        *,
        identity: str,
        audit: TextIO,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._cluster = cluster
        self._metrics = metrics
        self._identity = identity
        self._audit = audit
        self._now = now

    def measure(self, facts: Facts, outcome: Outcome) -> None:
        """Show the recorded state in the metrics."""
        labels = (facts.key.namespace, facts.key.name)
        candidate = outcome.status.candidate
        self._metrics.weight.labels(*labels).set(candidate.weight if candidate is not None else 0)
        for state in State:
            self._metrics.state.labels(*labels, state.value).set(1 if outcome.status.state == state else 0)

    async def announce(self, facts: Facts, outcome: Outcome) -> None:
        """Tell of a decision that changed something: once in the audit log, once as an event."""
        decision = outcome.decision
        kind = type(decision).__name__
        self._metrics.decisions.labels(facts.key.namespace, facts.key.name, kind, decision.reason.value).inc()
        self._write_audit(audit_entry(facts, outcome))
        event = build_event(facts, decision, self._identity, self._now())
        try:
            await self._cluster.create(names.EVENT, event)
        except ClusterError as error:
            _LOG.warning("%s: the event %s was not stored: %s", facts.key, decision.reason, error)

    def released(self, key: ObjectKey) -> None:
        """Tell the audit log that a ClaimsModel was deleted: its own record goes with it."""
        self._write_audit(
            {
                "time": self._now().isoformat(),
                "audit": "ClaimsModel",
                "namespace": key.namespace,
                "model": key.name,
                "decision": "Release",
            }
        )

    def forget(self, key: ObjectKey) -> None:
        """Remove the metrics of a ClaimsModel that is gone."""
        labels = {"model_namespace": key.namespace, "model_name": key.name}
        for metric in (self._metrics.weight, self._metrics.state, self._metrics.decisions):
            metric.remove_by_labels(labels)

    def _write_audit(self, entry: dict[str, Any]) -> None:
        self._audit.write(json.dumps(entry, sort_keys=False) + "\n")
        self._audit.flush()


def audit_entry(facts: Facts, outcome: Outcome) -> dict[str, Any]:
    """Return the line of the audit log: what was decided, on what evidence, and what serves now."""
    status = outcome.status
    before = facts.status.candidate
    candidate = status.candidate or before
    return {
        "time": facts.now.isoformat(),
        "audit": "ClaimsModel",
        "namespace": facts.key.namespace,
        "model": facts.key.name,
        "generation": facts.generation,
        "attempt": status.traffic.attempt,
        "epoch": status.traffic.epoch,
        "decision": type(outcome.decision).__name__,
        "reason": outcome.decision.reason.value,
        "message": outcome.decision.message,
        "stable": None if status.stable is None else status.stable.version,
        "candidate": None if candidate is None else candidate.version,
        "weight": 0 if status.candidate is None else status.candidate.weight,
        "analysis": [metric.model_dump(by_alias=True, mode="json", exclude_none=True) for metric in status.analysis]
        if facts.analysis is not None
        else [],
    }


def build_event(facts: Facts, decision: Decision, identity: str, now: dt.datetime) -> Manifest:
    """Return the Kubernetes event of a decision."""
    warning = isinstance(decision, RollBack) or (isinstance(decision, Shift) and decision.weight == 0)
    return {
        "apiVersion": names.EVENT.api_version,
        "kind": names.EVENT.kind,
        "metadata": {"generateName": f"{facts.key.name}-", "namespace": facts.key.namespace},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "reportingController": f"{names.CLAIMS_MODEL.group}/operator",
        "reportingInstance": identity,
        "action": type(decision).__name__,
        "reason": decision.reason.value,
        "type": "Warning" if warning else "Normal",
        "note": decision.message[:_NOTE_LIMIT],
        "regarding": {
            "apiVersion": names.CLAIMS_MODEL.api_version,
            "kind": names.CLAIMS_MODEL.kind,
            "name": facts.key.name,
            "namespace": facts.key.namespace,
            "uid": facts.uid,
        },
    }
