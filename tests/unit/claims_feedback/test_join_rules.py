"""The rules of joining, as properties of real databases under everything that may arrive in any order."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.claims_feedback.stores import (
    MODELS,
    NEGATIVE,
    NOW,
    POSITIVE,
    Arrival,
    Counts,
    Databases,
    counts,
    outcome,
    prediction,
    store,
    stratum,
)

from claims_contract import metrics
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


def stored_counts(databases: Databases, groups: Sequence[Sequence[Arrival]]) -> Counts:
    """Store the groups, each in a transaction, in an empty database; return the totals that are not zero."""
    with databases.storage() as storage:
        store(storage, groups)
        return counts(storage)


class Told:
    """The rules, told once more: one arrival after the other, over lists and without a database."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Stratum, str]] = Counter()
        self._predictions: dict[tuple[str, ...], Prediction] = {}
        self._firsts: dict[tuple[object, ...], Prediction] = {}
        self._outcomes: list[ObservedOutcome] = []
        self._labels: dict[int, list[Outcome]] = {}
        self._evidence: dict[int, bool] = {}
        self._cohorts: set[tuple[Stratum, str]] = set()

    def add(self, arrival: Arrival) -> None:
        if isinstance(arrival, Prediction):
            self._add_prediction(arrival)
        else:
            self._outcomes.append(arrival)
            for each in self._predictions.values():
                self._tell(each, arrival)

    def _add_prediction(self, new: Prediction) -> None:
        of = new.stratum
        identity = (of.namespace, of.model, of.revision, new.request_id, str(new.row))
        if self._predictions.setdefault(identity, new) is not new:
            return
        self.counts[of, "tester_predictions" if new.is_tester else str(new.decision)] += 1
        if new.claim_id is not None:
            self._firsts.setdefault((of, new.claim_id, new.is_tester), new)
        for each in self._outcomes:
            self._tell(new, each)

    def _tell(self, about: Prediction, told: ObservedOutcome) -> None:
        if not self._is_about(told, about):
            return
        labels = self._labels.setdefault(id(about), [])
        labels.append(told.outcome)
        if len(labels) == 1:
            name = self._standing(about, told.outcome)
            self.counts[about.stratum, name] += 1
        elif set(labels[:-1]) == {labels[0]} and told.outcome != labels[0] and self._evidence[id(about)]:
            self.counts[about.stratum, "corrections"] += 1

    def _standing(self, about: Prediction, first: Outcome) -> str:
        cohort = about.cohort and (about.stratum, about.cohort)
        self._evidence[id(about)] = not about.is_tester and cohort not in self._cohorts
        if about.is_tester:
            return "tester_outcomes"
        if cohort in self._cohorts:
            return "cohort_repeats"
        if cohort:
            self._cohorts.add(cohort)
        return str(RESULT_OF[about.decision, first])

    def _is_about(self, told: ObservedOutcome, about: Prediction) -> bool:
        of = about.stratum
        if (told.namespace, told.model) != (of.namespace, of.model):
            return False
        if told.claim_id is not None:
            return self._firsts.get((of, told.claim_id, about.is_tester)) is about
        return (told.request_id, told.row) == (about.request_id, about.row)


def told(arrivals: Sequence[Arrival]) -> Counts:
    rules = Told()
    for arrival in arrivals:
        rules.add(arrival)
    return dict(rules.counts)


