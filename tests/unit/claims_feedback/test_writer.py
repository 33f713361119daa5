"""What shares a commit, and what happens to the rest of it when one job cannot be stored."""

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from unit.claims_feedback.stores import POSITIVE, Databases, counts, opened, outcome, prediction, stratum

from claims_feedback import errors
from claims_feedback.erasure import Erased
from claims_feedback.join import Claim
from claims_feedback.storage import Storage
from claims_feedback.store import Receipt
from claims_feedback.writer import Job, Writer


class Commits:
    """What the writer reports; the first commit is held up until `release`, so that the next jobs share one."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._released = threading.Event()

    def observe(self, _: float, rows: int) -> None:
        self.rows.append(rows)
        self._released.wait()

    def release(self) -> None:
        self._released.set()


@contextmanager
def writing(databases: Databases, commits: Commits, *, queue_max_rows: int = 1_000) -> Iterator[tuple[Storage, Writer]]:
    storage = opened(**databases.create())
    writer = Writer(storage.store, storage.retention, queue_max_rows=queue_max_rows, observe_commit=commits.observe)
    writer.start()
    try:
        yield storage, writer
    finally:
        commits.release()
        writer.close()


def test_jobs_that_gather_during_a_commit_share_the_next(databases: Databases) -> None:
    commits = Commits()
    with writing(databases, commits) as (storage, writer):
        receipts: list[Future[Receipt]] = [writer.submit(Job(predictions=[prediction("first")]))]
        while not commits.rows:
            threading.Event().wait(0.01)
        receipts += [writer.submit(Job(predictions=[prediction(f"r{n}", claim_id="C1")])) for n in range(20)]
        receipts += [writer.submit(Job(outcomes=[outcome(POSITIVE, claim_id="C1")]))]
        commits.release()
        assert [receipt.result().accepted for receipt in receipts] == [1] * 22
        assert commits.rows == [1, 21]
        assert counts(storage) == {(stratum(), "refer"): 21, (stratum(), "tp"): 1}


def test_a_job_that_cannot_be_stored_does_not_spoil_those_that_share_its_commit(databases: Databases) -> None:
    """A number that no column has room for; it never gets past the messages."""
    commits = Commits()
    with writing(databases, commits) as (storage, writer):
        first = writer.submit(Job(predictions=[prediction("first")]))
        while not commits.rows:
            threading.Event().wait(0.01)
        bad = writer.submit(Job(predictions=[dataclasses.replace(prediction("bad"), row=2**80)]))
        good = [writer.submit(Job(predictions=[prediction(f"r{n}")])) for n in range(3)]
        commits.release()
        assert [receipt.result().accepted for receipt in (first, *good)] == [1] * 4
        assert isinstance(bad.exception(), Exception)
        assert counts(storage) == {(stratum(), "refer"): 4}


def test_an_erasure_comes_after_what_was_submitted_before_it(databases: Databases) -> None:
    commits = Commits()
    claim = Claim(namespace="claims", model="claim-risk", claim_id="C1")
    with writing(databases, commits) as (_, writer):
        writer.submit(Job(predictions=[prediction("r1", claim_id="C1")]))
        writer.submit(Job(outcomes=[outcome(POSITIVE, claim_id="C1")]))
        erased = writer.erase(claim)
        again = writer.submit(Job(predictions=[prediction("r2", claim_id="C1")]))
        commits.release()
        assert erased.result() == Erased(predictions=1, outcomes=1)
        assert again.result().duplicates == 1


def test_text_that_postgresql_has_no_place_for_is_refused_where_it_is(databases: Databases) -> None:
    with writing(databases, Commits()) as (_, writer):
        sent = [prediction("r1"), prediction("r\x002", cohort="K\x00")]
        with pytest.raises(errors.Unacceptable) as refused:
            writer.submit(Job(predictions=sent))
        assert [problem.where for problem in refused.value.problems] == ["[1].data.requestId", "[1].data.cohort"]
        with pytest.raises(errors.Unacceptable, match=r"outcomes\[0\].claimId"):
            writer.submit(Job(outcomes=[outcome(POSITIVE, claim_id="C\x00")]))


def test_too_many_rows_are_refused_before_they_take_memory(databases: Databases) -> None:
    commits = Commits()
    with writing(databases, commits, queue_max_rows=2) as (_, writer):
        waiting = writer.submit(Job(predictions=[prediction("r1"), prediction("r2")]))
        with pytest.raises(errors.Overloaded):
            writer.submit(Job(predictions=[prediction("r3")]))
        commits.release()
        waiting.result()
        while writer.pending_rows:
            threading.Event().wait(0.01)
        assert writer.submit(Job(predictions=[prediction("r3")])).result().accepted == 1
