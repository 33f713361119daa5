"""Models that return a number: right is what is within the tolerance."""

import pytest
from judged_traffic import Traffic
from rollout_builders import claims_spec

from claims_contract import metrics
from claims_operator.api.outcomes import Labels
from claims_operator.core.analysis import AccuracyLimits, RecallLimits, Verdict
from claims_operator.core.judging import limits
from claims_operator.core.reading import Series, read_outcomes

WITHIN = AccuracyLimits(margin=0.03, min=0.7, tolerance=0.1)


def told(near: int, *, looks: int = 40, prefix: str = "", labels: Labels = Labels.COMPLETE) -> Traffic:
    """Return the traffic after looks with 100 numbers each; 90 of stable's are within 10 %, all within 50 %."""
    traffic = Traffic(accuracy=WITHIN, labels=labels)
    for _ in range(looks):
        for revision, count in (("aaa", 90), ("bbb", near)):
            numbers = {"le:0.05": count - 20, "le:0.1": count, "le:0.5": 100, "le:inf": 100}
            traffic.results(revision, **{prefix + kind: number for kind, number in numbers.items()})
        traffic.look()
    return traffic


def test_numbers_within_the_tolerance_are_right() -> None:
    traffic = told(90, looks=1)
    assert (traffic.only().stable_samples, traffic.only().candidate_samples) == (100, 100)
    assert "predictions off by more than 10 % 10 % of 100 outcomes, stable 10 % of 100" in traffic.only().message


def test_an_equal_model_passes_and_one_that_is_off_more_often_is_rolled_back() -> None:
    assert told(90).judge().passed
    assert "accuracy: more predictions off by more than 10 % than stable" in (told(80).judge().rollback or "")


def test_numbers_of_an_audit_count_where_the_spec_says_so() -> None:
    assert told(90, prefix="sample-", labels=Labels.AUDITED).judge().passed
    assert told(90, labels=Labels.AUDITED).only().candidate_samples == 0


def test_numbers_without_a_tolerance_are_no_data_and_name_the_field() -> None:
    traffic = told(90, looks=1)
    traffic.limits = Traffic(accuracy=AccuracyLimits(margin=0.03), recall=RecallLimits(margin=0.05)).limits
    traffic.look()
    accuracy, recall = traffic.judge().assessments
    assert (accuracy.verdict, recall.verdict) == (Verdict.NO_DATA, Verdict.NO_DATA)
    assert accuracy.message.endswith("within a tolerance only: set analysis.accuracy.tolerance")
    assert "numbers, which have no recall" in recall.message


def test_decisions_with_a_tolerance_are_no_data_and_name_the_field() -> None:
    traffic = Traffic(accuracy=WITHIN)
    traffic.outcomes("aaa", 100, wrong=10)
    traffic.outcomes("bbb", 100, wrong=10)
    traffic.look()
    assert traffic.only().verdict == Verdict.NO_DATA
    assert traffic.only().message.endswith("right or wrong: remove analysis.accuracy.tolerance")


def test_another_tolerance_starts_the_test_again() -> None:
    traffic = told(90, looks=3)
    traffic.limits = Traffic(accuracy=AccuracyLimits(margin=0.03, min=0.7, tolerance=0.05)).limits
    traffic.look()
    assert traffic.only().candidate_samples == 0


@pytest.mark.parametrize("edge", metrics.RELATIVE_ERROR_EDGES)
def test_a_spec_may_ask_for_each_tolerance_that_is_counted(edge: str) -> None:
    found = limits(claims_spec(analysis={"accuracy": {"tolerance": edge}})).accuracy
    assert found is not None
    assert found.tolerance == float(edge)


def test_a_tolerance_that_is_not_counted_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"write one of the tolerances .* 0\.01, 0\.02, 0\.05"):
        claims_spec(analysis={"accuracy": {"tolerance": "0.12"}})


@pytest.mark.parametrize(("name", "prefix"), [("RELATIVE_ERROR", ""), ("REPRESENTATIVE_RELATIVE_ERROR", "sample-")])
@pytest.mark.parametrize(("le", "kind"), [("0.1", "le:0.1"), ("1", "le:1"), ("1.0", "le:1"), ("+Inf", "le:inf")])
def test_buckets_are_read_however_prometheus_writes_their_edges(name: str, prefix: str, le: str, kind: str) -> None:
    stratum = dict(zip(metrics.STRATUM_LABELS, ("claims", "claim-cost", "aaa", "2", "1"), strict=True))
    labels = {**stratum, "__name__": f"{getattr(metrics, name)}_bucket", "le": le}
    ((total,),) = read_outcomes([Series(labels=labels, value=7, at=10.0)]).values()
    assert (total.result, total.value) == (prefix + kind, 7)
