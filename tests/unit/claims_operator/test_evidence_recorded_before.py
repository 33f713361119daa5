"""A rollout that was under way when the operator was replaced goes on with the evidence it had."""

import json
from pathlib import Path

import pytest

from claims_operator.core.analysis import AccuracyLimits, ErrorLimits, Limits
from claims_operator.core.evidence import Evidence
from claims_operator.core.questions import ACCURACY, ERRORS
from claims_operator.core.terms import Claim
from claims_sequential import Counts, Pair

RECORDED = json.loads(Path(__file__).with_name("evidence_recorded_before_mixtures.json").read_text())
LIMITS = Limits(
    confidence=0.95,
    interval_seconds=30,
    errors=ErrorLimits(max_ratio=0.01, margin=0.005),
    accuracy=AccuracyLimits(margin=0.02, min=0.85),
)
BATCH = Pair(stable=Counts(total=950, bad=5), candidate=Counts(total=50, bad=1))


def recalled() -> Evidence:
    return Evidence.from_json(RECORDED)


def test_every_test_whose_question_is_the_same_goes_on() -> None:
    before = {metric["question"][0]: metric for metric in RECORDED["metrics"]}
    for metric in recalled().asked(LIMITS).metrics:
        old = before[metric.question.metric]
        assert [list(test.log_values) for test in metric.promotion] == [test["logs"] for test in old["promotion"]]
        assert metric.below_limit is not None
        assert list(metric.below_limit.log_values) == old["belowLimit"]["logs"]
        assert metric.total.candidate.total == old["total"][1][0] > 0


def test_accuracy_goes_on_with_its_exact_tests_and_their_alternatives() -> None:
    (accuracy,) = [metric for metric in recalled().metrics if metric.question.metric == ACCURACY]
    (old,) = [metric for metric in RECORDED["metrics"] if metric["question"][0] == ACCURACY]
    assert accuracy.worse is not None
    assert list(accuracy.worse.effects) == old["rollback"]["effects"]
    assert list(accuracy.worse.log_values) == old["rollback"]["logs"]
    assert accuracy.above_limit is not None
    assert list(accuracy.above_limit.log_values) == old["aboveLimit"]["logs"]


def test_errors_go_on_with_the_batches_that_were_compared_and_start_only_what_is_new() -> None:
    (errors,) = [metric for metric in recalled().metrics if metric.question.metric == ERRORS]
    (old,) = [metric for metric in RECORDED["metrics"] if metric["question"][0] == ERRORS]
    difference = errors.comparison.difference
    assert [difference.precision, difference.weighted, difference.batches] == [
        old["sequence"][0],
        old["sequence"][1],
        old["sequence"][3],
    ]
    assert errors.comparison.pending[1].pair == Pair(stable=Counts(total=7), candidate=Counts(total=3))
    claims = dict(errors.claims())
    assert claims[Claim.WORSE] != 0, "twelve batches are enough for a verdict"
    assert claims[Claim.GROSSLY_WORSE] == claims[Claim.GROSSLY_ABOVE_LIMIT] == pytest.approx(0)


def test_what_goes_on_is_recorded_anew_and_can_be_read_again() -> None:
    evidence = recalled()
    for metric in evidence.metrics:
        later = metric.after(BATCH, epoch=1)
        assert later.total.candidate.total == metric.total.candidate.total + 50
        assert type(later).from_json(json.loads(json.dumps(later.to_json()))) == later
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


def test_only_a_changed_question_starts_again() -> None:
    changed = Limits(confidence=0.95, interval_seconds=30, errors=ErrorLimits(max_ratio=0.02, margin=0.005))
    (errors,) = recalled().asked(changed).metrics
    assert errors.total == Pair()
