"""Accuracy, precision and recall: each counts its own part of the outcomes, and has a deadline of its own."""

import pytest
from judged_traffic import Traffic
from rollout_builders import ago, analysed, claims_spec, healthy, recorded, tried

from claims_operator.api.reasons import Reason
from claims_operator.core.analysis import AccuracyLimits, PrecisionLimits, RecallLimits, Verdict
from claims_operator.core.decision import Hold, Promote, RollBack, decide
from claims_operator.core.judging import limits

STABLE_RATES = {"tp": 80, "fp": 20, "tn": 280, "fn": 20}
"""Precision 0.8, recall 0.8, accuracy 0.9."""


def told(candidate: dict[str, int], looks: int, **asked: AccuracyLimits | PrecisionLimits | RecallLimits) -> Traffic:
    traffic = Traffic(**asked)
    traffic.results("aaa", attempt=1, **STABLE_RATES)
    for _ in range(looks):
        traffic.results("aaa", **STABLE_RATES)
        traffic.results("bbb", **candidate)
        traffic.look()
    return traffic


@pytest.mark.parametrize(
    ("asked", "samples", "said"),
    [
        (AccuracyLimits(margin=0.02), 400, "wrong decisions 12.5 % of 400 outcomes, stable 10 % of 400"),
        (
            PrecisionLimits(margin=0.05),
            150,
            "wrong referrals 26.7 % of 150 outcomes of referred claims, stable 20 % of 100",
        ),
        (RecallLimits(margin=0.05), 120, "missed positives 8.33 % of 120 positive outcomes, stable 20 % of 100"),
    ],
)
def test_each_metric_counts_its_own_results(
    asked: AccuracyLimits | PrecisionLimits | RecallLimits, samples: int, said: str
) -> None:
    traffic = told({"tp": 110, "fp": 40, "tn": 240, "fn": 10}, 1, **{asked.metric: asked})
    assert traffic.only().candidate_samples == samples
    assert said in traffic.only().message


