"""One tick, decided: facts in, what to record and apply out. Start reading here."""

import datetime as dt
from dataclasses import dataclass
from typing import Final

from claims_operator.api.names import Manifest
from claims_operator.api.quantities import to_timedelta
from claims_operator.api.reasons import Reason
from claims_operator.api.status import ClaimsModelStatus, ClaimsRolloutStatus, Retiring
from claims_operator.core import conditions, desired, history, judging
from claims_operator.core.decision import Decision, Hold, current_step, decide
from claims_operator.core.facts import Facts
from claims_operator.core.record import record

AT_ONCE: Final = dt.timedelta(seconds=1)
SOON: Final = dt.timedelta(seconds=5)
ASK_AGAIN: Final = dt.timedelta(seconds=15)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one tick leads to. ``status`` is recorded before ``manifests`` are applied."""

    decision: Decision
    status: ClaimsModelStatus
    rollout: ClaimsRolloutStatus | None
    """The latest attempt's record; None where no attempt ever was."""
    manifests: tuple[Manifest, ...]
    recheck_after: dt.timedelta | None
    """Time until something happens that no watch tells; None where only a resync is due."""


def reconcile(facts: Facts) -> Outcome:
    """Decide one tick for one ClaimsModel; the same facts always give the same outcome."""
    decision = decide(facts)
    status = conditions.summarize(facts, decision, record(facts, decision))
    rollout = None
    if status.traffic.attempt > 0:
        rollout = history.record_attempt(facts.rollout or ClaimsRolloutStatus(), status)
    return Outcome(
        decision=decision,
        status=status,
        rollout=rollout,
        manifests=desired.build_children(facts.key, facts.uid, facts.spec, status, facts.platform),
        recheck_after=_recheck_after(facts, decision, status),
    )


def _recheck_after(facts: Facts, decision: Decision, status: ClaimsModelStatus) -> dt.timedelta | None:
    if not isinstance(decision, Hold):
        return AT_ONCE
    waits = [_until_deleted(facts, old) for old in status.retiring]
    candidate = status.candidate
    if decision.reason == Reason.REGISTRY_UNAVAILABLE:
        waits.append(ASK_AGAIN)
    if decision.reason == Reason.WAITING_FOR_GATEWAY or (candidate is not None and candidate.weight == 0):
        waits.append(SOON)
    if candidate is not None and candidate.weight > 0:
        rollout = facts.rollout or ClaimsRolloutStatus()
        waits.append(judging.next_look(facts.spec, rollout, facts.now) - facts.now)
        started = candidate.step_started_at or candidate.started_at
        end = started + to_timedelta(current_step(facts, candidate.step).min_duration)
        if end > facts.now:
            waits.append(end - facts.now)
    return max(min(waits), AT_ONCE) if waits else None


def _until_deleted(facts: Facts, old: Retiring) -> dt.timedelta:
    if old.out_since is None:
        return SOON
    return max(old.remove_after, old.out_since + facts.platform.drain) - facts.now
