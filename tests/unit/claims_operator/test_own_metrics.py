"""Own metrics: what is asked, what a look means, and what joins the analysis."""

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_builders import NOW, analysed, claims_spec, healthy, tried

from claims_operator.api.reasons import Reason
from claims_operator.api.status import OwnMetricRecord
from claims_operator.api.v1alpha1 import ClaimsModelSpec, OwnMetric
from claims_operator.core import conditions, own_metrics
from claims_operator.core.analysis import Verdict
from claims_operator.core.decision import Hold, Promote, RollBack, Shift, decide
from claims_operator.core.limits import Window
from claims_operator.core.own_metrics import Answer, Questions

WINDOW = Window(
    namespace="claims", name="claim-risk", attempt=2, epoch=1, stable_slot=0, candidate_slot=1,
    stable_revision="aaa", candidate_revision="bbb", route_key="aaa,bbb", not_before=NOW,
)  # fmt: skip
LATER = NOW + dt.timedelta(seconds=30)


def metric(**changes: Any) -> OwnMetric:
    """Return a metric that passes up to 0.3, and fails above 0.5."""
    fields = {
        "name": "manual-reviews",
        "query": 'reviews{revision="{{revision}}"}',
        "successCondition": {"max": "0.3"},
        "failureCondition": {"above": "0.5"},
    }
    return OwnMetric.model_validate(fields | changes)


COMPARED = metric(successCondition={"maxAboveStable": "0.1"}, failureCondition={"aboveStableBy": "0.2"})


def value(number: float) -> Answer:
    return Answer(values=(number,))


def look(
    asked: OwnMetric, *candidate: float | Answer, stable: float | Answer | None = None, at: dt.datetime = LATER
) -> OwnMetricRecord:
    """Return the record after looks at these values."""
    record = None
    for seen in candidate:
        answers = [one if isinstance(one, Answer) or one is None else value(one) for one in (seen, stable)]
        questions = own_metrics.questions(asked, WINDOW)
        record = own_metrics.after(record, asked, questions, (answers[0] or Answer(), answers[1]), at)
    assert record is not None
    return record


# Asking -------------------------------------------------------------------------------------------------------------


def test_placeholders_are_filled_in_for_the_candidate_and_for_stable() -> None:
    everything = " ".join(f"{{{{{name}}}}}" for name in ("namespace", "name", "attempt", "epoch", "window"))
    asked = COMPARED.model_copy(
        update={"query": everything + " {{revision}}/{{slot}} {{stableRevision}}/{{stableSlot}}"}
    )
    assert own_metrics.questions(asked, WINDOW) == Questions(
        candidate="claims claim-risk 2 1 5m bbb/1 aaa/0", stable="claims claim-risk 2 1 5m aaa/0 aaa/0"
    )


def test_stable_is_asked_for_only_where_it_is_compared() -> None:
    assert own_metrics.questions(metric(), WINDOW).stable is None


@pytest.mark.parametrize("query", ["x{a='{{pod}}'}", "{{ name }}", "{{name", "{{}}", "{{name}", "{{{{name}}}}"])
def test_an_unknown_placeholder_is_an_error_that_lists_the_known(query: str) -> None:
    with pytest.raises(ValueError, match=r"is no placeholder; they are \{\{namespace\}\}, \{\{name\}\}"):
        own_metrics.questions(metric(query=query), WINDOW)


@settings(deadline=None)
@given(st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True))
def test_no_name_that_the_api_server_takes_ends_a_string_of_promql(name: str) -> None:
    window = Window(**(vars(WINDOW) | {"name": name, "namespace": name}))
    filled = own_metrics.questions(metric(query='x{n="{{name}}",ns=~"{{namespace}}"}'), window).candidate
    assert filled == f'x{{n="{name}",ns=~"{name}"}}'
    assert not set(name) & set("\"'`\\{}()|.*+?$^\n")


def due(records: tuple[OwnMetricRecord, ...], at: dt.datetime, **changes: Any) -> list[str]:
    spec = with_metrics(metric(interval="60s", **changes))
    return [one.name for one in own_metrics.due(spec, records, WINDOW, at)]


def test_a_metric_is_asked_for_after_the_settle_time_and_then_at_its_interval() -> None:
    asked = look(metric(), 0.1)
    before_this_weight = look(metric(), 0.1, at=NOW - dt.timedelta(seconds=1))
    assert due((), NOW - dt.timedelta(seconds=1)) == []
    assert due((), NOW) == ["manual-reviews"]
    assert due((asked,), LATER + dt.timedelta(seconds=59)) == []
    assert due((asked,), LATER + dt.timedelta(seconds=60)) == ["manual-reviews"]
    assert due((before_this_weight,), NOW) == ["manual-reviews"]
    assert due((asked,), LATER, query="other") == ["manual-reviews"]


