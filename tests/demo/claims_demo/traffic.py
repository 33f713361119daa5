"""Steady traffic of a real client: KServe's own V2 clients, REST and gRPC in turn, through the gateway.

Nothing is retried here. A request counts as failed when it is refused, times out, ends with any status but OK, or
answers with anything but one decision per claim.
"""

import asyncio
import datetime as dt
import logging
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator, Sequence

import grpc  # type: ignore[import-untyped]
import httpx
from kserve import (  # type: ignore[import-untyped]
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
)
from kserve.errors import InferenceError, InvalidInput  # type: ignore[import-untyped]
from kserve.inference_client import RESTConfig  # type: ignore[import-untyped]

from claims_contract import headers, tensors
from claims_demo.claims import Claim
from claims_demo.ledger import Failure, Ledger

REQUEST_TIMEOUT_SECONDS = 10.0
MOST_UNDER_WAY = 64
"""Requests under way at once; where the platform is slower than the pace, the pace gives in."""


def pace(now: float, due: float, interval_seconds: float) -> tuple[float, float]:
    """Return (seconds to sleep, when the next request is due).

    A delay of less than a second is made up for; after a longer one the clock starts anew, so that a client that
    was asleep does not send a burst.
    """
    if now - due > 1.0:
        due = now
    return max(0.0, due - now), due + interval_seconds


def build_request(model: str, claims: Sequence[Claim], request_id: str) -> InferRequest:
    """Return one named tensor per column, shape [n]: BYTES for text, FP64 for numbers."""
    rows = len(claims)
    inputs = [InferInput(tensors.CLAIM_ID, [rows], "BYTES", [claim.identifier for claim in claims])]
    for name in claims[0].features:
        values = [claim.features[name] for claim in claims]
        datatype = "BYTES" if isinstance(values[0], str) else "FP64"
        inputs.append(InferInput(name, [rows], datatype, values))
    return InferRequest(model, inputs, request_id)


class Traffic:
    """Sends requests at a steady pace."""

    def __init__(
        self,
        *,
        gateway_url: str,
        hostname: str,
        model: str,
        batches: Iterator[Sequence[Claim]],
        requests_per_second: float,
        run: str,
        ledger: Ledger,
        answered: Callable[[Sequence[Claim]], None],
    ) -> None:
        """Name the target; ``run`` begins every request id, ``answered`` is called with the claims of each answer."""
        self._url = gateway_url
        self._hostname = hostname
        self._model = model
        self._batches = batches
        self._interval_seconds = 1.0 / requests_per_second
        self._run = run
        self._ledger = ledger
        self._answered = answered
        self._slots = asyncio.Semaphore(MOST_UNDER_WAY)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop`` is set, then wait for the requests under way, each of which has its own time limit."""
        # The clients log each error with its traceback; here every failure is kept in the ledger instead.
        logging.getLogger("kserve.trace").setLevel(logging.CRITICAL)
        target = urllib.parse.urlsplit(self._url).netloc
        options = [("grpc.default_authority", self._hostname), ("grpc.enable_retries", 0)]
        config = RESTConfig(
            protocol="v2",
            timeout=REQUEST_TIMEOUT_SECONDS,
            transport=httpx.AsyncHTTPTransport(retries=0),
        )
        loop = asyncio.get_running_loop()
        async with (
            InferenceRESTClient(config) as rest,
            InferenceGRPCClient(target, channel_args=options, timeout=REQUEST_TIMEOUT_SECONDS, retries=0) as rpc,
            asyncio.TaskGroup() as group,
        ):
            due = loop.time()
            while not stop.is_set():
                wait_seconds, due = pace(loop.time(), due, self._interval_seconds)
                await asyncio.sleep(wait_seconds)
                if self._slots.locked():
                    self._ledger.held_back += 1
                    continue
                await self._slots.acquire()
                self._ledger.sent += 1
                group.create_task(self._ask(rest, rpc, next(self._batches), self._ledger.sent))

    async def _ask(
        self, rest: InferenceRESTClient, rpc: InferenceGRPCClient, claims: Sequence[Claim], turn: int
    ) -> None:
        """Send one request, by REST in odd turns and gRPC in even ones, and enter its end in the ledger."""
        protocol, ask = ("REST", self._ask_rest(rest)) if turn % 2 else ("gRPC", rpc.infer)
        request = build_request(self._model, claims, f"{self._run}-{turn}")
        try:
            response = await ask(request)
            reason = find_fault(response.outputs, len(claims))
        except grpc.RpcError as error:
            reason = f"{error.code().name} {error.details()}"
        except (httpx.HTTPError, InferenceError, InvalidInput, KeyError) as error:
            reason = f"{type(error).__name__} {error}"
        finally:
            self._slots.release()
        if reason is None:
            self._ledger.answered += 1
            self._answered(claims)
        else:
            self._ledger.failures.append(
                Failure(at=dt.datetime.now(dt.UTC), protocol=protocol, request_id=request.id, reason=reason[:300])
            )

    def _ask_rest(self, client: InferenceRESTClient) -> Callable[[InferRequest], Awaitable[InferResponse]]:
        async def ask(request: InferRequest) -> InferResponse:
            received: dict[str, str] = {}
            response = await client.infer(
                self._url,
                request,
                model_name=self._model,
                headers={"host": self._hostname},
                response_headers=received,
            )
            self._ledger.answers_by_variant[received.get(headers.VARIANT, "unnamed")] += 1
            return response

        return ask


def find_fault(outputs: Sequence[InferOutput], rows: int) -> str | None:
    """Return what is wrong with an answer, or None where it holds one known decision per claim."""
    texts = [
        value.decode() if isinstance(value, bytes) else str(value)
        for output in outputs
        if output.name == tensors.DECISION
        for value in output.as_numpy().ravel()
    ]
    if len(texts) == rows and {tensors.REFER, tensors.SETTLE}.issuperset(texts):
        return None
    return f"expected {rows} decisions in tensor '{tensors.DECISION}', got {texts}"
