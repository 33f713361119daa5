"""Decision → status: what is recorded before anything is applied."""

import datetime as dt
from typing import Any, Final

from claims_operator.api.quantities import to_timedelta
from claims_operator.api.reasons import Reason
from claims_operator.api.status import (
    Candidate,
    ClaimsModelStatus,
    LastAttempt,
    Rejected,
    Result,
    Retiring,
    Revision,
    Stable,
    Traffic,
)
from claims_operator.core.decision import Begin, Decision, Hold, Promote, RollBack, Shift, Withdraw
from claims_operator.core.facts import Facts

REJECTED_LIMIT: Final = 10
"""So many rejected revisions are remembered; the oldest are forgotten first."""


def record(facts: Facts, decision: Decision) -> ClaimsModelStatus:
    """Return the status that carries out a decision, and moves retiring revisions one step further out."""
    status = facts.status
    match decision:
        case Hold():
            # Only while nothing else moves: one change of the route at a time.
            return _retire(facts, status)
        case Begin():
            return _begin(facts, status, decision)
        case Shift():
            return _shift(facts, status, decision)
        case Promote():
            return _promote(facts, status, decision)
        case RollBack():
            return _end(facts, _reject(facts, status, decision), Result.ROLLED_BACK, decision)
        case Withdraw():
            return _end(facts, status, Result.WITHDRAWN, decision)


def _begin(facts: Facts, status: ClaimsModelStatus, decision: Begin) -> ClaimsModelStatus:
    attempt = status.traffic.attempt + 1
    candidate = Candidate(**_served(decision.target), attempt=attempt, started_at=facts.now, step=0, weight=0)
    return status.model_copy(
        update={
            "candidate": candidate,
            # A revision that is still warm is taken up again, with its pods.
            "retiring": tuple(old for old in status.retiring if old.revision != candidate.revision),
            "traffic": Traffic(attempt=attempt, epoch=0, changed_at=facts.now),
            "analysis": (),
        }
    )


def _shift(facts: Facts, status: ClaimsModelStatus, decision: Shift) -> ClaimsModelStatus:
    candidate = _candidate(status)
    moved = candidate.model_copy(
        update={
            # Without weight it is not in the route at all: stable takes its slot.
            "slot": _free_slot(status) if decision.weight else None,
            "step": decision.step,
            "weight": decision.weight,
            "step_started_at": facts.now,
        }
    )
    return status.model_copy(update={"candidate": moved, "traffic": _next_epoch(facts, status)})


def _promote(facts: Facts, status: ClaimsModelStatus, decision: Promote) -> ClaimsModelStatus:
    candidate = _candidate(status)
    slot = candidate.slot if candidate.slot is not None else _free_slot(status)
    warm_until = facts.now + to_timedelta(facts.spec.rollout.scale_down_delay)
    return status.model_copy(
        update={
            "stable": Stable(**_served(candidate), slot=slot),
            "candidate": None,
            "retiring": status.retiring + _retiring(status.stable, warm_until),
            "traffic": _next_epoch(facts, status),
            "last_attempt": _last_attempt(facts, candidate, Result.PROMOTED, decision),
        }
    )


def _end(facts: Facts, status: ClaimsModelStatus, result: Result, decision: RollBack | Withdraw) -> ClaimsModelStatus:
    """Give all requests to stable; the candidate's pods answer the last of theirs."""
    candidate = _candidate(status)
    return status.model_copy(
        update={
            "candidate": None,
            "retiring": status.retiring + _retiring(candidate, facts.now),
            "traffic": _next_epoch(facts, status),
            "last_attempt": _last_attempt(facts, candidate, result, decision),
        }
    )


def _reject(facts: Facts, status: ClaimsModelStatus, decision: RollBack) -> ClaimsModelStatus:
    candidate = _candidate(status)
    rejected = Rejected(
        revision=candidate.revision,
        version=candidate.version,
        reason=decision.reason,
        message=decision.message[:4096],
        at=facts.now,
        generation=facts.generation,
    )
    others = tuple(old for old in status.rejected if old.revision != candidate.revision)
    return status.model_copy(update={"rejected": (*others, rejected)[-REJECTED_LIMIT:]})


def _retire(facts: Facts, status: ClaimsModelStatus) -> ClaimsModelStatus:
    """Route first, pods last: they go when the gateway has let go of them and their last request is answered."""
    route = facts.route
    kept = []
    for old in status.retiring:
        if old.out_since is None:
            is_out = route is not None and route.programmed and old.revision not in route.revisions
            kept.append(old.model_copy(update={"out_since": facts.now}) if is_out else old)
        elif facts.now < max(old.remove_after, old.out_since + facts.platform.drain):
            kept.append(old)
    return status.model_copy(update={"retiring": tuple(kept)})


def in_route(status: ClaimsModelStatus) -> dict[int, Revision]:
    """Return slot → revision, for the revisions that take requests, by slot."""
    known = (status.stable, status.candidate)
    taken = {item.slot: item for item in known if item is not None and item.slot is not None}
    return dict(sorted(taken.items()))


def _free_slot(status: ClaimsModelStatus) -> int:
    """Return the slot that stable does not have. There are two, and a revision keeps its own while it serves."""
    return 1 if status.stable is not None and status.stable.slot == 0 else 0


def _next_epoch(facts: Facts, status: ClaimsModelStatus) -> Traffic:
    return Traffic(attempt=status.traffic.attempt, epoch=status.traffic.epoch + 1, changed_at=facts.now)


def _retiring(revision: Revision | None, remove_after: dt.datetime) -> tuple[Retiring, ...]:
    """Return the revision as one that retires; nothing where no request can have reached it."""
    if revision is None or (isinstance(revision, Candidate) and revision.step == 0):
        return ()
    return (Retiring(**_served(revision), remove_after=remove_after),)


def _served(revision: Revision) -> dict[str, Any]:
    """Return the fields that every form of a revision has."""
    return {name: getattr(revision, name) for name in Revision.model_fields}


def _candidate(status: ClaimsModelStatus) -> Candidate:
    if status.candidate is None:
        raise AssertionError("this decision is made only while a candidate is under way")
    return status.candidate


def _last_attempt(
    facts: Facts, candidate: Candidate, result: Result, decision: Promote | RollBack | Withdraw
) -> LastAttempt:
    return LastAttempt(
        attempt=candidate.attempt,
        result=result,
        reason=Reason(decision.reason),
        message=decision.message,
        finished_at=facts.now,
    )
