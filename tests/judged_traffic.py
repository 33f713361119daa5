"""A gateway and a feedback service that count, looked at as Prometheus shows them, for tests of the judging."""

import datetime as dt
import json

from claims_operator.api.outcomes import Labels
from claims_operator.core.analysis import (
    AccuracyLimits,
    Analysis,
    Assessment,
    ErrorLimits,
    Evidence,
    Gate,
    LatencyLimits,
    Limits,
    OutcomeLimits,
    Snapshot,
    Window,
    absorb,
    assess,
)
from claims_operator.core.snapshot import (
    INFINITE_EDGE,
    Backend,
    Counter,
    OutcomeTotal,
    bucket_kind,
    grpc_kind,
    http_kind,
)

STABLE, CANDIDATE = 0, 1
GRPC, REST = 0, 1
EDGES = (100.0, 250.0, 500.0, 1000.0)
START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FINAL = Gate(final=True)
FIRST_STEP = Gate(final=False, margin_factor=5.0)
ERRORS = ErrorLimits(max_ratio=0.05, margin=0.02)
LATENCY = LatencyLimits(threshold_milliseconds=250, min_fraction_under=0.95, margin=0.02)
ACCURACY = AccuracyLimits(margin=0.05, min=0.7)


class Traffic:
    """A gateway and a feedback service that count, and a Prometheus that has scraped them just now."""

    def __init__(self, **asked: ErrorLimits | LatencyLimits | OutcomeLimits | Labels | float) -> None:
        self.limits = Limits(**({"confidence": 0.95, "interval_seconds": 30.0} | asked))  # type: ignore[arg-type]
        self.window = Window(
            namespace="claims", name="claim-risk", attempt=2, epoch=1, stable_slot=STABLE, candidate_slot=CANDIDATE,
            stable_revision="aaa", candidate_revision="bbb", route_key="aaa,bbb", not_before=START,
        )  # fmt: skip
        self.evidence = Evidence.empty(self.limits)
        self.now = START
        self.counted: dict[tuple[int, int, str], float] = {}
        self.labelled: dict[tuple[str, int, int, str], float] = {}
        self.edges: tuple[float, ...] = EDGES
        self.requests(STABLE, 10_000, failed=20, slow=50)
        self.requests(CANDIDATE, 0)

    def requests(self, slot: int, total: float, *, failed: float = 0, slow: float = 0) -> None:
        """Count REST requests."""
        self.count(REST, slot, http_kind("2"), total - failed)
        self.count(REST, slot, http_kind("5"), failed)
        self.times(REST, slot, total, slow=slow)

    def grpc(self, slot: int, statuses: dict[int, float], *, classes: dict[str, float] | None = None) -> None:
        """Count gRPC requests: all HTTP 200 where nothing else is said."""
        for status, number in statuses.items():
            self.count(GRPC, slot, grpc_kind(status), number)
        for name, number in (classes or {"2": sum(statuses.values())}).items():
            self.count(GRPC, slot, http_kind(name), number)

    def times(self, rule: int, slot: int, total: float, *, slow: float) -> None:
        self.count(rule, slot, INFINITE_EDGE, total)
        self.count(rule, slot, bucket_kind(250), total - slow)

    def count(self, rule: int, slot: int, kind: str, number: float) -> None:
        self.counted[rule, slot, kind] = self.counted.get((rule, slot, kind), 0.0) + number

    def outcomes(self, revision: str, total: float, *, wrong: float, epoch: int = 1, attempt: int = 2) -> None:
        """Count outcomes of requests that were served in an epoch."""
        self.results(revision, epoch=epoch, attempt=attempt, tp=total - wrong, fn=wrong)

    def results(self, revision: str, *, epoch: int = 1, attempt: int = 2, **counts: float) -> None:
        """Count outcomes by result."""
        for result, number in counts.items():
            key = (revision, attempt, epoch, result)
            self.labelled[key] = self.labelled.get(key, 0.0) + number

    def snapshot(self, *, scraped: dt.datetime | None = None) -> Snapshot:
        at = (scraped or self.now).timestamp()
        gateway: dict[Backend, list[Counter]] = {}
        for (rule, slot, kind), value in self.counted.items():
            backend = Backend(namespace="claims", route="claim-risk", rule=rule, slot=slot)
            gateway.setdefault(backend, []).append(Counter(kind=kind, instance="envoy", value=value, at=at))
        totals = tuple(
            OutcomeTotal(revision=revision, attempt=attempt, epoch=epoch, result=result, value=value, at=at)
            for (revision, attempt, epoch, result), value in self.labelled.items()
        )
        return Snapshot(
            collected_at=self.now,
            gateway={backend: tuple(found) for backend, found in gateway.items()},
            outcomes={("claims", "claim-risk"): totals} if totals else {},
            latency_edges=self.edges,
        )

    def look(self, snapshot: Snapshot | None = None) -> None:
        """Let 30 seconds pass and take a look in; the state goes through JSON, as after a restart."""
        self.now += dt.timedelta(seconds=30)
        after = absorb(self.evidence, snapshot or self.snapshot(), self.window, self.limits, self.now)
        self.evidence = Evidence.from_json(json.loads(json.dumps(after.to_json())))
        assert self.evidence == after

    def judge(self, gate: Gate = FINAL) -> Analysis:
        return assess(self.evidence, self.limits, gate, self.window, self.now)

    def only(self, gate: Gate = FINAL) -> Assessment:
        """Return the assessment of the one metric that is asked for."""
        (assessment,) = self.judge(gate).assessments
        return assessment


def steady(traffic: Traffic, looks: int, *, failed: float = 0, slow: float = 0, candidate_total: int = 100) -> Traffic:
    """Serve stable at 0.2 % failed and 0.5 % slow, and the candidate as said (counts of ``candidate_total``)."""
    traffic.look()
    for _ in range(looks):
        traffic.requests(STABLE, 1_000, failed=2, slow=5)
        traffic.requests(CANDIDATE, candidate_total, failed=failed, slow=slow)
        traffic.look()
    return traffic
