"""Recorded status → the ClaimsRollout of the attempt: what was seen under each set of weights, and how it ended."""

import datetime as dt

from claims_operator.api.status import ClaimsModelStatus, ClaimsRolloutStatus, MetricStatus, Result, StepRecord


def record_attempt(before: ClaimsRolloutStatus, status: ClaimsModelStatus) -> ClaimsRolloutStatus:
    """Return the latest attempt's record, brought up to the ClaimsModel's status."""
    candidate, last = status.candidate, status.last_attempt
    if candidate is not None:
        return before.model_copy(
            update={
                "result": Result.RUNNING,
                "reason": status.reason,
                "message": status.message,
                "weight": candidate.weight,
                "started_at": candidate.started_at,
                "steps": _steps(before, status),
            }
        )
    if last is None or last.attempt != status.traffic.attempt:
        return before
    return before.model_copy(
        update={
            "result": last.result,
            "reason": last.reason,
            "message": last.message,
            "weight": 100 if last.result == Result.PROMOTED else 0,
            "started_at": before.started_at or last.finished_at,
            "finished_at": last.finished_at,
            "steps": _closed(before.steps, last.finished_at, status.analysis),
        }
    )


def _steps(before: ClaimsRolloutStatus, status: ClaimsModelStatus) -> tuple[StepRecord, ...]:
    candidate, traffic = status.candidate, status.traffic
    if candidate is None or candidate.step == 0 or candidate.step_started_at is None:
        return before.steps
    earlier = tuple(step for step in before.steps if step.epoch != traffic.epoch)
    is_new = len(earlier) == len(before.steps)
    current = StepRecord(
        epoch=traffic.epoch,
        step=candidate.step,
        weight=candidate.weight,
        started_at=candidate.step_started_at,
        analysis=() if is_new else status.analysis,
    )
    return (*_closed(earlier, candidate.step_started_at, status.analysis if is_new else ()), current)


def _closed(
    steps: tuple[StepRecord, ...], at: dt.datetime, last_look: tuple[MetricStatus, ...]
) -> tuple[StepRecord, ...]:
    """Close the step that is open; the look that ended it is its last."""
    return tuple(
        step
        if step.finished_at is not None
        else step.model_copy(update={"finished_at": at, "analysis": last_look or step.analysis})
        for step in steps
    )
