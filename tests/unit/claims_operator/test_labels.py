"""Labels that exist for some claims only: what is evidence, what is said, and what it does to two equal models."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from judged_traffic import FIRST_STEP, Traffic
from rollout_builders import ago, analysed, claims_spec, healthy, recorded, tried

from claims_contract import metrics
from claims_feedback import join
from claims_operator.api.outcomes import Labels
from claims_operator.api.reasons import Reason
from claims_operator.core import shown
from claims_operator.core.analysis import AccuracyLimits, ErrorLimits, RecallLimits, Verdict
from claims_operator.core.decision import Promote, decide
from claims_operator.core.judging import limits
from claims_operator.core.reading import Series, read_outcomes

ACCURACY = AccuracyLimits(margin=0.02)
FLOOR = 0.05

# Two models of accuracy 0.89, where 20 % of the claims are positive: they err in different directions.
RATES = {"aaa": (0.70, 0.9375), "bbb": (0.90, 0.8875)}
"""Share of positive claims that are referred, and of negative ones that are settled."""
LABELLED = {join.Decision.REFER: 0.6, join.Decision.SETTLE: 0.1}
"""Who is referred is investigated; the others mostly are believed."""

Post = Callable[[random.Random, float], tuple[bool, float | None] | None]
"""Of a claim and the chance by which its decision has it labelled: whether it is of an audit, and the propensity that
is posted; None where it gets no outcome."""


def selective(rng: random.Random, chance: float) -> tuple[bool, float | None] | None:
    return (False, None) if rng.random() < chance else None


def audited(rng: random.Random, chance: float) -> tuple[bool, float | None] | None:
    """Beside what is investigated anyway, every twentieth claim is drawn, whatever was decided."""
    return (True, None) if rng.random() < 0.05 else selective(rng, chance)


def with_propensity(rng: random.Random, chance: float) -> tuple[bool, float | None] | None:
    return (False, chance) if rng.random() < chance else None


def simulated(labels: Labels, post: Post, *, looks: int = 60, claims: int = 1_000) -> Traffic:
    """Serve claims to two equal models, label some of them, count as the feedback service does, judge at each look."""
    traffic, rng = Traffic(accuracy=ACCURACY, labels=labels), random.Random(20)
    for _ in range(looks):
        for revision, (sensitivity, specificity) in RATES.items():
            for _ in range(claims):
                count_one(traffic, rng, revision, sensitivity, specificity, post)
        traffic.look()
    return traffic


def count_one(
    traffic: Traffic, rng: random.Random, revision: str, sensitivity: float, specificity: float, post: Post
) -> None:
    is_positive = rng.random() < 0.2
    is_referred = rng.random() < (sensitivity if is_positive else 1 - specificity)
    decision = join.Decision.REFER if is_referred else join.Decision.SETTLE
    traffic.results(revision, **{decision.value: 1})
    posted = post(rng, LABELLED[decision])
    if posted is None:
        return
    is_audit, propensity = posted
    outcome = join.Outcome.POSITIVE if is_positive else join.Outcome.NEGATIVE
    observed = join.ObservedOutcome(
        namespace="claims", model="claim-risk", claim_id="C1", outcome=outcome,
        observed_at=datetime(2026, 3, 1, tzinfo=UTC), is_audit=is_audit, propensity=propensity,
    )  # fmt: skip
    result = join.RESULT_OF[decision, outcome].value
    traffic.results(revision, **{result: 1})
    if join.is_representative(observed, uniform=rng.random(), floor=FLOOR):
        traffic.results(revision, **{f"sample-{result}": 1})


def test_selective_labels_condemn_one_of_two_equal_models() -> None:
    """By hand (docs/how-to/selective-labels.md): they seem to be right on 81.5 % and 76.2 % of the claims."""
    traffic = simulated(Labels.COMPLETE, selective)
    assert "more wrong decisions than stable, beyond chance" in (traffic.judge().rollback or "")
    total = traffic.evidence.metrics[0].total
    assert (total.stable.rate, total.candidate.rate) == pytest.approx((1 - 0.815, 1 - 0.762), abs=0.01)


@pytest.mark.parametrize(
    ("labels", "post"),
    [
        pytest.param(Labels.AUDITED, audited, id="an-audit"),
        pytest.param(Labels.PROPENSITY, with_propensity, id="known-propensities"),
    ],
)
def test_a_random_sample_finds_the_same_two_models_equal(labels: Labels, post: Post) -> None:
    traffic = simulated(labels, post)
    assert traffic.judge().rollback is None
    total = traffic.evidence.metrics[0].total
    assert total.candidate.total == pytest.approx(60_000 * FLOOR, rel=0.1)
    assert (total.stable.rate, total.candidate.rate) == pytest.approx((0.11, 0.11), abs=0.02)
    low, high = traffic.only().interval or (1, -1)
    assert low < 0 < high


def test_selective_labels_are_no_evidence_and_say_what_would_be() -> None:
    """Neither Fail nor a requirement: errors alone promote it, though its decisions look terrible."""
    traffic = Traffic(errors=ErrorLimits(max_ratio=0.05, margin=0.02), accuracy=ACCURACY, labels=Labels.SELECTIVE)
    traffic.look()
    for _ in range(30):
        traffic.results("aaa", tp=100)
        traffic.results("bbb", fp=100)
        traffic.requests(0, 1_000, failed=2)
        traffic.requests(1, 1_000, failed=2)
        traffic.look()
    errors, accuracy = traffic.judge().assessments
    assert (traffic.judge().passed, traffic.judge().rollback) == (True, None)
    assert (errors.verdict, accuracy.verdict) == (Verdict.PASS, Verdict.NO_DATA)
    assert accuracy.message.startswith("accuracy is not identifiable and gates nothing: by spec.feedback.labels")
    assert "audit: true (labels: Audited)" in accuracy.message
    assert (accuracy.estimate, accuracy.candidate_samples) == (None, 0)


def test_no_deadline_is_for_what_cannot_be_identified() -> None:
    facts = healthy(
        spec=claims_spec(feedback={"labels": "Selective"}),
        status=recorded(candidate=tried(step=3, weight=50, started_at=ago(days=40))),
        analysis=analysed(accuracy=Verdict.NO_DATA),
    )
    assert isinstance(decide(facts), Promote)


def test_labels_of_a_sample_are_waited_for() -> None:
    facts = healthy(
        spec=claims_spec(feedback={"labels": "Audited"}),
        status=recorded(candidate=tried(step=3, weight=50)),
        analysis=analysed(accuracy=Verdict.NO_DATA),
    )
    assert decide(facts).reason == Reason.WAITING_FOR_ACCURACY


@pytest.mark.parametrize("labels", list(Labels))
def test_a_spec_says_which_outcomes_are_evidence(labels: Labels) -> None:
    assert limits(claims_spec(feedback={"labels": labels.value})).labels is labels


def test_another_kind_of_labels_starts_the_tests_again() -> None:
    traffic = Traffic(accuracy=ACCURACY)
    traffic.outcomes("aaa", 100, wrong=10)
    traffic.outcomes("bbb", 100, wrong=60)
    traffic.look()
    assert traffic.only().candidate_samples == 100
    traffic.limits = Traffic(accuracy=ACCURACY, labels=Labels.AUDITED).limits
    traffic.look()
    assert traffic.only().candidate_samples == 0
    assert traffic.only(FIRST_STEP).message.startswith("Prometheus has no outcomes from the feedback service yet")
    traffic.results("bbb", **{"sample-tp": 20})
    traffic.look()
    assert traffic.only().candidate_samples == 20


def test_recall_of_a_sample_counts_the_sample() -> None:
    traffic = Traffic(recall=RecallLimits(margin=0.05), labels=Labels.AUDITED)
    for revision in ("aaa", "bbb"):
        traffic.results(revision, tp=500, fn=500, **{"sample-tp": 30, "sample-fn": 10, "sample-tn": 60})
    traffic.look()
    assert "missed positives 25 % of 40 positive outcomes, stable 25 % of 40" in traffic.only().message
    assert "F1 0.857, stable 0.857" in traffic.only().message


# The warning --------------------------------------------------------------------------------------------------------


def test_a_selection_by_decision_is_warned_of_where_labels_are_called_complete() -> None:
    traffic = Traffic(accuracy=ACCURACY)
    for revision in ("aaa", "bbb"):
        traffic.results(revision, refer=200, settle=800, tp=100, fp=20, tn=70, fn=10)
    traffic.look()
    assert "of referred claims 60 % have an outcome, of settled ones 10 %" in traffic.only().message
    assert traffic.judge().rollback is None
    traffic.limits = Traffic(accuracy=ACCURACY, labels=Labels.AUDITED).limits
    traffic.look()
    assert "of referred claims" not in traffic.only().message


def test_the_warning_goes_when_the_other_labels_come() -> None:
    early = {"refer": 200.0, "settle": 800.0, "tp": 80.0, "fp": 40.0, "tn": 60.0, "fn": 20.0}
    late = early | {"tp": 120.0, "fp": 70.0, "tn": 700.0, "fn": 60.0}
    assert shown.selection({f"bbb/1/{kind}": count for kind, count in early.items()}) is not None
    assert shown.selection({f"bbb/1/{kind}": count for kind, count in late.items()}) is None


def test_equal_chances_are_warned_of_in_no_epoch_though_the_shares_of_epochs_differ() -> None:
    """Referred more in the first epoch, labelled more there too: pooled it would look like a selection."""
    old = {"refer": 500.0, "settle": 500.0, "tp": 200.0, "fp": 200.0, "tn": 350.0, "fn": 50.0}
    new = {"refer": 100.0, "settle": 900.0, "tp": 5.0, "fp": 5.0, "tn": 80.0, "fn": 10.0}
    outcomes = {f"bbb/1/{kind}": count for kind, count in old.items()}
    outcomes |= {f"bbb/2/{kind}": count for kind, count in new.items()}
    assert shown.selection(outcomes) is None


@pytest.mark.parametrize("outcomes", [{}, {"bbb/1/tp": 10.0}, {"bbb/1/refer": 5.0, "bbb/1/tp": 5.0}])
def test_without_both_decisions_nothing_is_said(outcomes: dict[str, float]) -> None:
    assert shown.selection(outcomes) is None


# Reading ------------------------------------------------------------------------------------------------------------


def test_totals_of_the_sample_and_of_predictions_are_told_apart() -> None:
    stratum = dict(zip(metrics.STRATUM_LABELS, ("claims", "claim-risk", "aaa", "2", "1"), strict=True))
    found = [
        Series(labels={**stratum, "__name__": name, label: value}, value=count, at=10.0)
        for name, label, value, count in (
            (metrics.OUTCOMES_TOTAL, "result", "tp", 40),
            (metrics.REPRESENTATIVE_OUTCOMES_TOTAL, "result", "tp", 3),
            (metrics.PREDICTIONS_TOTAL, "decision", "refer", 90),
            (metrics.PREDICTIONS_TOTAL, "decision", "perhaps", 1),
            (metrics.OUTCOMES_TOTAL, "result", "maybe", 1),
        )
    ]
    (totals,) = read_outcomes(found).values()
    assert {total.result: total.value for total in totals} == {"tp": 40, "sample-tp": 3, "refer": 90}
