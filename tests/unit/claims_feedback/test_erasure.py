"""A person's records: exported, erased, hashed, and deleted when they are old; the totals stay."""

import contextlib
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from unit.claims_feedback.stores import (
    MODELS,
    NEGATIVE,
    NOW,
    POSITIVE,
    Arrival,
    Databases,
    counts,
    opened,
    outcome,
    prediction,
    store,
    stratum,
)

from claims_feedback import errors
from claims_feedback.erasure import ClaimRecords, Erased
from claims_feedback.join import Claim, Decision
from claims_feedback.settings import Identifiers
from claims_feedback.storage import Storage

C1 = Claim(namespace="claims", model="claim-risk", claim_id="C1")
NOBODY = ClaimRecords(predictions=[], outcomes=[])

RECORDS: list[Arrival] = [
    prediction("r1", claim_id="C1", cohort="K1"),
    prediction("r1", row=1, claim_id="C2"),
    prediction("r2", claim_id="C1", decision=Decision.SETTLE),
    prediction("r3", claim_id="C1", stratum=stratum(revision="b2")),
    prediction("r4", claim_id="C1", is_tester=True),
    prediction("r1", claim_id="C1", stratum=stratum(namespace="other")),
    outcome(POSITIVE, claim_id="C1"),
    outcome(NEGATIVE, claim_id="C1"),
    outcome(NEGATIVE, request_id="r2", row=0),
    outcome(POSITIVE, claim_id="C2"),
    outcome(POSITIVE, claim_id="C1", namespace="other"),
]
"""Of C1: three predictions of three requests, one of a tester, and three outcomes."""


def erase(storage: Storage, claim: Claim) -> Erased:
    with storage.store.transaction([(claim.namespace, claim.model)]):
        return storage.store.erase_claim(claim)


def everything(storage: Storage) -> str:
    """Return every value of every table."""
    tables = ("model", "revision", "stratum", "prediction", "outcome", "cohort", "erased", "setting")
    with storage.store.database.reading() as statements:
        return repr([statements.select(f"SELECT * FROM {table}") for table in tables])  # noqa: S608


def test_an_export_holds_all_that_is_stored_of_a_claim(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [RECORDS])
        found = storage.reader.export_claim(C1)
        assert [(each.request_id, each.revision, each.outcome, each.corrected) for each in found.predictions] == [
            ("r1", "a1", POSITIVE, True),
            ("r2", "a1", NEGATIVE, False),
            ("r3", "b2", POSITIVE, True),
            ("r4", "a1", POSITIVE, True),
        ]
        assert [(each.request_id, each.row, each.outcome) for each in found.outcomes] == [
            (None, None, POSITIVE),
            (None, None, NEGATIVE),
            ("r2", 0, NEGATIVE),
        ]
        first, *_, of_tester = found.predictions
        assert (first.served_at, first.received_at, first.score, first.decision) == (NOW, NOW, 0.9, Decision.REFER)
        assert (first.cohort is not None, first.is_tester, of_tester.is_tester) == (True, False, True)
        assert storage.reader.export_claim(Claim(namespace="claims", model="none", claim_id="C1")) == NOBODY


def test_erasure_deletes_a_claims_records_and_no_others_and_keeps_the_totals(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [RECORDS])
        before = counts(storage)
        assert erase(storage, C1) == Erased(predictions=4, outcomes=3)
        assert erase(storage, C1) == Erased(predictions=0, outcomes=0)
        assert storage.reader.export_claim(C1) == NOBODY
        others = (Claim(namespace="claims", model="claim-risk", claim_id="C2"),)
        others += (Claim(namespace="other", model="claim-risk", claim_id="C1"),)
        assert [len(storage.reader.export_claim(claim).predictions) for claim in others] == [1, 1]
        assert counts(storage) == before


