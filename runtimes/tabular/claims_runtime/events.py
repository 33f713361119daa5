"""Prediction events on their way to the feedback service."""

import asyncio
import datetime as dt
import logging
import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from prometheus_client import Counter

from claims_contract import events, headers
from claims_runtime.settings import EventSettings

_logger = logging.getLogger("mlserver.claims.events")

SENT_TOTAL: Final = Counter(
    "claims_prediction_events_sent", "Prediction events that the feedback service acknowledged."
)
DROPPED_TOTAL: Final = Counter(
    "claims_prediction_events_dropped",
    "Prediction events given up: the queue was full (overflow), the feedback service refused them (refused), "
    "the pod ended before they could be sent (shutdown), or a fault of the runtime (fault).",
    ["reason"],
)
OVERFLOW, REFUSED, SHUTDOWN, FAULT = "overflow", "refused", "shutdown", "fault"
for _reason in (OVERFLOW, REFUSED, SHUTDOWN, FAULT):
    DROPPED_TOTAL.labels(_reason)

BATCH_EVENTS: Final = 200
"""Events of one POST at most."""

BATCH_SECONDS: Final = 0.5
"""How long an event waits for others to fill its batch."""

QUEUE_EVENTS: Final = 50_000
"""Events that wait at most, about 20 MB; then the oldest are dropped."""

FIRST_RETRY_SECONDS: Final = 0.1
LONGEST_RETRY_SECONDS: Final = 10.0
CLOSING_RETRY_SECONDS: Final = 0.5
"""The longest wait between two posts once the pod ends."""

REFUSALS: Final = frozenset({400, 413, 422})
"""Statuses that judge what was sent. With any other the same batch is sent again: services come and go, and a wrong
address or a missing right can be mended while the events wait."""

