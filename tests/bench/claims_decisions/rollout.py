"""One simulated rollout, driven by the shipped code from raw counters to the decision."""

import datetime as dt
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np

from claims_decisions.policies import Policy
from claims_decisions.scenarios import Scenario
from claims_decisions.world import ATTEMPT, KEY, REVISIONS, START, World
from claims_operator.api.reasons import Reason
from claims_operator.api.status import Candidate, ClaimsModelStatus, Revision, Stable, Traffic
from claims_operator.api.v1alpha1 import Resources
from claims_operator.core import decision as shipped
from claims_operator.core import judging
from claims_operator.core.analysis import Analysis, Verdict, absorb, assess
from claims_operator.core.decision import Decision, Promote, RollBack
from claims_operator.core.evidence import Evidence
from claims_operator.core.facts import Facts, Platform, RevisionSeen, RouteSeen
from claims_operator.core.record import record

READY: Final = RevisionSeen(ready=True, serving=True, why="")
ROUTED: Final = RouteSeen(accepted=True, programmed=True, revisions=frozenset(REVISIONS), why="")
PLATFORM: Final = Platform(
    gateway_name="claims",
    gateway_namespace="claims-system",
    route_domain="claims.local",
    serving_runtime="claims-mlserver",
    feedback_url="http://claims-feedback.claims-system:8080",
    settle=dt.timedelta(seconds=15),
    drain=dt.timedelta(seconds=10),
)
ABSENCE_SECONDS: Final = 300.0


class Ending(StrEnum):
    """How a rollout ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolledBack"
    OVERDUE = "overdue"
    """Rolled back by a deadline, without proof of a fault."""
    UNDECIDED = "undecided"
    """Still under way at the horizon."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of one rollout."""

    seed: int
    ending: Ending
    minutes: float
    candidate_requests: int
    """Requests that the candidate answered."""
    outcomes: int
    """Known outcomes of the rollout's requests, of both versions."""
    cause: str
    """Metric that rolled it back; empty where none did."""

    def to_json(self) -> list[Any]:
        """Return the fields in order."""
        return [self.seed, self.ending.value, self.minutes, self.candidate_requests, self.outcomes, self.cause]

    @classmethod
    def from_json(cls, data: list[Any]) -> Self:
        """Read what `to_json` returned."""
        seed, ending, minutes, requests, outcomes, cause = data
        return cls(
            seed=seed,
            ending=Ending(ending),
            minutes=minutes,
            candidate_requests=requests,
            outcomes=outcomes,
            cause=cause,
        )


def generator(scenario: str, seed: int) -> np.random.Generator:
    """Return the random numbers of one run: the same for all policies."""
    return np.random.default_rng([zlib.crc32(scenario.encode()), seed])


@lru_cache(maxsize=2)
def _revision(slot: int) -> Revision:
    number = slot + 1
    return Revision(
        revision=REVISIONS[slot],
        version=f"{number}.0.0",
        uri=f"models:/claim-risk/{number}",
        digest="sha256:" + "0" * 64,
        format="sklearn",
        resources=Resources(),
        feedback=True,
    )


@lru_cache(maxsize=1)
def _begun() -> ClaimsModelStatus:
    """Return the status of a rollout whose candidate is ready and has no weight yet."""
    stable = Stable.model_validate({**_revision(0).model_dump(), "slot": 0})
    candidate = Candidate.model_validate({**_revision(1).model_dump(), "attempt": ATTEMPT, "started_at": START})
    return ClaimsModelStatus().model_copy(
        update={
            "stable": stable,
            "candidate": candidate,
            "traffic": Traffic(attempt=ATTEMPT, epoch=0, changed_at=START),
        }
    )


class Rollout:
    """A rollout under way."""

    def __init__(self, scenario: Scenario, policy: Policy, seed: int) -> None:
        self.scenario, self.policy, self.seed = scenario, policy, seed
        self.world = World(scenario, generator(scenario.name, seed))
        self.limits = policy.limits(scenario)
        self.evidence = Evidence.empty(self.limits)
        self.analysis: Analysis | None = None
        self.status = _begun()
        self._luck = generator(f"{scenario.name}/operator", seed)

    def run(self, *, after_each: Callable[[], None] = lambda: None) -> Run:
        """Run to the decision or the horizon; ``after_each`` is called after each look."""
        self._carry_out(shipped.decide(self._facts(None)))  # The candidate is ready: the first step begins.
        interval = self.policy.interval_seconds(self.scenario)
        while self.world.seconds < self.scenario.horizon_hours * 3600:
            decision = self.tick()
            after_each()
            if isinstance(decision, (Promote, RollBack)):
                return self._result(decision)
            self._carry_out(decision)
            is_away = self._happens(self.scenario.faults.absence_share)
            self.world.serve(interval + (ABSENCE_SECONDS if is_away else 0))
        return self._result(None)

    def tick(self) -> Decision | None:
        """Look and decide; None where the operator died in between."""
        now = self.world.now
        window = judging.window(KEY, self.status, PLATFORM.settle)
        if window is None or self.status.candidate is None:
            raise AssertionError("the candidate has weight from the first step to the end")
        after = absorb(self.evidence, self.world.scrape(), window, self.limits, now)
        if self._happens(self.scenario.faults.lost_write_share):
            self.evidence = Evidence.from_json(json.loads(json.dumps(self.evidence.to_json())))
            return None
        self.evidence = after
        gate = self.policy.gate(self._facts(None), self.status.candidate.step)
        self.analysis = assess(after, self.limits, gate, window, now)
        return self.policy.decide(self._facts(self.analysis))

    def _happens(self, share: float) -> bool:
        return bool(share) and self._luck.random() < share

    def _carry_out(self, decision: Decision | None) -> None:
        if decision is None:
            return
        self.status = record(self._facts(None), decision)
        candidate, world = self.status.candidate, self.world
        world.epoch, world.weight = self.status.traffic.epoch, 0 if candidate is None else candidate.weight

    def _facts(self, analysis: Analysis | None) -> Facts:
        return Facts(
            key=KEY,
            uid="uid-1",
            generation=2,
            spec=self.policy.spec(self.scenario),
            status=self.status,
            obstacles=(),
            target=_revision(1),
            revisions={REVISIONS[0]: READY, REVISIONS[1]: READY},
            route=ROUTED,
            rollout=None,
            analysis=analysis,
            platform=PLATFORM,
            now=self.world.now,
        )

    def _result(self, decision: Decision | None) -> Run:
        ending, cause = Ending.UNDECIDED, ""
        if isinstance(decision, Promote):
            ending = Ending.PROMOTED
        elif isinstance(decision, RollBack):
            is_late = decision.reason in (Reason.PROGRESS_DEADLINE_EXCEEDED, Reason.ACCURACY_DEADLINE_EXCEEDED)
            ending = Ending.OVERDUE if is_late else Ending.ROLLED_BACK
            assessments = () if self.analysis is None else self.analysis.assessments
            cause = next((each.metric for each in assessments if each.verdict == Verdict.FAIL), "")
        return Run(
            seed=self.seed,
            ending=ending,
            minutes=round(self.world.seconds / 60, 1),
            candidate_requests=self.world.candidate_requests,
            outcomes=self.world.outcomes,
            cause=cause,
        )


def roll_out(scenario: Scenario, policy: Policy, seed: int) -> Run:
    """Run one rollout; the same arguments always give the same result."""
    return Rollout(scenario, policy, seed).run()
