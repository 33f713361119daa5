import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from unit.claims_runtime.feedback_server import FeedbackServer

from claims_runtime import events
from claims_runtime.events import Emitter, Origin, Prediction
from claims_runtime.settings import EventSettings


@pytest.fixture
def feedback() -> Iterator[FeedbackServer]:
    with FeedbackServer() as server:
        yield server


@asynccontextmanager
async def emitter_to(url: str, queue_events: int = 10_000, close_seconds: float = 10.0) -> AsyncIterator[Emitter]:
    """Yield an emitter that is closed at the end."""
    settings = EventSettings(url=url + "/v1/events", namespace="claims", model="claim-risk", revision="abc")
    emitter = Emitter(settings, queue_events=queue_events)
    yield emitter
    await emitter.close(close_seconds)


def predictions(count: int) -> list[Prediction]:
    answered_at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    return [
        Prediction(
            request_id="request-1",
            row=row,
            claim_id=None,
            origin=Origin(attempt=1, epoch=2, cohort=None, is_tester=False),
            decision="refer",
            score=0.75,
            answered_at=answered_at,
        )
        for row in range(count)
    ]


def dropped(reason: str) -> float:
    return events.DROPPED_TOTAL.labels(reason)._value.get()


def sent() -> float:
    return events.SENT_TOTAL._value.get()


async def test_events_are_sent_in_order_in_batches_of_at_most_200(feedback: FeedbackServer) -> None:
    before = sent()
    async with emitter_to(feedback.url) as emitter:
        emitter.put(predictions(450))
    assert [len(batch) for batch in feedback.batches] == [200, 200, 50]
    assert [event["data"]["row"] for event in feedback.events] == list(range(450))
    assert sent() - before == 450


async def test_a_few_events_wait_half_a_second_for_more(feedback: FeedbackServer) -> None:
    async with emitter_to(feedback.url) as emitter:
        for prediction in predictions(5):
            emitter.put([prediction])
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.0)
        assert sum(len(batch) for batch in feedback.batches) == 5
        assert len(feedback.batches) <= 2


async def test_a_feedback_service_in_trouble_gets_the_same_events_later(feedback: FeedbackServer) -> None:
    feedback.statuses = [503, 429, 404]
    async with emitter_to(feedback.url) as emitter:
        emitter.put(predictions(3))
    assert [event["id"] for event in feedback.events] == ["request-1/0", "request-1/1", "request-1/2"]


async def test_an_event_that_is_refused_takes_no_other_with_it(feedback: FeedbackServer) -> None:
    feedback.refuses = lambda event: event["data"]["row"] in {7, 150}
    before, sent_before = dropped(events.REFUSED), sent()
    async with emitter_to(feedback.url) as emitter:
        emitter.put(predictions(250))
    assert dropped(events.REFUSED) - before == 2
    assert sent() - sent_before == 248
    assert [event["data"]["row"] for event in feedback.events] == [row for row in range(250) if row not in {7, 150}]


async def test_a_full_queue_drops_the_oldest(feedback: FeedbackServer) -> None:
    before = dropped(events.OVERFLOW)
    async with emitter_to(feedback.url, queue_events=10) as emitter:
        emitter.put(predictions(25))
    assert dropped(events.OVERFLOW) - before == 15
    assert [event["data"]["row"] for event in feedback.events] == list(range(15, 25))


async def test_events_without_a_feedback_service_are_counted_at_the_end() -> None:
    with FeedbackServer() as gone:
        url = gone.url
    before = dropped(events.SHUTDOWN)
    async with asyncio.timeout(30), emitter_to(url, close_seconds=0.3) as emitter:
        emitter.put(predictions(250))
        await asyncio.sleep(0.2)
    assert dropped(events.SHUTDOWN) - before == 250


async def test_putting_events_never_waits_for_a_slow_feedback_service(feedback: FeedbackServer) -> None:
    feedback.delay_seconds = 2.0
    async with emitter_to(feedback.url) as emitter:
        for _ in range(10):
            emitter.put(predictions(100))
            await asyncio.sleep(0)
        assert feedback.events == [], "all were put before the first batch was answered"
        feedback.delay_seconds = 0.0
    assert len(feedback.events) == 1000


def settings_of(**changes: str) -> EventSettings:
    return EventSettings(url="http://feedback/v1/events", namespace="claims", model="m", revision="abc", **changes)


@pytest.mark.parametrize(
    ("request_headers", "changes", "origin"),
    [
        pytest.param({}, {}, Origin(attempt=0, epoch=0, cohort=None, is_tester=False), id="past-the-gateway"),
        pytest.param(
            {"x-policy": "P-1", "x-claim-id": "C-1"},
            {"cohort_header": "x-policy"},
            Origin(attempt=0, epoch=0, cohort="P-1", is_tester=False),
            id="a-cohort-header-of-its-own",
        ),
        pytest.param(
            {"x-claims-tester": "1", "x-claim-id": "C-1"},
            {"cohort_header": "", "tester_header": ""},
            Origin(attempt=0, epoch=0, cohort=None, is_tester=False),
            id="no-such-headers",
        ),
        pytest.param(
            {"x-claim-id": " "}, {}, Origin(attempt=0, epoch=0, cohort=None, is_tester=False), id="an-empty-cohort"
        ),
    ],
)
def test_an_origin_is_read_from_the_headers(
    request_headers: dict[str, str], changes: dict[str, str], origin: Origin
) -> None:
    assert Origin.read(request_headers, settings_of(**changes)) == origin


def test_a_cohort_too_long_to_be_stored_becomes_a_digest() -> None:
    cohorts = [Origin.read({"x-claim-id": value}, settings_of()).cohort for value in ("é" * 257, "é" * 256, "é" * 258)]
    assert [len(cohort or "") for cohort in cohorts] == [64, 256, 64]
    assert len(set(cohorts)) == 3
