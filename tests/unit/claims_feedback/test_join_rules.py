"""The rules of joining, as properties of a real database under everything that may arrive in any order."""

import contextlib
import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims_contract import metrics
from claims_feedback import errors
from claims_feedback.join import (
    RESULT_OF,
    Decision,
    Label,
    ObservedOutcome,
    Outcome,
    Prediction,
    Result,
    Stratum,
    relabel,
)
from claims_feedback.reader import Reader, Totals
from claims_feedback.store import Store

NOW = dt.datetime(2025, 11, 20, tzinfo=dt.UTC)
POSITIVE, NEGATIVE = Outcome.POSITIVE, Outcome.NEGATIVE
Arrival = Prediction | ObservedOutcome
Counts = dict[tuple[Stratum, str], int]


def open_store(folder: Path) -> Store:
    return Store.open(str(folder / "feedback.db"), max_bytes=0, busy_timeout_seconds=1, now=NOW)


def stored_counts(groups: Sequence[Sequence[Arrival]]) -> Counts:
    """Store the groups, each in a transaction, in a new database; return the totals that are not zero."""
    with tempfile.TemporaryDirectory() as folder:
        opened = open_store(Path(folder))
        for group in groups:
            with opened.transaction():
                for arrival in group:
                    if isinstance(arrival, Prediction):
                        opened.add_predictions([arrival])
                    else:
                        opened.add_outcomes([arrival])
        opened.close()
        return counts(Reader(f"{folder}/feedback.db").totals())


def counts(found: Sequence[Totals]) -> Counts:
    flat: Counts = {}
    for totals in found:
        named = [*totals.decisions.items(), *totals.results.items(), ("corrections", totals.corrections)]
        flat |= {(totals.stratum, str(name)): count for name, count in named if count}
    return flat


def is_about(outcome: ObservedOutcome, prediction: Prediction, *, is_first_of_claim: bool) -> bool:
    if (outcome.namespace, outcome.model) != (prediction.stratum.namespace, prediction.stratum.model):
        return False
    if outcome.claim_id is not None:
        return is_first_of_claim and outcome.claim_id == prediction.claim_id
    return (outcome.request_id, outcome.row) == (prediction.request_id, prediction.row)


def told_apart(arrivals: Sequence[Arrival]) -> Counts:
    """What the totals should be: all predictions first, then all outcomes, in lists and without a database."""
    kept: dict[tuple[str, ...], Prediction] = {}
    for arrival in arrivals:
        if isinstance(arrival, Prediction):
            of = arrival.stratum
            kept.setdefault((of.namespace, of.model, of.revision, arrival.request_id, str(arrival.row)), arrival)
    outcomes = [arrival for arrival in arrivals if isinstance(arrival, ObservedOutcome)]
    found: Counter[tuple[Stratum, str]] = Counter()
    claims_seen: set[tuple[Stratum, str]] = set()
    for prediction in kept.values():
        found[prediction.stratum, prediction.decision] += 1
        is_first = prediction.claim_id is not None and (prediction.stratum, prediction.claim_id) not in claims_seen
        if prediction.claim_id is not None:
            claims_seen.add((prediction.stratum, prediction.claim_id))
        told = [each.outcome for each in outcomes if is_about(each, prediction, is_first_of_claim=is_first)]
        if told:
            found[prediction.stratum, RESULT_OF[prediction.decision, told[0]]] += 1
        if len(set(told)) > 1:
            found[prediction.stratum, "corrections"] += 1
    return {(stratum, str(name)): count for (stratum, name), count in found.items()}


strata = st.builds(
    Stratum,
    namespace=st.sampled_from(["claims", "other"]),
    model=st.just("claim-risk"),
    revision=st.sampled_from(["a1", "b2"]),
    attempt=st.just(1),
    epoch=st.integers(1, 2),
)
predictions = st.builds(
    Prediction,
    stratum=strata,
    request_id=st.sampled_from(["r1", "r2", "r3", "r4"]),
    row=st.integers(0, 1),
    claim_id=st.sampled_from([None, "C1", "C2", "C3"]),
    decision=st.sampled_from(Decision),
    score=st.just(0.5),
    served_at=st.just(NOW),
)
outcomes_of_claims = st.builds(
    ObservedOutcome,
    namespace=st.sampled_from(["claims", "other"]),
    model=st.just("claim-risk"),
    claim_id=st.sampled_from(["C1", "C2", "C3", "C4"]),
    outcome=st.sampled_from(Outcome),
    observed_at=st.just(NOW),
)
outcomes_of_rows = st.builds(
    ObservedOutcome,
    namespace=st.just("claims"),
    model=st.just("claim-risk"),
    request_id=st.sampled_from(["r1", "r2", "r3"]),
    row=st.integers(0, 1),
    outcome=st.sampled_from(Outcome),
    observed_at=st.just(NOW),
)


