"""Own metrics: the user's queries, compared with the user's thresholds, look by look.

They are no sequential tests, and no error rate can be stated for them: a value that is above a threshold by chance
counts like one that is above it for a reason. Therefore one failure never decides: ``failureLimit`` in a row do.
"""

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from claims_operator.api import names
from claims_operator.api.outcomes import Labels
from claims_operator.api.quantities import to_timedelta
from claims_operator.api.status import OwnMetricRecord
from claims_operator.api.v1alpha1 import PLACEHOLDERS, ClaimsModelSpec, OwnMetric
from claims_operator.core.analysis import Analysis, Assessment, Verdict
from claims_operator.core.limits import Window

_PLACEHOLDER: Final = re.compile(r"[{]{2}([^}]*)(?:[}]{2})?")
_COMPARISONS: Final = ("max_above_stable", "max_below_stable", "above_stable_by", "below_stable_by")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one query came to."""

    error: str | None = None
    """Why there is no answer, as a sentence for people."""
    values: tuple[float, ...] = ()
    """One per series, NaN and infinity included."""


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What is asked for one metric at one look."""

    candidate: str
    stable: str | None
    """None where stable's value is not needed."""


# Asking -------------------------------------------------------------------------------------------------------------


def due(
    spec: ClaimsModelSpec, records: tuple[OwnMetricRecord, ...], window: Window, now: dt.datetime
) -> tuple[OwnMetric, ...]:
    """Return the metrics to ask for at a look; none before the settle time is over."""
    if now < window.not_before:
        return ()
    known = {record.name: record for record in records}

    def is_due(metric: OwnMetric) -> bool:
        record = known.get(metric.name)
        if record is None or record.question != _question(metric) or record.asked_at < window.not_before:
            return True
        return now >= record.asked_at + to_timedelta(metric.interval)

    return tuple(metric for metric in spec.analysis.metrics if is_due(metric))


def asked_for(spec: ClaimsModelSpec, records: tuple[OwnMetricRecord, ...]) -> tuple[OwnMetricRecord, ...]:
    """Return the records of metrics that the spec names still."""
    names_in_spec = {metric.name for metric in spec.analysis.metrics}
    return tuple(record for record in records if record.name in names_in_spec)


def questions(metric: OwnMetric, window: Window) -> Questions:
    """Return the queries with their placeholders filled in; raise ValueError for one that is not known.

    What is filled in cannot end a string or a selector: namespace and name are DNS labels, revisions are hexadecimal,
    durations match a pattern, the others are whole numbers. It is filled in once, so that it cannot be a placeholder.
    """
    values = {
        "namespace": window.namespace,
        "name": window.name,
        "revision": window.candidate_revision,
        "slot": str(window.candidate_slot),
        "stableRevision": window.stable_revision or "",
        "stableSlot": "" if window.stable_slot is None else str(window.stable_slot),
        "attempt": str(window.attempt),
        "epoch": str(window.epoch),
        "window": metric.window,
    }
    of_stable = {**values, "revision": values["stableRevision"], "slot": values["stableSlot"]}
    compared = _is_compared(metric) and window.stable_revision is not None
    return Questions(
        candidate=_filled_in(metric.query, values), stable=_filled_in(metric.query, of_stable) if compared else None
    )


def _filled_in(query: str, values: Mapping[str, str]) -> str:
    def value_of(found: re.Match[str]) -> str:
        if found[0] != f"{{{{{found[1]}}}}}" or found[1] not in values:
            listed = ", ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS)
            raise ValueError(f"{found[0]} is no placeholder; they are {listed}")
        return values[found[1]]

    return _PLACEHOLDER.sub(value_of, query)


def _is_compared(metric: OwnMetric) -> bool:
    """Return whether a condition names stable's value."""
    conditions = (metric.success_condition, metric.failure_condition)
    return any(getattr(condition, name, None) is not None for condition in conditions for name in _COMPARISONS)


