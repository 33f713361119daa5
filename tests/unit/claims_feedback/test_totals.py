"""What Prometheus sees of a database."""

import datetime as dt

from prometheus_client.parser import text_string_to_metric_families
from unit.claims_feedback.stores import (
    MODELS,
    NEGATIVE,
    NOW,
    POSITIVE,
    Databases,
    opened,
    outcome,
    prediction,
    store,
    stratum,
)

from claims_contract import metrics as names
from claims_feedback.join import Decision
from claims_feedback.metrics import Instruments
from claims_feedback.storage import Storage
from claims_feedback.totals import DELAY_EDGES_SECONDS, SCORE_EDGES

SHOWN_LABELS = (*names.STRATUM_LABELS[2:], "decision", "result", "le")
"""Those that are not of the ClaimsModel."""

HOUR = dt.timedelta(hours=1)


def series(storage: Storage, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of a metric, by `SHOWN_LABELS`."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(Instruments(storage.reader).render().decode()):
        for sample in family.samples:
            if sample.name == name:
                found[tuple(sample.labels[label] for label in SHOWN_LABELS if label in sample.labels)] = sample.value
    return found


def test_a_stratum_has_all_its_results_from_its_first_prediction(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[prediction("r1")]])
        results = {("a1", "1", "1", result): 0.0 for result in names.RESULTS}
        assert series(storage, names.OUTCOMES_TOTAL) == results
        assert series(storage, names.PREDICTIONS_TOTAL) == {
            ("a1", "1", "1", "refer"): 1.0,
            ("a1", "1", "1", "settle"): 0.0,
        }
        assert series(storage, names.CORRECTIONS_TOTAL) == {("a1", "1", "1"): 0.0}
        assert series(storage, names.TESTER_PREDICTIONS_TOTAL) == {}


def test_cohorts_and_testers_are_counted_apart(databases: Databases) -> None:
    with databases.storage() as storage:
        of_cohort = [prediction(f"r{n}", claim_id=f"C{n}", cohort="K1") for n in range(3)]
        of_testers = [prediction(f"t{n}", claim_id=f"C{n}", is_tester=True) for n in range(2)]
        told = [outcome(POSITIVE, claim_id=f"C{n}") for n in range(3)]
        corrected = [outcome(NEGATIVE, claim_id=f"C{n}") for n in range(3)]
        store(storage, [of_testers, of_cohort, told, corrected])
        assert series(storage, names.PREDICTIONS_TOTAL)["a1", "1", "1", "refer"] == 3
        assert series(storage, names.OUTCOMES_TOTAL)["a1", "1", "1", "tp"] == 1
        apart = (names.COHORT_REPEATS_TOTAL, names.TESTER_PREDICTIONS_TOTAL, names.TESTER_OUTCOMES_TOTAL)
        assert [series(storage, name) for name in apart] == [{("a1", "1", "1"): 2.0}] * 3
        assert series(storage, names.CORRECTIONS_TOTAL) == {("a1", "1", "1"): 1.0}


def test_a_cohort_gives_evidence_once_in_each_stratum(databases: Databases) -> None:
    strata = [stratum(epoch=1), stratum(epoch=2), stratum(revision="b2"), stratum(attempt=2)]
    with databases.storage() as storage:
        for number, of in enumerate(strata):
            sent = [prediction(f"r{number}-{n}", stratum=of, claim_id=f"C{n}", cohort="K1") for n in range(2)]
            store(storage, [sent])
        store(storage, [[outcome(POSITIVE, claim_id=f"C{n}")] for n in range(2)])
        assert [(each.results["tp"], each.cohort_repeats) for each in storage.reader.totals()] == [(1, 1)] * 4


def test_scores_are_a_histogram_of_each_revision(databases: Databases) -> None:
    with databases.storage() as storage:
        scores = (0.0, 0.1, 0.1000001, 0.55, 1.0)
        store(storage, [[prediction(f"r{n}", score=score) for n, score in enumerate(scores)]])
        store(storage, [[prediction("r9", score=0.3, stratum=stratum(epoch=2))], [prediction("t", is_tester=True)]])
        counts = [2, 3, 4, 4, 4, 5, 5, 5, 5, 6, 6]
        assert list(series(storage, f"{names.SCORES}_bucket").values()) == counts
        assert series(storage, f"{names.SCORES}_sum") == {("a1",): round(sum(scores) + 0.3, 6)}
        assert len(counts) == len(SCORE_EDGES) + 1


def test_the_delay_is_from_when_a_claim_was_served_to_when_its_outcome_came(databases: Databases) -> None:
    named = databases.create()
    served = [prediction(f"r{n}", claim_id=f"C{n}", served_at=NOW) for n in range(3)]
    storage = opened(**named)
    store(storage, [[outcome(POSITIVE, claim_id="C0")], served])  # C0 was known before it was asked about: no delay.
    storage.store.close()
    for delay, claim in ((HOUR, "C1"), (100 * 24 * HOUR, "C2")):
        storage = opened(**named, now=lambda delay=delay: NOW + delay)
        store(storage, [[outcome(POSITIVE, claim_id=claim)], [outcome(NEGATIVE, claim_id="C0")]])
        storage.store.close()
    storage = opened(**named)
    edges = (*DELAY_EDGES_SECONDS, float("inf"))
    expected = [1.0 if edge < 3_600 else 2.0 if edge < float("inf") else 3.0 for edge in edges]
    assert list(series(storage, f"{names.LABEL_DELAY}_bucket").values()) == expected
    assert series(storage, f"{names.LABEL_DELAY}_sum") == {("a1",): (101 * 24 - 23) * 3_600.0}
    storage.store.close()


def test_totals_of_one_model_leave_out_the_others(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[prediction("r1"), prediction("r2", stratum=stratum(namespace="other"))]])
        found = [storage.reader.totals(), storage.reader.totals(namespace="other"), storage.reader.totals(model="none")]
        assert [[each.stratum.namespace for each in totals] for totals in found] == [["claims", "other"], ["other"], []]


def test_what_is_read_is_the_same_after_the_database_was_opened_again(databases: Databases) -> None:
    named = databases.create()
    storage = opened(**named)
    with storage.store.transaction(MODELS):
        sent = [prediction(f"r{n}", claim_id=f"C{n}", decision=Decision.SETTLE, cohort="K") for n in range(5)]
        storage.store.add_predictions(sent)
        storage.store.add_outcomes([outcome(NEGATIVE, claim_id=f"C{n}") for n in range(3)])
    before = (storage.reader.totals(), storage.reader.scores(), storage.reader.delays())
    storage.store.close()
    storage = opened(**named)
    assert (storage.reader.totals(), storage.reader.scores(), storage.reader.delays()) == before
    storage.store.close()


def test_outcomes_of_the_random_sample_are_shown_apart_and_only_where_there_are_some(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[prediction("r1", claim_id="C1"), outcome(POSITIVE, claim_id="C1")]])
        assert series(storage, names.REPRESENTATIVE_OUTCOMES_TOTAL) == {}
        store(storage, [[outcome(POSITIVE, claim_id="C1", is_audit=True)]])
        of_stratum = ("a1", "1", "1")
        assert series(storage, names.REPRESENTATIVE_OUTCOMES_TOTAL) == {
            (*of_stratum, "tp"): 1,
            (*of_stratum, "fp"): 0,
            (*of_stratum, "tn"): 0,
            (*of_stratum, "fn"): 0,
        }
        assert series(storage, names.OUTCOMES_TOTAL)[*of_stratum, "tp"] == 1