def test_what_comes_of_an_erased_claim_is_acknowledged_and_neither_stored_nor_counted(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [RECORDS])
        before = counts(storage)
        erase(storage, C1)
        late: list[Any] = [
            prediction("r2"),  # Sent again without the claim: it is the row that was erased.
            prediction("r9", claim_id="C1", stratum=stratum(epoch=7)),
            prediction("r1", claim_id="C1", cohort="K1"),
        ]
        with storage.store.transaction(MODELS):
            events = storage.store.add_predictions(late)
            told = [outcome(POSITIVE, claim_id="C1"), outcome(POSITIVE, request_id="r3", row=0)]
            outcomes = storage.store.add_outcomes(told)
        assert (events.accepted, events.duplicates, events.labelled) == (3, 3, 0)
        assert (outcomes.accepted, outcomes.duplicates, outcomes.labelled) == (2, 2, 0)
        assert counts(storage) | {(stratum(epoch=7), "refer"): 0} == before | {(stratum(epoch=7), "refer"): 0}
        assert storage.reader.export_claim(C1) == NOBODY


def test_a_claim_may_be_erased_before_anything_came_of_it(databases: Databases) -> None:
    with databases.storage() as storage:
        assert erase(storage, C1) == Erased(predictions=0, outcomes=0)
        store(storage, [RECORDS[:1], RECORDS[6:7]])
        assert counts(storage) == {}


def test_a_cohort_whose_evidence_was_erased_gives_no_second_one(databases: Databases) -> None:
    sent = [prediction(f"r{n}", claim_id=f"C{n}", cohort="K1") for n in (1, 2)]
    with databases.storage() as storage:
        store(storage, [sent, [outcome(POSITIVE, claim_id="C1")]])
        erase(storage, C1)
        store(storage, [[outcome(POSITIVE, claim_id="C2")]])
        assert counts(storage) == {(stratum(), "refer"): 2, (stratum(), "tp"): 1, (stratum(), "cohort_repeats"): 1}


def test_nothing_that_is_left_of_an_erased_claim_names_it(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[prediction("request-of-somebody", claim_id="claim-of-somebody", cohort="somebody")]])
        assert "claim-of-somebody" in everything(storage)
        erase(storage, Claim(namespace="claims", model="claim-risk", claim_id="claim-of-somebody"))
        assert "somebody" not in everything(storage)


@pytest.fixture
def hashed(tmp_path: Path) -> dict[str, Any]:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    return {"identifiers": Identifiers.HASHED, "hash_key_file": str(key)}


def test_hashed_identifiers_are_joined_exported_and_erased_like_plain_ones(
    databases: Databases, hashed: dict[str, Any]
) -> None:
    with databases.storage() as plain:
        store(plain, [RECORDS])
        expected, exported = counts(plain), plain.reader.export_claim(C1)
    with databases.storage(**hashed) as storage:
        store(storage, [RECORDS, RECORDS])
        assert counts(storage) == expected
        stored = everything(storage)
        assert not [name for name in ("'C1'", "'C2'", "'r1'", "'r2'", "'K1'") if name in stored]
        found = storage.reader.export_claim(C1)
        assert [each.outcome for each in found.predictions] == [each.outcome for each in exported.predictions]
        assert len({each.request_id for each in found.predictions}) == 4
        assert erase(storage, C1) == Erased(predictions=4, outcomes=3)
        store(storage, [RECORDS])
        assert counts(storage) == expected


def test_a_database_keeps_to_its_key_and_its_form_of_identifiers(
    databases: Databases, hashed: dict[str, Any], tmp_path: Path
) -> None:
    named = databases.create()
    storage = opened(**named, **hashed)
    store(storage, [RECORDS])
    storage.store.close()
    (tmp_path / "other").write_text("another key of sixteen bytes")
    for changes, sentence in (
        ({"identifiers": Identifiers.PLAIN}, "CLAIMS_FEEDBACK_IDENTIFIERS=hashed"),
        ({"hash_key_file": str(tmp_path / "other")}, "another key"),
        ({"hash_key_file": ""}, "needs a key"),
        ({"hash_key_file": str(tmp_path / "nowhere")}, "nowhere cannot be read"),
    ):
        with pytest.raises(errors.CannotStart, match=sentence):
            opened(**named, **hashed | changes)
    opened(**named, **hashed).store.close()


