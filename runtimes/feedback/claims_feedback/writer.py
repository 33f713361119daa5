"""One thread writes, and commits what has gathered since its last commit at once.

A commit costs one wait for the disk, whatever it holds; requests that arrive during that wait share the next one. A
request's future resolves only after the commit that holds it, so an answer of 200 means durable.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from claims_feedback import errors, join
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

    def write(self, store: Store) -> Receipt:
        """Store the rows; called inside a transaction."""
        if self.predictions:
            return store.add_predictions(self.predictions)
        return store.add_outcomes(self.outcomes)


class Writer:
    """Owns the store from `start` to `close`."""

    def __init__(self, store: Store, *, queue_max_rows: int, observe_commit: Callable[[float, int], None]) -> None:
        """``observe_commit`` is told the seconds and the rows of every commit, from the writer's thread."""
        self._store = store
        self._queue_max_rows = queue_max_rows
        self._observe_commit = observe_commit
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
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
        """Queue a job; raise `errors.Overloaded` when too many rows wait already."""
        with self._lock:
            if self._pending_rows >= self._queue_max_rows:
                raise errors.Overloaded(f"{self._pending_rows} rows wait to be written")
            self._pending_rows += job.rows
        job.receipt.set_running_or_notify_cancel()  # From here a sender that goes away cannot take it back.
        self._jobs.put(job)
        return job.receipt

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._next_group()
            if group:
                self._commit(group)
                with self._lock:
                    self._pending_rows -= sum(job.rows for job in group)

    def _next_group(self) -> tuple[list[Job], bool]:
        """Wait for a job, then take what else has gathered; True when it is the last group."""
        group: list[Job] = []
        rows = 0
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            rows += job.rows
            if rows >= GROUP_MAX_ROWS:
                return group, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[Job]) -> None:
        started = time.monotonic()
        try:
            with self._store.transaction():
                receipts = [job.write(self._store) for job in group]
        except Exception as error:
            # The top of the thread: whatever went wrong, the senders hear of it and the next group gets its chance.
            if isinstance(error, errors.DatabaseUnavailable):
                logger.error("Rolled back %d requests: %s.", len(group), error)
            else:
                logger.exception("Rolled back %d requests.", len(group))
            for job in group:
                job.receipt.set_exception(error)
            return
        self._observe_commit(time.monotonic() - started, sum(job.rows for job in group))
        for job, receipt in zip(group, receipts, strict=True):
            job.receipt.set_result(receipt)
