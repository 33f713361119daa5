"""One thread writes, and commits what has gathered since its last commit at once.

A commit costs one wait for the disk, whatever it holds; requests that arrive during that wait share the next one. A
request's future resolves only after the commit that holds it, so an answer of 200 means durable.
"""

import functools
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import ClassVar

from claims_feedback import admission, errors, join
from claims_feedback.erasure import Erased
from claims_feedback.retention import Retention
from claims_feedback.store import Receipt, Store

logger = logging.getLogger(__name__)

GROUP_MAX_ROWS = 5_000
"""Rows after which a commit is not made to hold more: it bounds how long the first request in it waits."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The rows of one request, stored together or not at all."""

    predictions: Sequence[join.Prediction] = ()
    outcomes: Sequence[join.ObservedOutcome] = ()
    receipt: "Future[Receipt]" = field(default_factory=Future)

    @property
    def rows(self) -> int:
        """How many rows it asks to store."""
        return len(self.predictions) + len(self.outcomes)

    @property
    def models(self) -> set[join.Model]:
        """The ClaimsModels that the rows are of."""
        served = {(each.stratum.namespace, each.stratum.model) for each in self.predictions}
        return served | {(each.namespace, each.model) for each in self.outcomes}

    def write(self, store: Store) -> Receipt:
        """Store the rows; called inside a transaction."""
        if self.predictions:
            return store.add_predictions(self.predictions)
        return store.add_outcomes(self.outcomes)


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """A claim whose records are to be deleted."""

    claim: join.Claim
    receipt: "Future[Erased]" = field(default_factory=Future)

    rows: ClassVar[int] = 1

    @property
    def models(self) -> set[join.Model]:
        """The ClaimsModel of the claim."""
        return {(self.claim.namespace, self.claim.model)}

    def write(self, store: Store) -> Erased:
        """Delete the records; called inside a transaction."""
        return store.erase_claim(self.claim)


class Writer:
    """Owns the store from `start` to `close`."""

    def __init__(
        self,
        store: Store,
        retention: Retention,
        *,
        queue_max_rows: int,
        observe_commit: Callable[[float, int], None],
    ) -> None:
        """``observe_commit`` is told the seconds and the rows of every commit, from the writer's thread."""
        self._store = store
        self._retention = retention
        self._queue_max_rows = queue_max_rows
        self._observe_commit = observe_commit
        self._jobs: queue.SimpleQueue[Job | Erasure | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending_rows = 0
        self._thread = threading.Thread(target=self._run, name="writer")

    @property
    def pending_rows(self) -> int:
        """Rows that wait for their commit."""
        return self._pending_rows

    @property
    def is_alive(self) -> bool:
        """Whether rows are still being written."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what was submitted, then close the store; nothing may be submitted after this."""
        self._jobs.put(None)
        self._thread.join()
        self._store.close()

    def submit(self, job: Job) -> "Future[Receipt]":
        """Queue a job.

        Raises `errors.Overloaded` when too many rows wait already, and `errors.Unacceptable` for rows that can never be
        stored.
        """
        admission.check(job.predictions, job.outcomes)
        self._retention.refuse_expired(job.predictions)
        self._queue(job)
        return job.receipt

    def erase(self, claim: join.Claim) -> "Future[Erased]":
        """Queue the deletion of a claim's records; raise `errors.Overloaded` when too many rows wait already."""
        erasure = Erasure(claim=claim)
        self._queue(erasure)
        return erasure.receipt

    def _queue(self, job: Job | Erasure) -> None:
        with self._lock:
            if self._pending_rows >= self._queue_max_rows:
                raise errors.Overloaded(f"{self._pending_rows} rows wait to be written")
            self._pending_rows += job.rows
        job.receipt.set_running_or_notify_cancel()  # From here a sender that goes away cannot take it back.
        self._jobs.put(job)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._next_group()
            if group:
                self._commit(group)
                with self._lock:
                    self._pending_rows -= sum(job.rows for job in group)
            if not stopping:
                self._delete_old()

    def _next_group(self) -> tuple[list[Job | Erasure], bool]:
        """Wait for a job, or until it is time to delete, then take what has gathered; True for the last group."""
        group: list[Job | Erasure] = []
        rows = 0
        try:
            job = self._jobs.get(timeout=self._retention.wait_seconds)
            while job is not None:
                group.append(job)
                rows += job.rows
                if rows >= GROUP_MAX_ROWS:
                    return group, False
                job = self._jobs.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _commit(self, group: Sequence[Job | Erasure]) -> None:
        started = time.monotonic()
        try:
            with self._store.transaction({model for job in group for model in job.models}):
                settle = [_written(job, self._store) for job in group]
        except errors.DatabaseUnavailable as error:
            logger.error("Rolled back %d requests: %s.", len(group), error)
            _fail(group, error)
        except Exception as error:
            # The top of the thread: whatever went wrong, the senders hear of it and the next group gets its chance.
            logger.exception("Rolled back %d requests.", len(group))
            if len(group) == 1:
                _fail(group, error)
                return
            for job in group:  # One of them cannot be stored; the others need not suffer with it.
                self._commit([job])
        else:
            self._observe_commit(time.monotonic() - started, sum(job.rows for job in group))
            for tell in settle:
                tell()

    def _delete_old(self) -> None:
        try:
            self._retention.delete_batch()
        except Exception:
            logger.exception("Old rows stay for now.")  # The top of the thread, as above.


def _written(job: Job | Erasure, store: Store) -> Callable[[], None]:
    """Write a job; return what tells its sender, once it is committed."""
    match job:
        case Job():
            return functools.partial(job.receipt.set_result, job.write(store))
        case Erasure():
            return functools.partial(job.receipt.set_result, job.write(store))


def _fail(group: Sequence[Job | Erasure], error: Exception) -> None:
    for job in group:
        job.receipt.set_exception(error)