def test_a_database_without_hashes_may_be_given_a_key(databases: Databases, hashed: dict[str, Any]) -> None:
    named = databases.create()
    key = {"hash_key_file": hashed["hash_key_file"]}
    plain = [prediction("r1", claim_id="C1")]
    with contextlib.closing(opened(**named).store):
        pass
    storage = opened(**named, **key)
    store(storage, [plain])
    storage.store.close()
    storage = opened(**named)  # Taken away again: nothing was hashed yet.
    erase(storage, C1)
    storage.store.close()
    with pytest.raises(errors.CannotStart, match="another key"):
        opened(**named, **key)


class Calendar:
    """A clock that the tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


def delete_all(storage: Storage) -> int:
    """Delete what is old as the writer does, batch by batch; return how many rows."""
    deleted = 0
    while more := storage.retention.delete_batch():
        deleted += more
    return deleted


def test_old_rows_are_deleted_and_the_totals_stay(databases: Databases) -> None:
    calendar = Calendar()
    named = databases.create()
    storage = opened(**named, now=calendar, retention_days=90)
    old = [prediction(f"old-{n}", claim_id=f"old-{n}", cohort=f"K{n}") for n in range(1_200)]
    told = [outcome(POSITIVE, claim_id=f"old-{n}") for n in range(0, 1_200, 2)]
    store(storage, [old, told, [outcome(POSITIVE, claim_id="never-asked-about")]])
    calendar.now += dt.timedelta(days=60)
    young = [prediction(f"young-{n}", claim_id=f"young-{n}", served_at=calendar.now) for n in range(10)]
    store(storage, [young])
    before = counts(storage)
    assert delete_all(storage) == 0
    storage.store.close()
    calendar.now += dt.timedelta(days=31)
    storage = opened(**named, now=calendar, retention_days=90)
    assert delete_all(storage) == 1_200 + 601 + 600  # Predictions, outcomes, and cohorts that had given evidence.
    assert counts(storage) == before
    assert "old-" not in everything(storage)
    store(storage, [[outcome(NEGATIVE, claim_id="young-3"), outcome(NEGATIVE, claim_id="old-3")]])
    assert counts(storage) == before | {(stratum(), "fp"): 1}
    storage.store.close()


def test_a_failure_to_delete_is_not_tried_again_at_once(databases: Databases) -> None:
    named = databases.create()
    storage = opened(**named, retention_days=1)
    with storage.store.database.writing() as statements:
        statements.change("DROP TABLE cohort")
    with contextlib.suppress(Exception):  # PostgreSQL calls it a fault of ours.
        storage.retention.delete_batch()
    assert (storage.retention.wait_seconds or 0) > 60
    storage.store.close()


def test_an_event_that_is_older_than_the_retention_is_refused_by_its_index(databases: Databases) -> None:
    with databases.storage(retention_days=90) as storage:
        sent = [prediction("r1"), prediction("r2", served_at=NOW - dt.timedelta(days=91))]
        with pytest.raises(errors.Unacceptable, match="last 90 days") as refused:
            storage.retention.refuse_expired(sent)
        assert [(problem.index, problem.where) for problem in refused.value.problems] == [(1, "[1].time")]
        storage.retention.refuse_expired(sent[:1])
    with databases.storage() as storage:
        storage.retention.refuse_expired(sent)
        assert storage.retention.wait_seconds is None


def test_a_file_of_sqlite_shrinks_when_rows_are_deleted(tmp_path: Path) -> None:
    calendar = Calendar()
    path = str(tmp_path / "feedback.db")
    storage = opened(path, now=calendar, retention_days=1)
    for start in range(0, 20_000, 2_000):
        store(storage, [[prediction(f"r{n}", claim_id=f"C{n}") for n in range(start, start + 2_000)]])
    storage.store.close()
    full = Path(path).stat().st_size
    calendar.now += dt.timedelta(days=3)
    storage = opened(path, now=calendar, retention_days=1)
    assert delete_all(storage) == 20_000
    storage.store.close()
    assert Path(path).stat().st_size < full / 4