POST_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """How a request came to this revision."""

    attempt: int
    epoch: int
    cohort: str | None
    """By what the request was assigned to the revision; None where it was assigned by itself."""

    is_tester: bool

    @classmethod
    def read(cls, request_headers: Mapping[str, str], settings: EventSettings) -> "Origin":
        """Read the headers of a request, or its gRPC metadata; their names are in lower case."""
        attempt, epoch = headers.parse_stratum(request_headers.get(headers.STRATUM))
        return cls(
            attempt=attempt,
            epoch=epoch,
            cohort=headers.parse_cohort(request_headers.get(settings.cohort_header)),
            is_tester=settings.tester_header in request_headers,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What was answered for one row of one request."""

    request_id: str
    row: int
    claim_id: str | None
    origin: Origin
    decision: str
    score: float
    answered_at: dt.datetime


class Emitter:
    """Sends predictions in batches, in order, until each is acknowledged or given up.

    `put` only appends to a queue: the request path never waits for the feedback service. A batch that got no answer
    is sent again, so the feedback service may see an event twice and counts it once by its source and id.
    """

    def __init__(self, settings: EventSettings, *, queue_events: int = QUEUE_EVENTS) -> None:
        self._settings = settings
        self._queue_events = queue_events
        self._queue: deque[Prediction] = deque()
        self._hurry = asyncio.Event()
        """Set when a batch is full or the emitter closes: no reason to wait for more events."""
        self._closing = asyncio.Event()
        self._unsent = 0
        """Events of the batch under way that are neither acknowledged nor dropped."""
        self._task = asyncio.create_task(self._run())

    def put(self, predictions: Iterable[Prediction]) -> None:
        """Queue predictions; the oldest are dropped where the queue is full. Call it from the event loop."""
        self._queue.extend(predictions)
        overflow = len(self._queue) - self._queue_events
        if overflow > 0:
            for _ in range(overflow):
                self._queue.popleft()
            DROPPED_TOTAL.labels(OVERFLOW).inc(overflow)
        if len(self._queue) >= BATCH_EVENTS:
            self._hurry.set()

    async def close(self, timeout_seconds: float) -> None:
        """Send what waits, for at most ``timeout_seconds``, and count the rest as dropped."""
        self._closing.set()
        self._hurry.set()
        await asyncio.wait({self._task}, timeout=timeout_seconds)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        left = len(self._queue) + self._unsent
        if left:
            DROPPED_TOTAL.labels(SHUTDOWN).inc(left)
            _logger.error("%d prediction events could not be sent before the server ended", left)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=POST_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while self._queue or not self._closing.is_set():
                await self._wait_for_batch()
                batch = [self._queue.popleft() for _ in range(min(BATCH_EVENTS, len(self._queue)))]
                if not batch:
                    continue
                self._unsent = len(batch)
                try:
                    await self._deliver(session, batch)
                except Exception:
                    # Without this loop no evidence ever leaves the pod again, so one batch must not end it.
                    _logger.exception("%d prediction events are lost", self._unsent)
                    DROPPED_TOTAL.labels(FAULT).inc(self._unsent)
                    self._unsent = 0

    async def _wait_for_batch(self) -> None:
        if len(self._queue) < BATCH_EVENTS and not self._closing.is_set():
            self._hurry.clear()
            await _wait(self._hurry, BATCH_SECONDS)

    async def _deliver(self, session: aiohttp.ClientSession, batch: list[Prediction]) -> None:
        """Post events until they are acknowledged; drop only those that are refused for what they say."""
        refusal = await self._post_until_answered(session, batch)
        if refusal is None:
            SENT_TOTAL.inc(len(batch))
        elif len(batch) > 1:
            # A batch is taken whole or not at all: the halves find the event that does not pass.
            middle = len(batch) // 2
            await self._deliver(session, batch[:middle])
            await self._deliver(session, batch[middle:])
            return
        else:
            DROPPED_TOTAL.labels(REFUSED).inc()
            _logger.error("the feedback service refused a prediction event: %s", refusal)
        self._unsent -= len(batch)

    async def _post_until_answered(self, session: aiohttp.ClientSession, batch: list[Prediction]) -> str | None:
        """Return None when the batch was acknowledged, or the words with which its content was refused."""
        body = orjson.dumps([self._event(prediction) for prediction in batch])
        failures = 0
        while True:
            status, words = await self._post(session, body)
            if status in REFUSALS:
                return words
            if 200 <= status < 300:
                if failures:
                    _logger.warning("prediction events are taken again, after %d failures", failures)
                return None
            if failures == 0:
                _logger.warning("prediction events wait, the feedback service does not take them: %s", words)
            # Jitter, so that the pods of a revision do not come back all at once.
            delay = FIRST_RETRY_SECONDS * 2 ** min(failures, 10) * random.uniform(0.5, 1)  # noqa: S311
            failures += 1
            if self._closing.is_set():
                await asyncio.sleep(min(delay, CLOSING_RETRY_SECONDS))
            else:
                await _wait(self._closing, min(delay, LONGEST_RETRY_SECONDS))

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> tuple[int, str]:
        """Post one batch once; return the status, 0 where there was no answer, and what was said."""
        headers = {"Content-Type": events.BATCH_CONTENT_TYPE}
        try:
            async with session.post(self._settings.url, data=body, headers=headers) as response:
                text = (await response.text(errors="replace"))[:200]
                return response.status, f"HTTP {response.status} {text}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, f"{type(error).__name__} {error}"

    def _event(self, prediction: Prediction) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "type": events.PREDICTION_TYPE,
            "id": events.prediction_id(prediction.request_id, prediction.row),
            "source": self._settings.source,
            "time": prediction.answered_at,
            "datacontenttype": "application/json",
            "data": {
                "namespace": self._settings.namespace,
                "model": self._settings.model,
                "revision": self._settings.revision,
                "requestId": prediction.request_id,
                "row": prediction.row,
                "claimId": prediction.claim_id,
                "attempt": prediction.origin.attempt,
                "epoch": prediction.origin.epoch,
                "decision": prediction.decision,
                "score": prediction.score,
                "cohort": prediction.origin.cohort,
                "isTester": prediction.origin.is_tester,
            },
        }


async def _wait(event: asyncio.Event, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        pass
