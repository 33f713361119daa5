"""Outcomes come late, and none is lost on the way."""

import asyncio
import contextlib
import http.server
import json
import random
import threading
from collections.abc import Iterator

import pytest

from claims_demo import outcomes, waiting
from claims_demo.claims import Claim
from claims_demo.ledger import Ledger

CLAIMS = [Claim(f"claim-{number}", {}, number % 2 == 0) for number in range(4000)]


def schedule(share: float = 1.0, mean_delay_seconds: float = 15.0) -> outcomes.Schedule:
    return outcomes.Schedule(share=share, mean_delay_seconds=mean_delay_seconds, chance=random.Random(1))


def test_the_share_and_the_mean_delay_are_those_asked_for() -> None:
    planned = schedule(share=0.6)

    planned.add(CLAIMS, now=100.0)
    delays = [due - 100.0 for due, _, _ in planned.take_due(1e9, len(CLAIMS))]

    assert len(delays) / len(CLAIMS) == pytest.approx(0.6, abs=0.03)
    assert sum(delays) / len(delays) == pytest.approx(15.0, rel=0.08)


def test_only_what_is_due_is_taken_oldest_first() -> None:
    planned = schedule()
    planned.add(CLAIMS[:100], now=0.0)

    taken = planned.take_due(15.0, 10)

    assert [due for due, _, _ in taken] == sorted(due for due, _, _ in taken)
    assert len(taken) == 10
    assert all(due <= 15.0 for due, _, _ in taken)
    assert len(planned) == 90


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers with the server's next status, and keeps what it acknowledged."""

    server: "Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 200:
            self.server.received += [(item["claimId"], item["outcome"]) for item in body["outcomes"]]
        self.server.tokens.add(self.headers["authorization"])
        self.send_response(status)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet."""


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, answers: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.answers = answers
        self.received: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()


@contextlib.contextmanager
def feedback(answers: list[int]) -> Iterator[Server]:
    with Server(answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def poster(server: Server, planned: outcomes.Schedule, ledger: Ledger) -> outcomes.OutcomePoster:
    return outcomes.OutcomePoster(
        url=f"http://127.0.0.1:{server.server_port}",
        token="a-token-of-the-test",
        namespace="claims",
        model="claim-risk",
        schedule=planned,
        ledger=ledger,
    )


async def test_outcomes_are_posted_again_until_they_are_acknowledged() -> None:
    ledger, planned = Ledger(), schedule(mean_delay_seconds=0.001)
    planned.add(CLAIMS[:20], now=0.0)

    async def look() -> tuple[bool | None, str]:
        return True if ledger.outcomes_posted >= 20 else None, f"{ledger.outcomes_posted} posted"

    with feedback([503]) as server:
        task = asyncio.create_task(poster(server, planned, ledger).run())
        await waiting.wait_for("20 outcomes", look, limit_seconds=10, interval_seconds=0.05)
        task.cancel()

    expected = {(claim.identifier, "positive" if claim.positive else "negative") for claim in CLAIMS[:20]}
    assert set(server.received) == expected
    assert len(server.received) == 20
    assert server.tokens == {"Bearer a-token-of-the-test"}
    assert ledger.outcomes_retried == 1


async def test_a_refusal_that_no_retry_mends_is_told() -> None:
    planned = schedule(mean_delay_seconds=0.001)
    planned.add(CLAIMS[:3], now=0.0)

    with feedback([401]) as server, pytest.raises(outcomes.OutcomesRefusedError, match="answered 401 to 3 outcomes"):
        await poster(server, planned, Ledger()).run()
