"""Predictions from what KServe's logger sends, without a process."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.claims_feedback.logged import REQUEST, RESPONSE, logged_headers, metadata, v2_request, v2_response

from claims_feedback import errors, logger_events, logger_intake
from claims_feedback.join import Decision
from claims_feedback.logger_events import Answer, Unusable

NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
REFER, SETTLE = Decision.REFER, Decision.SETTLE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
TENSORS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["claim_id", "decision", "risk_score", "predict_proba", "other"]),
            "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
            "data": st.lists(st.sampled_from(["refer", "settle", 0, 0.5, 1.5, None]) | JSON, max_size=4) | JSON,
        }
    ),
    max_size=4,
)


def read(outputs: Mapping[str, list[Any]], threshold: float | None = None, **changes: Any) -> Answer | Unusable:
    return logger_events.read_response(json.dumps(v2_response(outputs, **changes)).encode(), threshold)


def test_the_headers_say_whose_exchange_it_is() -> None:
    forwarded = metadata(X_Claims_Stratum="3.2", X_Claims_Tester="", X_Claim_Id="Schäden 100%")
    headers = logged_headers(RESPONSE, "e1", metadata=forwarded.encode().decode("latin-1"))
    found = logger_events.read_exchange(headers, NOW)
    assert (found.namespace, found.model, found.revision, found.id) == ("claims", "claim-risk", "a1", "e1")
    assert (found.attempt, found.epoch, found.cohort, found.is_tester) == (3, 2, "Schäden 100%", True)
    assert found.moment == dt.datetime(2025, 11, 20, 10, 0, 0, 51961, tzinfo=dt.UTC)


def test_what_the_logger_does_not_forward_is_unknown() -> None:
    found = logger_events.read_exchange(logged_headers(RESPONSE, "e1", metadata="", time=""), NOW)
    assert (found.attempt, found.epoch, found.cohort, found.is_tester, found.moment) == (0, 0, None, False, NOW)


def test_headers_may_be_percent_encoded_as_cloudevents_has_it() -> None:
    headers = logged_headers(RESPONSE, "e1", metadata="{%22X-Claim-Id%22:[%22C%201%22]}")
    assert logger_events.read_exchange(headers, NOW).cohort == "C 1"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        pytest.param({"inferenceservicename": "iris"}, "ce-inferenceservicename", id="no-revision"),
        pytest.param({"inferenceservicename": "-a1"}, "ce-inferenceservicename", id="no-model"),
        pytest.param({"inferenceservicename": "Ä-1"}, "ce-inferenceservicename", id="a-name-kubernetes-would-refuse"),
        pytest.param({"namespace": ""}, "ce-namespace", id="no-namespace"),
        pytest.param({"id": ""}, "ce-id", id="no-id"),
        pytest.param({"id": "x" * 257}, "ce-id", id="an-endless-id"),
        pytest.param({"time": "noon"}, "ce-time", id="no-time"),
        pytest.param({"metadata": "[1]"}, "ce-metadata", id="no-object"),
    ],
)
def test_headers_that_say_it_wrongly_are_named(changes: dict[str, str], where: str) -> None:
    with pytest.raises(errors.Unacceptable) as caught:
        logger_events.read_exchange(logged_headers(REQUEST, "e1", **changes), NOW)
    assert [problem.where for problem in caught.value.problems] == [f"header {where}"]


@pytest.mark.parametrize(
    ("outputs", "threshold", "decisions", "scores"),
    [
        pytest.param(
            {"risk_score": [0.9, 0.2], "decision": ["refer", "settle"], "confidence": [0.9, 0.8]},
            None,
            (REFER, SETTLE),
            (0.9, 0.2),
            id="our-own-outputs",
        ),
        pytest.param({"decision": [["refer"]], "amount": [1200.0]}, None, (REFER,), (1.0,), id="a-decision-alone"),
        pytest.param(
            {"decision": ["settle"], "risk_score": [0.7]}, 0.5, (SETTLE,), (0.7,), id="the-decision-that-was-returned"
        ),
        pytest.param({"risk_score": [0.6, 0.59]}, 0.6, (REFER, SETTLE), (0.6, 0.59), id="a-score-and-a-threshold"),
        pytest.param(
            {"predict": [0, 1], "predict_proba": [[0.9, 0.1], [0.2, 0.8]]},
            0.5,
            (SETTLE, REFER),
            (0.1, 0.8),
            id="the-probabilities-of-two-classes",
        ),
        pytest.param({"output-0": [[0.4], [1]]}, 0.5, (SETTLE, REFER), (0.4, 1.0), id="the-only-output"),
        pytest.param({"decision": []}, None, (), (), id="no-rows"),
    ],
)
def test_a_response_says_a_decision_and_a_score_per_row(
    outputs: dict[str, list[Any]], threshold: float | None, decisions: tuple[Decision, ...], scores: tuple[float, ...]
) -> None:
    answer = read(outputs, threshold)
    assert isinstance(answer, Answer)
    assert (answer.decisions, answer.scores) == (decisions, scores)


@pytest.mark.parametrize(
    ("outputs", "threshold"),
    [
        pytest.param({"risk_score": [0.6]}, None, id="no-threshold"),
        pytest.param({"a": [0.6], "b": [0.7]}, 0.5, id="which-of-two"),
        pytest.param({"amount": [5000.0]}, None, id="a-number-that-is-no-score"),
    ],
)
def test_without_a_decision_there_is_no_prediction(outputs: dict[str, list[Any]], threshold: float | None) -> None:
    assert read(outputs, threshold) is Unusable.NO_DECISION


def test_what_is_no_inference_is_passed_over() -> None:
    assert [logger_events.read_response(body, None) for body in (b"", b'{"name": "m", "inputs": []}')] == [
        Unusable.NOT_INFERENCE,
        Unusable.NOT_INFERENCE,
    ]


@pytest.mark.parametrize(
    ("outputs", "where"),
    [
        pytest.param({"decision": ["deny"]}, "outputs[0].data", id="an-unknown-decision"),
        pytest.param({"decision": ["refer"], "risk_score": [1.5]}, "outputs[1].data", id="a-score-above-1"),
        pytest.param({"decision": ["refer"], "risk_score": [0.1, 0.2]}, "outputs", id="rows-that-differ"),
        pytest.param({"decision": [["refer", "settle"]]}, "outputs[0].shape", id="two-decisions-a-row"),
        pytest.param({"decision": ["refer"] * 10_001}, "outputs[0].shape", id="too-many-rows"),
        pytest.param({"decision": ["refer"], "claim_id": ["x" * 257]}, "outputs[1].data", id="an-endless-claim-id"),
    ],
)
def test_a_response_that_cannot_be_read_is_refused(outputs: dict[str, list[Any]], where: str) -> None:
    with pytest.raises(errors.Unacceptable) as caught:
        read(outputs)
    assert [problem.where for problem in caught.value.problems] == [where]


def test_rows_become_predictions_of_the_request_the_caller_knows() -> None:
    exchange = logger_events.read_exchange(logged_headers(RESPONSE, "e1"), NOW)
    outputs = {"decision": ["refer", "settle"]}
    known, unknown = read(outputs), read(outputs, id="")
    assert isinstance(known, Answer)
    assert isinstance(unknown, Answer)
    found = logger_events.predictions_of(exchange, known, ("C1", None))
    assert [(each.request_id, each.row, each.claim_id) for each in found] == [("r1", 0, "C1"), ("r1", 1, None)]
    found = logger_events.predictions_of(exchange, unknown, ("of", "another", "length"))
    assert [(each.request_id, each.row, each.claim_id) for each in found] == [("e1", 0, None), ("e1", 1, None)]


def test_a_request_names_its_claims() -> None:
    bodies = [v2_request("C1", None, ""), v2_request(), {}]
    assert [logger_events.read_request(json.dumps(body).encode()) for body in bodies] == [("C1", None, None), (), ()]


@settings(max_examples=300, deadline=None)
@given(TENSORS | JSON, st.none() | st.floats(0, 1))
def test_no_body_makes_a_reader_fail(tensors: Any, threshold: float | None) -> None:
    try:
        logger_events.read_request(json.dumps({"inputs": tensors}).encode())
        answer = logger_events.read_response(json.dumps({"outputs": tensors}).encode(), threshold)
    except errors.Unacceptable as error:
        problems = error.problems
    else:
        problems = ()
        assert isinstance(answer, Unusable) or len(answer.decisions) == len(answer.scores)
    assert all(problem.what for problem in problems)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(logged_headers(REQUEST, "e1"))), st.text(max_size=20)))
def test_no_headers_make_the_reader_fail(changes: dict[str, str]) -> None:
    try:
        found = logger_events.read_exchange(logged_headers(REQUEST, "e1") | changes, NOW)
    except errors.Unacceptable as error:
        problems = error.problems
    else:
        problems = ()
        assert found.model
    assert all(problem.where.startswith("header ce-") for problem in problems)


def test_thresholds_are_given_by_model() -> None:
    assert logger_intake.read_thresholds(" claims/claim-risk=0.6\n other/m=1 ") == {
        ("claims", "claim-risk"): 0.6,
        ("other", "m"): 1.0,
    }
    assert logger_intake.read_thresholds("") == {}


@pytest.mark.parametrize(
    "text", ["0.6", "claim-risk=0.6", "claims/m=", "claims/m=2", "claims/m=nan", "a/b=0.5,c/d=0.5"]
)
def test_a_threshold_that_cannot_be_used_is_named(text: str) -> None:
    with pytest.raises(errors.CannotStart, match="LOGGER_DECISION_THRESHOLDS has"):
        logger_intake.read_thresholds(text)