# Judging a look -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "seen", "stable", "verdict", "words"),
    [
        (metric(), 0.3, None, "Pass", "manual-reviews is 0.3"),
        (metric(), 0.4, None, "Inconclusive", "is 0.4; it must be at most 0.3"),
        (metric(), 0.6, None, "Inconclusive", "is 0.6: above 0.5, 1 of the 3 times in a row that roll back"),
        (metric(successCondition={"min": "-1"}, failureCondition=None), -1.5, None, "Inconclusive", "at least -1"),
        (metric(successCondition={"min": "-1", "max": "1"}), 1.2, None, "Inconclusive", "1.2: above 0.5"),
        (metric(successCondition=None, required=False), 0.4, None, "Pass", "is 0.4"),
        (metric(successCondition=None, required=False, failureCondition={"below": "1"}), 0.4, None, "Inconclusive", ""),
        (COMPARED, 0.5, 0.45, "Pass", "is 0.5, stable's 0.45"),
        (COMPARED, 0.5, 0.35, "Inconclusive", "it must be above stable's by at most 0.1"),
        (COMPARED, 0.5, 0.25, "Inconclusive", "above stable's by more than 0.2"),
        (metric(successCondition={"maxBelowStable": "0"}), 0.4, 0.5, "Inconclusive", "below stable's by at most 0"),
        (
            metric(successCondition={"max": "9"}, failureCondition={"belowStableBy": "0.1"}),
            0.3,
            0.5,
            "Inconclusive",
            "below stable's by more than 0.1",
        ),
        (metric(), Answer(), None, "NoData", 'Prometheus has no value: reviews{revision="bbb"}'),
        (metric(), math.nan, None, "NoData", "the value is nan, which is no number"),
        (metric(), math.inf, None, "NoData", "the value is inf"),
        (COMPARED, 0.1, math.nan, "NoData", 'the value for stable is nan, which is no number: reviews{revision="aaa"}'),
        (COMPARED, 0.1, Answer(), "NoData", "Prometheus has no value for stable"),
        (metric(), Answer(values=(1, 2)), None, "Error", 'comes to 2 series and must come to one, by sum() or max()'),
        (metric(), Answer(values=(1, 2)), None, "Error", ': reviews{revision="bbb"}'),
        (COMPARED, 0.1, Answer(values=(1, 2)), "Error", 'the query for stable comes to 2 series'),
        (metric(), Answer(error="Prometheus at x refused"), None, "Error", "manual-reviews: Prometheus at x refused"),
    ],
)  # fmt: skip
def test_one_look(asked: OwnMetric, seen: float | Answer, stable: float | None, verdict: str, words: str) -> None:
    record = look(asked, seen, stable=stable)
    assert record.verdict == verdict
    assert words in record.message


def test_only_failures_in_a_row_fail() -> None:
    assert look(metric(), 0.6, 0.6).verdict == "Inconclusive"
    assert look(metric(), 0.6, 0.6, 0.4, 0.6).failures == 1
    failed = look(metric(), 0.6, 0.6, 0.7)
    assert (failed.verdict, failed.message) == ("Fail", "manual-reviews is 0.7: above 0.5, 3 times in a row")
    assert look(metric(failureLimit=1), 0.6).verdict == "Fail"


@pytest.mark.parametrize("nothing", [Answer(), value(math.nan), Answer(error="down"), Answer(values=(1, 2))])
def test_looks_without_a_value_neither_add_failures_nor_end_them(nothing: Answer) -> None:
    assert look(metric(), 0.6, nothing, nothing, nothing, nothing).failures == 1
    assert look(metric(), 0.6, 0.6, nothing, 0.6).verdict == "Fail"


def test_another_question_starts_again() -> None:
    record = look(metric(), 0.6, 0.6)
    other = metric(failureCondition={"above": "0.55"})
    asked = own_metrics.questions(other, WINDOW)
    assert own_metrics.after(record, other, asked, (value(0.6), None), LATER).failures == 1
    same = metric(interval="60s", failureLimit=5)
    assert own_metrics.after(record, same, asked, (value(0.6), None), LATER).failures == 3