def _question(metric: OwnMetric) -> str:
    """Return what distinguishes one question from another."""
    asked = metric.model_dump(mode="json", include={"query", "window", "success_condition", "failure_condition"})
    return names.content_hash(asked)[:16]


# Judging a look -----------------------------------------------------------------------------------------------------


def after(
    before: OwnMetricRecord | None,
    metric: OwnMetric,
    asked: Questions,
    answers: tuple[Answer, Answer | None],
    now: dt.datetime,
) -> OwnMetricRecord:
    """Return the record after one look; ``answers`` are the candidate's and stable's.

    A look without a value neither adds to the failures in a row nor ends them.
    """
    question = _question(metric)
    if before is None or before.question != question:
        before = OwnMetricRecord(
            name=metric.name, question=question, asked_at=now, verdict="NoData", query=asked.candidate, message=""
        )
    before = before.model_copy(update={"asked_at": now, "query": asked.candidate})
    verdict, message, value, stable = _read(metric, asked, answers)
    if value is None:
        return before.model_copy(update={"verdict": verdict.value, "message": message})
    seen = {"value": _shown(value), "stable_value": None if stable is None else _shown(stable)}
    failure = _failure(metric, value, stable)
    if failure is None and verdict is Verdict.NO_DATA:
        return before.model_copy(update={**seen, "verdict": verdict.value, "message": message})
    failures = 0 if failure is None else before.failures + 1
    verdict, message = _judge(metric, value, stable, failure, failures)
    return before.model_copy(
        update={
            **seen,
            "looks": before.looks + 1,
            "failures": failures,
            "verdict": verdict.value,
            "message": message,
        }
    )


def unasked(before: OwnMetricRecord | None, metric: OwnMetric, problem: str, now: dt.datetime) -> OwnMetricRecord:
    """Return the record after a look that could not be made, since the query is wrong."""
    asked = Questions(candidate=metric.query, stable=None)
    return after(before, metric, asked, (Answer(error=f"spec.analysis.metrics: {problem}"), None), now)


def _read(
    metric: OwnMetric, asked: Questions, answers: tuple[Answer, Answer | None]
) -> tuple[Verdict, str, float | None, float | None]:
    """Return what is wrong with the answers (Pass: nothing), in a sentence, and the two values."""
    values: list[float | None] = []
    worst, message = Verdict.PASS, ""
    for answer, query, of in zip(answers, (asked.candidate, asked.stable), ("", " for stable"), strict=True):
        verdict, said, value = (Verdict.PASS, "", None) if answer is None else _value(answer, query or "", of)
        values.append(value)
        if verdict is Verdict.ERROR:
            return verdict, f"{metric.name}: {said}", None, None
        if verdict is Verdict.NO_DATA and worst is Verdict.PASS:
            worst, message = verdict, f"{metric.name}: {said}"
    if worst is Verdict.PASS and _is_compared(metric) and asked.stable is None:
        worst, message = Verdict.NO_DATA, f"{metric.name}: there is no stable revision to compare with"
    return worst, message, values[0], values[1]


def _value(answer: Answer, query: str, of: str) -> tuple[Verdict, str, float | None]:
    if answer.error is not None:
        return Verdict.ERROR, answer.error, None
    if len(answer.values) > 1:
        said = f"the query{of} comes to {len(answer.values)} series and must come to one, by sum() or max() for example"
        return Verdict.ERROR, f"{said}: {query}", None
    if not answer.values:
        return Verdict.NO_DATA, f"Prometheus has no value{of}: {query}", None
    [value] = answer.values
    if not math.isfinite(value):
        return Verdict.NO_DATA, f"the value{of} is {value}, which is no number: {query}", None
    return Verdict.PASS, "", value


