"""Requests and responses that meet, whichever comes first."""

import asyncio
import datetime as dt

from unit.claims_feedback.logged import REQUEST, logged_headers

from claims_feedback import logger_events, pairing
from claims_feedback.logger_events import Exchange
from claims_feedback.pairing import Pairing

NEVER_SECONDS = 60.0
SOON_SECONDS = 0.001


class Waiting:
    """Halves that wait, a clock that is set by hand, and how many requests were given up."""

    def __init__(self, *, wait_seconds: float = NEVER_SECONDS, max_rows: int = 100) -> None:
        self.seconds = 0.0
        self.lost = 0
        self.pairing = Pairing(
            wait_seconds=wait_seconds, max_rows=max_rows, clock=lambda: self.seconds, observe_lost=self._observe
        )

    def _observe(self, count: int) -> None:
        self.lost += count


def exchange(name: str, revision: str = "a1") -> Exchange:
    headers = logged_headers(REQUEST, name, inferenceservicename=f"claim-risk-{revision}")
    return logger_events.read_exchange(headers, dt.datetime(2026, 1, 2, tzinfo=dt.UTC))


async def test_a_response_finds_the_request_that_came_before_it() -> None:
    waiting = Waiting()
    waiting.pairing.add_request(exchange("e1"), ("C1",))
    waiting.pairing.add_request(exchange("e2"), ("C2",))
    assert await waiting.pairing.find_request(exchange("e2")) == ("C2",)
    assert await waiting.pairing.find_request(exchange("e1")) == ("C1",)


async def test_a_response_waits_for_the_request_that_comes_after_it() -> None:
    waiting = Waiting()
    found = asyncio.create_task(waiting.pairing.find_request(exchange("e1")))
    await asyncio.sleep(0)
    waiting.pairing.add_request(exchange("e1", revision="b2"), ("another revision's",))
    waiting.pairing.add_request(exchange("e1"), ())
    assert await found == ()


async def test_a_response_whose_request_never_comes_goes_on_without() -> None:
    waiting = Waiting(wait_seconds=SOON_SECONDS)
    assert await waiting.pairing.find_request(exchange("e1")) is None


async def test_where_only_responses_come_none_waits_until_a_request_does() -> None:
    waiting = Waiting(wait_seconds=SOON_SECONDS)
    for number in range(pairing.IN_VAIN_MAX):
        await waiting.pairing.find_request(exchange(f"e{number}"))
    waiting.pairing._wait_seconds = NEVER_SECONDS
    assert await waiting.pairing.find_request(exchange("at-once")) is None
    waiting.pairing.add_request(exchange("another"), ())
    late = asyncio.create_task(waiting.pairing.find_request(exchange("late")))
    await asyncio.sleep(0)
    waiting.pairing.add_request(exchange("late"), ("C1",))
    assert await late == ("C1",)


async def test_requests_without_a_response_are_given_up_in_time() -> None:
    waiting = Waiting(wait_seconds=0)
    waiting.pairing.add_request(exchange("old"), ("C1", "C2"))
    waiting.seconds = pairing.REQUEST_KEPT_SECONDS
    waiting.pairing.add_request(exchange("new"), ("C3",))
    assert waiting.lost == 1
    assert await waiting.pairing.find_request(exchange("old")) is None
    assert await waiting.pairing.find_request(exchange("new")) == ("C3",)


async def test_too_many_requests_push_the_oldest_out() -> None:
    waiting = Waiting(wait_seconds=0, max_rows=3)
    waiting.pairing.add_request(exchange("e1"), ("C1", "C2"))
    waiting.pairing.add_request(exchange("e2"), ())
    assert waiting.lost == 0
    waiting.pairing.add_request(exchange("e1"), ("C1", "C3"))
    assert waiting.lost == 0
    waiting.pairing.add_request(exchange("e3"), ("C4",))
    assert waiting.lost == 1
    found = [await waiting.pairing.find_request(exchange(name)) for name in ("e1", "e2", "e3")]
    assert found == [("C1", "C3"), None, ("C4",)]


async def test_a_sender_that_goes_away_leaves_nothing_behind() -> None:
    waiting = Waiting()
    found = asyncio.create_task(waiting.pairing.find_request(exchange("e1")))
    await asyncio.sleep(0)
    found.cancel()
    await asyncio.gather(found, return_exceptions=True)
    waiting.pairing.add_request(exchange("e1"), ("C1",))
    assert await waiting.pairing.find_request(exchange("e1")) == ("C1",)