strata = st.builds(
    Stratum,
    namespace=st.sampled_from(["claims", "other"]),
    model=st.just("claim-risk"),
    revision=st.sampled_from(["a1", "b2"]),
    attempt=st.just(1),
    epoch=st.integers(1, 2),
)
predictions = st.builds(  # Each is an object of its own: `Told` tells them apart by it.
    Prediction,
    stratum=strata,
    request_id=st.sampled_from(["r1", "r2", "r3", "r4"]),
    row=st.integers(0, 1),
    claim_id=st.sampled_from([None, "C1", "C2", "C3"]),
    decision=st.sampled_from(Decision),
    score=st.just(0.5),
    served_at=st.just(NOW),
    cohort=st.sampled_from([None, None, "K1", "K2"]),
    is_tester=st.sampled_from([False, False, True]),
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


anything = st.lists(predictions | outcomes_of_claims | outcomes_of_rows, max_size=30)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PROPERTY
@given(arrivals=anything, data=st.data())
def test_the_totals_are_what_the_rules_say(databases: Databases, arrivals: list[Arrival], data: st.DataObject) -> None:
    assert stored_counts(databases, data.draw(grouped(arrivals))) == told(arrivals)


@PROPERTY
@given(arrivals=anything)
def test_without_cohorts_an_outcome_counts_as_if_its_prediction_had_been_there(arrivals: list[Arrival]) -> None:
    """Of the rules; the database follows them by the test above."""
    alone = [dataclasses.replace(each, cohort=None) if isinstance(each, Prediction) else each for each in arrivals]
    sorted_by_kind = sorted(alone, key=lambda each: isinstance(each, ObservedOutcome))
    assert told(alone) == told(sorted_by_kind)


@PROPERTY
@given(arrivals=anything)
def test_with_cohorts_the_mixture_does_not_change_how_many_are_evidence(arrivals: list[Arrival]) -> None:
    def evidence(found: Counts) -> Counter[Stratum]:
        numbers: Counter[Stratum] = Counter()
        for (of, name), count in found.items():
            numbers[of] += count if name in set(Result) else 0
        return +numbers

    sorted_by_kind = sorted(arrivals, key=lambda each: isinstance(each, ObservedOutcome))
    assert evidence(told(arrivals)) == evidence(told(sorted_by_kind))


@PROPERTY
@given(arrivals=anything)
def test_testers_change_no_total_of_the_others(arrivals: list[Arrival]) -> None:
    """But where a tester's request has the id of another's, which is then the same prediction."""
    once = {id(each): each for each in arrivals}.values()
    numbered: list[Arrival] = [
        dataclasses.replace(each, request_id=f"{each.request_id}-{each.is_tester}")
        if isinstance(each, Prediction)
        else each
        for each in once
    ]
    others = [each for each in numbered if isinstance(each, ObservedOutcome) or not each.is_tester]
    apart = {name for name in ("tester_predictions", "tester_outcomes")}
    assert {key: count for key, count in told(numbered).items() if key[1] not in apart} == told(others)


CLAIM_OF_ROW = {("r1", 0): "C1", ("r1", 1): "C2", ("r2", 0): "C1", ("r2", 1): None, ("r3", 0): "C2", ("r3", 1): "C3"}
"""Some claims are asked about twice, and one row names none."""


@PROPERTY
@given(
    served=st.sets(st.tuples(st.sampled_from(sorted(CLAIM_OF_ROW)), strata), max_size=10),
    referred=st.sets(st.sampled_from(["C1", "C2", "C3", None])),
    positive=st.sets(st.sampled_from(["C1", "C2", "C3", None])),
    data=st.data(),
)
def test_any_order_and_any_repetition_gives_the_same_totals(
    databases: Databases,
    served: set[tuple[tuple[str, int], Stratum]],
    referred: set[str | None],
    positive: set[str | None],
    data: st.DataObject,
) -> None:
    """Where a model decides alike on a claim, and all who report an outcome agree, order means nothing at all."""
    once = {(row, stratum.namespace, stratum.revision): stratum for row, stratum in served}
    arrivals: list[Arrival] = []
    for ((request_id, row), _, _), of in once.items():
        claim_id = CLAIM_OF_ROW[request_id, row]
        decision = Decision.REFER if claim_id in referred else Decision.SETTLE
        subject = {"claim_id": claim_id} if claim_id else {"request_id": request_id, "row": row}
        arrivals += [
            prediction(request_id, stratum=of, row=row, claim_id=claim_id, decision=decision),
            outcome(POSITIVE if claim_id in positive else NEGATIVE, namespace=of.namespace, **subject),
        ]
    shuffled = data.draw(st.permutations(arrivals + arrivals[::2]))
    assert stored_counts(databases, [shuffled]) == stored_counts(databases, [arrivals]) == told(arrivals)


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


def test_a_transaction_that_fails_leaves_nothing(databases: Databases) -> None:
    sent = prediction("r1", claim_id="C1", cohort="K1", score=1.0)
    with databases.storage() as storage:
        with contextlib.suppress(ZeroDivisionError), storage.store.transaction(MODELS):
            storage.store.add_predictions([sent])
            raise ZeroDivisionError
        assert (storage.reader.totals(), storage.reader.scores()) == ([], [])
        with storage.store.transaction(MODELS):
            receipt = storage.store.add_predictions([sent])
        assert (receipt.accepted, receipt.duplicates) == (1, 0)
        assert counts(storage) == {(stratum(), "refer"): 1}


def test_many_rows_of_one_request_are_joined_like_few(databases: Databases) -> None:
    """More than one statement asks about."""
    sent = [prediction(f"r{n}", claim_id=f"C{n}", row=n) for n in range(2_500)]
    with databases.storage() as storage:
        with storage.store.transaction(MODELS):
            told_before = storage.store.add_outcomes([outcome(POSITIVE, claim_id=f"C{n}") for n in range(0, 2_500, 2)])
            receipt = storage.store.add_predictions(sent + sent)
            told_after = storage.store.add_outcomes(
                [outcome(NEGATIVE, request_id=f"r{n}", row=n) for n in range(2_500)]
            )
        assert (told_before.labelled, receipt.duplicates, receipt.labelled) == (0, 2_500, 1_250)
        assert (told_after.labelled, told_after.corrections) == (1_250, 1_250)
        assert counts(storage) == {
            (stratum(), name): count
            for name, count in {"refer": 2_500, "tp": 1_250, "fp": 1_250, "corrections": 1_250}.items()
        }
