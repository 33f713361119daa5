"""The pace is steady, and every request ends in the ledger as what it was."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterator

import pytest
from kserve import InferOutput  # type: ignore[import-untyped]

from claims_demo import claims, traffic, waiting
from claims_demo.ledger import Ledger


def test_the_pace_makes_up_for_a_short_delay() -> None:
    assert traffic.pace(now=10.0, due=10.4, interval_seconds=0.1) == pytest.approx((0.4, 10.5))
    assert traffic.pace(now=10.9, due=10.4, interval_seconds=0.1) == pytest.approx((0.0, 10.5))


def test_the_pace_sends_no_burst_after_a_long_sleep() -> None:
    assert traffic.pace(now=70.0, due=10.4, interval_seconds=0.1) == pytest.approx((0.0, 70.1))


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        pytest.param("decision", ["refer", "settle"], None, id="REST text"),
        pytest.param("decision", [b"refer", b"settle"], None, id="gRPC bytes"),
        pytest.param("decision", ["refer"], "expected 2 decisions", id="a decision is missing"),
        pytest.param("decision", ["refer", "perhaps"], "perhaps", id="an unknown decision"),
        pytest.param("risk_score", ["refer", "settle"], r"got \[\]", id="no decisions"),
    ],
)
def test_an_answer_holds_a_known_decision_per_claim(name: str, data: list[str | bytes], fault: str | None) -> None:
    found = traffic.find_fault([InferOutput(name, [len(data)], "BYTES", data)], rows=2)

    if fault is None:
        assert found is None
    else:
        assert found is not None
        assert fault.replace("\\", "") in found


def test_requests_hold_every_column_and_the_claim_ids() -> None:
    batch = next(claims.batches(seed=7, start=0, rows=10, run="run"))

    request = traffic.build_request("claim-risk", batch, "run-1")

    assert request.inputs[0].data == [claim.identifier for claim in batch]
    assert {each.name: each.shape for each in request.inputs} == {
        name: [10] for name in ("claim_id", *batch[0].features)
    }
    assert {each.datatype for each in request.inputs} == {"BYTES", "FP64"}


def test_batches_never_repeat_a_claim() -> None:
    stream = claims.batches(seed=7, start=0, rows=7, run="run")

    identifiers = [claim.identifier for batch in itertools.islice(stream, 600) for claim in batch]

    assert len(set(identifiers)) == len(identifiers) == 4200


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Hold a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_gateway_that_is_down_fails_every_request_of_both_protocols() -> None:
    ledger, stop = Ledger(), asyncio.Event()

    with closed_port() as port:
        load = traffic.Traffic(
            gateway_url=f"http://127.0.0.1:{port}",
            hostname="claim-risk-claims.claims.local",
            model="claim-risk",
            batches=claims.batches(seed=7, start=0, rows=2, run="run"),
            requests_per_second=20,
            run="run",
            ledger=ledger,
            answered=lambda _: pytest.fail("nobody answers"),
        )
        asyncio.get_running_loop().call_later(0.5, stop.set)
        async with asyncio.timeout(20):
            await load.run(stop)

    assert ledger.sent >= 5
    assert len(ledger.failures) == ledger.sent
    assert ledger.answered == 0
    assert {failure.protocol for failure in ledger.failures} == {"REST", "gRPC"}


async def test_a_wait_in_vain_says_what_was_seen() -> None:
    async def look() -> tuple[None, str]:
        return None, "pod x is Pending"

    with pytest.raises(waiting.WaitedInVainError, match=r"Waited 0 s for Job y to end. Last seen: pod x is Pending"):
        await waiting.wait_for("Job y to end", look, limit_seconds=0.02, interval_seconds=0.01)