@st.composite
def grouped(draw: st.DrawFn, arrivals: Sequence[Arrival]) -> list[list[Arrival]]:
    """Cut arrivals into the groups that are committed together."""
    groups: list[list[Arrival]] = [[]]
    for arrival in arrivals:
        if draw(st.booleans()):
            groups.append([])
        groups[-1].append(arrival)
    return groups


@settings(max_examples=300, deadline=None)
@given(
    arrivals=st.lists(predictions | outcomes_of_claims | outcomes_of_rows, max_size=30),
    data=st.data(),
)
def test_an_outcome_counts_as_if_its_prediction_had_been_there(arrivals: list[Arrival], data: st.DataObject) -> None:
    assert stored_counts(data.draw(grouped(arrivals))) == told_apart(arrivals)


CLAIM_OF_ROW = {("r1", 0): "C1", ("r1", 1): "C2", ("r2", 0): "C1", ("r2", 1): None, ("r3", 0): "C2", ("r3", 1): "C3"}
"""Some claims are asked about twice, and one row names none."""


@settings(max_examples=150, deadline=None)
@given(
    served=st.sets(st.tuples(st.sampled_from(sorted(CLAIM_OF_ROW)), strata), max_size=10),
    referred=st.sets(st.sampled_from(["C1", "C2", "C3", None])),
    positive=st.sets(st.sampled_from(["C1", "C2", "C3", None])),
    data=st.data(),
)
def test_any_order_and_any_repetition_gives_the_same_totals(
    served: set[tuple[tuple[str, int], Stratum]],
    referred: set[str | None],
    positive: set[str | None],
    data: st.DataObject,
) -> None:
    """Where a model decides alike on a claim, and all who report an outcome agree, order means nothing at all."""
    once = {(row, stratum.namespace, stratum.revision): stratum for row, stratum in served}
    arrivals: list[Arrival] = []
    for ((request_id, row), _, _), stratum in once.items():
        claim_id = CLAIM_OF_ROW[request_id, row]
        prediction = Prediction(
            stratum=stratum,
            request_id=request_id,
            row=row,
            claim_id=claim_id,
            decision=Decision.REFER if claim_id in referred else Decision.SETTLE,
            score=0.5,
            served_at=NOW,
        )
        outcome = ObservedOutcome(
            namespace=stratum.namespace,
            model=stratum.model,
            claim_id=claim_id,
            request_id=None if claim_id else request_id,
            row=None if claim_id else row,
            outcome=POSITIVE if claim_id in positive else NEGATIVE,
            observed_at=NOW,
        )
        arrivals += [prediction, outcome]
    shuffled = data.draw(st.permutations(arrivals + arrivals[::2]))
    assert stored_counts([shuffled]) == stored_counts([arrivals]) == told_apart(arrivals)


@pytest.mark.parametrize(
    ("arriving", "label"),
    [
        pytest.param([], Label(), id="nothing-is-known-before-the-first-outcome"),
        pytest.param([POSITIVE, POSITIVE], Label(outcome=POSITIVE), id="the-same-outcome-again-is-no-correction"),
        pytest.param(
            [POSITIVE, NEGATIVE, NEGATIVE, POSITIVE],
            Label(outcome=POSITIVE, corrected=True),
            id="the-first-outcome-stays-however-often-it-is-corrected",
        ),
    ],
)
def test_a_label_is_the_first_outcome(arriving: list[Outcome], label: Label) -> None:
    assert relabel(Label(), arriving) == label


def test_results_have_the_names_that_the_operator_asks_for() -> None:
    assert {str(result) for result in RESULT_OF.values()} == set(Result) == set(metrics.RESULTS)
    assert RESULT_OF[Decision.SETTLE, POSITIVE] is Result.FN


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    opened = open_store(tmp_path)
    stratum = Stratum(namespace="claims", model="claim-risk", revision="a1", attempt=1, epoch=1)
    prediction = Prediction(
        stratum=stratum, request_id="r1", row=0, claim_id="C1", decision=Decision.REFER, score=1.0, served_at=NOW
    )
    with contextlib.suppress(ZeroDivisionError), opened.transaction():
        opened.add_predictions([prediction])
        raise ZeroDivisionError
    assert Reader(str(tmp_path / "feedback.db")).totals() == []
    with opened.transaction():
        receipt = opened.add_predictions([prediction])
    opened.close()
    assert (receipt.accepted, receipt.duplicates) == (1, 0)
    assert counts(Reader(str(tmp_path / "feedback.db")).totals()) == {(stratum, "refer"): 1}


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    opened = open_store(tmp_path)
    pragmas = [opened._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    opened.close()
    assert pragmas == ["wal", 2]


def test_a_database_of_a_later_release_is_refused(tmp_path: Path) -> None:
    opened = open_store(tmp_path)
    opened._connection.execute("INSERT INTO migration VALUES (99, 'of the future', '')")
    opened.close()
    with pytest.raises(errors.CannotStart, match="schema version 99"):
        open_store(tmp_path)