@settings(deadline=None)
@given(
    candidate=st.sampled_from([math.nan, math.inf, -math.inf]) | st.floats(allow_nan=True),
    stable=st.sampled_from([math.nan, math.inf, -math.inf]) | st.floats(allow_nan=True),
)
def test_nothing_but_two_numbers_wins_a_comparison(candidate: float, stable: float) -> None:
    record = look(COMPARED, candidate, stable=stable)
    if not (math.isfinite(candidate) and math.isfinite(stable)):
        assert (record.verdict, record.failures) == ("NoData", 0)
    elif record.verdict == "Pass":
        assert candidate - stable <= 0.1


def test_a_failure_by_the_candidates_own_value_counts_also_without_a_value_of_stable() -> None:
    asked = metric(failureCondition={"above": "0.5", "aboveStableBy": "0.2"})
    assert look(asked, 0.6, stable=Answer()).failures == 1
    assert look(asked, 0.4, stable=Answer()).verdict == "NoData"


# Joining the analysis -----------------------------------------------------------------------------------------------


def with_metrics(*metrics: OwnMetric) -> ClaimsModelSpec:
    return claims_spec(analysis={"metrics": [one.model_dump(by_alias=True, exclude_none=True) for one in metrics]})


def decided(*metrics: OwnMetric, records: tuple[OwnMetricRecord, ...], last_step: bool = False) -> Any:
    spec = with_metrics(*metrics)
    analysis = own_metrics.joined(analysed(), spec, records, WINDOW)
    facts = healthy(spec=spec, analysis=analysis)
    if last_step:
        facts = healthy(
            spec=spec,
            analysis=analysis,
            status=facts.status.model_copy(update={"candidate": tried(weight=50, step=3)}),
        )
    return decide(facts)


def test_a_required_metric_that_passes_lets_the_rollout_go_on() -> None:
    records = (look(metric(), 0.1),)
    assert isinstance(decided(metric(), records=records), Shift)
    assert isinstance(decided(metric(), records=records, last_step=True), Promote)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ((), Reason.NO_DATA),
        ((look(metric(), 0.4),), Reason.INCONCLUSIVE),
        ((look(metric(), Answer(error="down")),), Reason.ANALYSIS_ERROR),
        ((look(metric(), Answer()),), Reason.NO_DATA),
        ((look(metric(), 0.1, at=NOW - dt.timedelta(minutes=5)),), Reason.NO_DATA),
        ((look(metric(query="other"), 0.1),), Reason.NO_DATA),
    ],
    ids=["never asked", "not good", "error", "no data", "of the weight before", "of another question"],
)
def test_a_required_metric_that_does_not_pass_holds(records: tuple[OwnMetricRecord, ...], reason: Reason) -> None:
    decision = decided(metric(), records=records)
    assert isinstance(decision, Hold)
    assert decision.reason == reason
    assert "manual-reviews" in decision.message


def test_a_failure_rolls_back_and_is_named() -> None:
    decision = decided(metric(), records=(look(metric(), 0.6, 0.6, 0.6),))
    assert isinstance(decision, RollBack)
    assert decision.reason == Reason.METRIC_FAILED
    assert decision.message == "2.0.0: manual-reviews is 0.6: above 0.5, 3 times in a row"


def test_an_optional_metric_holds_nothing_but_rolls_back() -> None:
    optional = metric(required=False)
    assert isinstance(decided(optional, records=(look(optional, 0.4),)), Shift)
    assert isinstance(decided(optional, records=()), Shift)
    assert isinstance(decided(optional, records=(look(optional, 0.6, 0.6, 0.6),)), RollBack)


def test_the_condition_analysed_does_not_wait_for_optional_metrics() -> None:
    spec = with_metrics(metric(required=False))
    facts = healthy(spec=spec, analysis=own_metrics.joined(analysed(), spec, (), WINDOW))
    status = conditions.summarize(facts, decide(facts), facts.status)
    assert {one.type: one.status for one in status.conditions}["Analysed"] == "True"
    assert [one.metric for one in status.analysis] == ["errors", "latency", "accuracy", "manual-reviews"]


def test_what_the_spec_does_not_name_any_more_is_forgotten() -> None:
    kept, dropped = look(metric(), 0.1), look(metric(name="dropped"), 0.1)
    assert own_metrics.asked_for(with_metrics(metric()), (kept, dropped)) == (kept,)


def test_what_failed_by_a_test_is_named_before_an_own_metric() -> None:
    spec = with_metrics(metric())
    analysis = own_metrics.joined(
        analysed(rollback="errors: too many", errors=Verdict.FAIL), spec, (look(metric(), 0.6, 0.6, 0.6),), WINDOW
    )
    assert analysis.rollback == "errors: too many"
    assert not analysis.passed