def test_a_candidate_that_refers_too_much_fails_on_precision_and_not_on_recall() -> None:
    """It misses nothing, and refers three times as many claims in vain."""
    asked = {"precision": PrecisionLimits(margin=0.05), "recall": RecallLimits(margin=0.05)}
    traffic = told({"tp": 100, "fp": 60, "tn": 240, "fn": 0}, 20, **asked)
    precision, recall = traffic.judge().assessments
    assert (precision.verdict, recall.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert (traffic.judge().rollback or "").startswith("precision: more wrong referrals than stable, beyond chance")


def test_a_candidate_that_misses_claims_fails_on_recall_and_not_on_precision() -> None:
    asked = {"precision": PrecisionLimits(margin=0.05), "recall": RecallLimits(margin=0.05)}
    traffic = told({"tp": 40, "fp": 4, "tn": 296, "fn": 60}, 20, **asked)
    precision, recall = traffic.judge().assessments
    assert (precision.verdict, recall.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert "missed positives 60 % of 2000 positive outcomes" in recall.message


def test_an_equal_candidate_passes_on_all_three() -> None:
    asked = {"accuracy": AccuracyLimits(margin=0.02, min=0.85), "precision": PrecisionLimits(margin=0.05, min=0.7)}
    traffic = told(STABLE_RATES, 30, **asked, recall=RecallLimits(margin=0.05, min=0.7))
    assert [one.metric for one in traffic.judge().assessments] == ["accuracy", "precision", "recall"]
    assert traffic.judge().passed


def test_a_floor_holds_a_candidate_that_is_as_bad_as_stable() -> None:
    traffic = told(STABLE_RATES, 100, recall=RecallLimits(margin=0.05, min=0.85))
    assert "more missed positives than the limit of 15 %" in (traffic.judge().rollback or "")


def test_nothing_passes_before_it_has_its_labels_and_then_it_does() -> None:
    few = told(STABLE_RATES, 30, precision=PrecisionLimits(margin=0.05, min_labels=4_000))
    assert few.only().verdict == Verdict.NO_DATA
    assert "3000 of the 4000 outcomes of referred claims that minLabels asks for were counted" in few.only().message
    assert "about 5 min more at the present rate" in few.only().message
    assert told(STABLE_RATES, 40, precision=PrecisionLimits(margin=0.05, min_labels=4_000)).judge().passed


def test_a_proven_fault_does_not_wait_for_the_labels() -> None:
    wrong = {"tp": 10, "fp": 90, "tn": 200, "fn": 0}
    traffic = told(wrong, 5, precision=PrecisionLimits(margin=0.05, min_labels=4_000))
    assert traffic.only().verdict == Verdict.FAIL


def test_the_f1_score_is_shown_once_and_not_tested() -> None:
    """F1 of stable: 2 * 80 / (2 * 80 + 20 + 20) = 0.8; of the candidate 2 * 110 / (2 * 110 + 40 + 10) = 0.8148."""
    asked = {"precision": PrecisionLimits(margin=0.05), "recall": RecallLimits(margin=0.05)}
    traffic = told({"tp": 110, "fp": 40, "tn": 240, "fn": 10}, 3, **asked)
    precision, recall = traffic.judge().assessments
    assert precision.message.endswith("; F1 0.815, stable 0.800, not tested")
    assert "F1" not in recall.message


def test_a_spec_says_what_is_tested() -> None:
    spec = claims_spec(analysis={"precision": {}, "recall": {"min": "0.7", "minLabels": 300}})
    found = limits(spec)
    assert found.accuracy is None
    assert found.precision == PrecisionLimits(margin=0.05, min_labels=100)
    assert found.recall == RecallLimits(margin=0.05, min=0.7, min_labels=300)


BOTH = {"accuracy": {"deadline": "30d"}, "recall": {"deadline": "10d"}}


@pytest.mark.parametrize(
    ("days", "verdicts", "kind", "reason"),
    [
        pytest.param(9, {"recall": Verdict.NO_DATA}, Hold, Reason.WAITING_FOR_ACCURACY, id="recall-still-has-time"),
        pytest.param(10, {"recall": Verdict.NO_DATA}, RollBack, Reason.RECALL_DEADLINE_EXCEEDED, id="recall-is-late"),
        pytest.param(
            11,
            {"recall": Verdict.PASS, "accuracy": Verdict.INCONCLUSIVE},
            Hold,
            Reason.WAITING_FOR_ACCURACY,
            id="accuracy-has-a-deadline-of-its-own",
        ),
        pytest.param(
            30,
            {"recall": Verdict.PASS, "accuracy": Verdict.INCONCLUSIVE},
            RollBack,
            Reason.ACCURACY_DEADLINE_EXCEEDED,
            id="accuracy-is-late",
        ),
        pytest.param(31, {"recall": Verdict.PASS}, Promote, Reason.ALL_PASSED, id="late-but-passed-is-passed"),
    ],
)
def test_each_deadline_is_for_its_own_metric(
    days: int, verdicts: dict[str, Verdict], kind: type, reason: Reason
) -> None:
    candidate = tried(step=3, weight=50, started_at=ago(days=days))
    facts = healthy(
        spec=claims_spec(analysis=BOTH), status=recorded(candidate=candidate), analysis=analysed(**verdicts)
    )
    decided = decide(facts)
    assert (type(decided), decided.reason) == (kind, reason)


def test_steps_before_the_last_wait_for_no_outcomes() -> None:
    facts = healthy(spec=claims_spec(analysis=BOTH), analysis=analysed(recall=Verdict.NO_DATA))
    assert decide(facts).reason == Reason.STEP_STARTED


@pytest.mark.parametrize(
    ("metric", "reason"), [("precision", Reason.PRECISION_FAILED), ("recall", Reason.RECALL_FAILED)]
)
def test_a_failed_metric_is_the_reason(metric: str, reason: Reason) -> None:
    decided = decide(healthy(analysis=analysed(rollback="too bad", **{metric: Verdict.FAIL})))
    assert (type(decided), decided.reason) == (RollBack, reason)
