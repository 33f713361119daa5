"""Models that return a number: how far it was off is counted, at fixed edges."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from unit.claims_feedback.stores import MODELS, NOW, POSITIVE, Databases, counts, outcome, prediction, store, stratum

from claims_contract import metrics as names
from claims_feedback import errors, join, logger_events, messages
from claims_feedback.join import ObservedOutcome, Prediction
from claims_feedback.metrics import Instruments
from claims_feedback.storage import Storage

CLOCK = messages.Clock(now=NOW, tolerance=dt.timedelta())


def number(request_id: str, value: float, **changes: Any) -> Prediction:
    return prediction(request_id, decision=None, score=None, value=value, **changes)


def actual(value: float, **named: Any) -> ObservedOutcome:
    return ObservedOutcome(namespace="claims", model="claim-risk", value=value, observed_at=NOW, **named)


def errors_of(storage: Storage, *, is_sample: bool = False) -> dict[str, int]:
    """Return how many numbers are in each bucket that has some, of all strata."""
    found: dict[str, int] = {}
    for each in storage.reader.relative_errors(is_sample=is_sample):
        for edge, count in zip((*names.RELATIVE_ERROR_EDGES, "+Inf"), each.counts, strict=True):
            if count:
                found[edge] = found.get(edge, 0) + count
    return found


@pytest.mark.parametrize(
    ("predicted", "real", "error"),
    [
        (1.1, 1.0, 0.1),
        (900.0, 1_000.0, 0.1),
        (-900.0, -1_000.0, 0.1),
        (0.0, 5.0, 1.0),
        (0.0, 0.0, 0.0),
        (1.0, 0.0, 1e9),
        (1_000.0, 400.0, 1.5),
    ],
)
def test_the_error_is_relative_to_what_was_right(predicted: float, real: float, error: float) -> None:
    assert join.relative_error(predicted, real) == pytest.approx(error)


@given(predicted=st.floats(-1e15, 1e15), real=st.floats(-1e15, 1e15))
def test_the_error_of_any_two_numbers_is_finite_and_at_least_0(predicted: float, real: float) -> None:
    assert 0 <= join.relative_error(predicted, real) <= 2e24


@pytest.mark.parametrize("is_early", [False, True])
def test_numbers_are_counted_by_how_far_they_were_off(databases: Databases, is_early: bool) -> None:
    predictions = [number(f"r{at}", value, claim_id=f"C{at}") for at, value in enumerate((100, 101, 109, 110, 300.0))]
    outcomes = [actual(100.0, claim_id=f"C{at}") for at in range(5)]
    with databases.storage() as storage:
        store(storage, [outcomes, predictions] if is_early else [predictions, outcomes])
        assert errors_of(storage) == {"0.01": 2, "0.1": 2, "+Inf": 1}
        assert counts(storage) == {}
        assert storage.reader.totals()[0].numbers == 5


def test_the_first_number_counts_and_a_later_one_is_a_correction(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[number("r1", 100.0, claim_id="C1")], [actual(100.0, claim_id="C1")]])
        with storage.store.transaction(MODELS):
            again = storage.store.add_outcomes([actual(100.0, claim_id="C1")])
            other = storage.store.add_outcomes([actual(0.0, claim_id="C1")])
        assert (again.duplicates, other.corrections) == (1, 1)
        assert errors_of(storage) == {"0.01": 1}


def test_numbers_of_the_random_sample_are_counted_apart(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[number("r1", 100.0, claim_id="C1"), number("r2", 100.0, claim_id="C2")]])
        store(storage, [[actual(100.0, claim_id="C1"), actual(200.0, claim_id="C2", is_audit=True)]])
        assert errors_of(storage) == {"0.01": 1, "0.5": 1}
        assert errors_of(storage, is_sample=True) == {"0.5": 1}


def test_a_number_and_a_decision_cannot_be_compared(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[number("r1", 100.0, claim_id="C1"), prediction("r2", claim_id="C2")]])
        store(storage, [[outcome(POSITIVE, claim_id="C1"), actual(1.0, claim_id="C2")]])
        assert (errors_of(storage), counts(storage)) == ({}, {(stratum(), "refer"): 1})
        # What fits comes later, and is the first.
        store(storage, [[actual(100.0, claim_id="C1"), outcome(POSITIVE, claim_id="C2")]])
        assert errors_of(storage) == {"0.01": 1}
        assert counts(storage) == {(stratum(), "refer"): 1, (stratum(), "tp"): 1}


def test_numbers_are_exported_as_they_are(databases: Databases) -> None:
    claim = join.Claim(namespace="claims", model="claim-risk", claim_id="C1")
    with databases.storage() as storage:
        store(storage, [[number("r1", 100.0, claim_id="C1")], [actual(90.0, claim_id="C1")]])
        records = storage.reader.export_claim(claim)
    (stored,), (told,) = records.predictions, records.outcomes
    assert (stored.decision, stored.score, stored.value, stored.outcome) == (None, None, 100.0, 90.0)
    assert told.outcome == 90.0


def test_prometheus_sees_cumulated_buckets(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[number("r1", 100.0, claim_id="C1"), number("r2", 112.0, claim_id="C2")]])
        store(storage, [[actual(100.0, claim_id=f"C{at}") for at in (1, 2)]])
        text = Instruments(storage.reader).render().decode()
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    found = {one.labels["le"]: one.value for one in samples if one.name == f"{names.RELATIVE_ERROR}_bucket"}
    assert list(found) == [*names.RELATIVE_ERROR_EDGES, "+Inf"]
    assert (found["0.01"], found["0.1"], found["0.15"], found["+Inf"]) == (1, 1, 2, 2)
    assert [one.labels["decision"] for one in samples if one.name == names.PREDICTIONS_TOTAL and one.value] == [
        "number"
    ]


# On the wire --------------------------------------------------------------------------------------------------------


def read_outcome(**fields: Any) -> ObservedOutcome:
    item = {"namespace": "claims", "model": "claim-cost", "claimId": "C1", "observedAt": NOW.isoformat(), **fields}
    (found,) = messages.read_outcomes(json.dumps({"outcomes": [item]}).encode(), CLOCK)
    return found


def read_event(**fields: Any) -> Prediction:
    data = {
        "namespace": "claims",
        "model": "m",
        "revision": "a1",
        "requestId": "r1",
        "row": 0,
        "attempt": 1,
        "epoch": 1,
    }
    event = {
        "specversion": "1.0",
        "type": "io.claimsmodel.prediction.v1",
        "source": "/namespaces/claims/claimsmodels/m/revisions/a1",
        "id": "r1/0",
        "data": data | fields,
    }
    (found,) = messages.read_event(json.dumps(event).encode(), CLOCK)
    return found


def test_events_and_outcomes_carry_numbers() -> None:
    found = read_event(value=1200)
    assert (found.answer, found.decision, found.score) == (1200.0, None, None)
    assert read_outcome(value=-3.5).truth == -3.5


@pytest.mark.parametrize(
    "fields", [{}, {"decision": "refer"}, {"score": 0.5}, {"decision": "refer", "score": 0.5, "value": 1.0}]
)
def test_an_event_has_a_decision_with_its_score_or_a_number(fields: dict[str, Any]) -> None:
    with pytest.raises(errors.Unacceptable) as refusal:
        read_event(**fields)
    assert refusal.value.problems[0].what == "Expected either `decision` and `score`, or `value`"


@pytest.mark.parametrize("fields", [{}, {"outcome": "positive", "value": 1.0}])
def test_an_outcome_is_one_of_two_or_a_number(fields: dict[str, Any]) -> None:
    with pytest.raises(errors.Unacceptable) as refusal:
        read_outcome(**fields)
    assert refusal.value.problems[0].what.startswith("Expected either `outcome`, or `value`")


@pytest.mark.parametrize("value", ["many", 1e16, -1e16])
def test_a_number_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(errors.Unacceptable):
        read_outcome(value=value)
    with pytest.raises(errors.Unacceptable):
        read_event(value=value)


def test_the_logger_takes_an_output_called_value() -> None:
    body = {"id": "r1", "outputs": [{"name": "value", "datatype": "FP64", "shape": [2], "data": [120.5, 80]}]}
    answer = logger_events.read_response(json.dumps(body).encode(), None)
    assert isinstance(answer, logger_events.Answer)
    exchange = logger_events.Exchange(
        id="x",
        namespace="claims",
        model="m",
        revision="a1",
        attempt=1,
        epoch=1,
        cohort=None,
        is_tester=False,
        moment=NOW,
    )
    rows = logger_events.predictions_of(exchange, answer, ("C1", "C2"))
    assert [(row.claim_id, row.answer, row.row) for row in rows] == [("C1", 120.5, 0), ("C2", 80.0, 1)]