def _failure(metric: OwnMetric, value: float, stable: float | None) -> str | None:
    """Return which failure condition holds."""
    fails = metric.failure_condition
    if fails is None:
        return None
    if fails.below is not None and value < float(fails.below):
        return f"below {fails.below}"
    if fails.above is not None and value > float(fails.above):
        return f"above {fails.above}"
    if stable is None:
        return None
    if fails.above_stable_by is not None and value - stable > float(fails.above_stable_by):
        return f"above stable's by more than {fails.above_stable_by}"
    if fails.below_stable_by is not None and stable - value > float(fails.below_stable_by):
        return f"below stable's by more than {fails.below_stable_by}"
    return None


def _shortcoming(metric: OwnMetric, value: float, stable: float | None) -> str | None:
    """Return what the success condition asks for and is not so."""
    passes = metric.success_condition
    if passes is None:
        return None
    # Written so that a value that is no number would not pass.
    if passes.min is not None and not value >= float(passes.min):
        return f"it must be at least {passes.min}"
    if passes.max is not None and not value <= float(passes.max):
        return f"it must be at most {passes.max}"
    difference = math.nan if stable is None else value - stable
    if passes.max_above_stable is not None and not difference <= float(passes.max_above_stable):
        return f"it must be above stable's by at most {passes.max_above_stable}"
    if passes.max_below_stable is not None and not -difference <= float(passes.max_below_stable):
        return f"it must be below stable's by at most {passes.max_below_stable}"
    return None


def _judge(
    metric: OwnMetric, value: float, stable: float | None, failure: str | None, failures: int
) -> tuple[Verdict, str]:
    said = f"{metric.name} is {_shown(value)}" + ("" if stable is None else f", stable's {_shown(stable)}")
    if failure is not None:
        times = f"{failures} of the {metric.failure_limit} times in a row that roll back"
        if failures >= metric.failure_limit:
            return Verdict.FAIL, f"{said}: {failure}, {failures} times in a row"
        return Verdict.INCONCLUSIVE, f"{said}: {failure}, {times}"
    shortcoming = _shortcoming(metric, value, stable)
    return (Verdict.PASS, said) if shortcoming is None else (Verdict.INCONCLUSIVE, f"{said}; {shortcoming}")


def _shown(value: float) -> str:
    return f"{value:.6g}"


# Joining the analysis -----------------------------------------------------------------------------------------------


def joined(analysis: Analysis, spec: ClaimsModelSpec, records: tuple[OwnMetricRecord, ...], window: Window) -> Analysis:
    """Return the analysis with the own metrics that the spec asks for."""
    known = {record.name: record for record in records}
    own = tuple(_assessment(metric, known.get(metric.name), window) for metric in spec.analysis.metrics)
    failed = next((one.message for one in own if one.verdict is Verdict.FAIL), None)
    optional = optional_names(spec)
    return replace(
        analysis,
        assessments=analysis.assessments + own,
        rollback=analysis.rollback or failed,
        passed=analysis.passed and all(one.verdict is Verdict.PASS for one in own if one.metric not in optional),
    )


def optional_names(spec: ClaimsModelSpec) -> frozenset[str]:
    """Return the metrics that nothing waits for: those that are not required, and those that cannot be identified."""
    unidentified = spec.analysis.outcome_gates if spec.feedback.labels is Labels.SELECTIVE else {}
    return frozenset(metric.name for metric in spec.analysis.metrics if not metric.required) | unidentified.keys()


def _assessment(metric: OwnMetric, record: OwnMetricRecord | None, window: Window) -> Assessment:
    is_current = record is not None and record.question == _question(metric)
    if record is None or not is_current or (record.asked_at < window.not_before and record.verdict != "Fail"):
        verdict, message, record = Verdict.NO_DATA, f"{metric.name} was not asked for at this weight yet", None
    else:
        verdict, message = Verdict(record.verdict), record.message
    return Assessment(
        metric=metric.name,
        verdict=verdict,
        estimate=None,
        interval=None,
        stable_samples=0,
        candidate_samples=0 if record is None else record.looks,
        query=metric.query if record is None else record.query,
        message=message,
    )
