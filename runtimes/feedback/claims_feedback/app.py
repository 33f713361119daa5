"""The HTTP interface.

POST /v1/events          Prediction events, CloudEvents 1.0 in binary, structured or batched mode. 200 with counts. Also
                         what KServe's logger sends, see `logger_events`.
POST /v1/outcomes        ``{"outcomes": [...]}`` with a bearer token. 200 with counts.
GET  /v1/totals          The totals as JSON, of all or of ``?namespace=`` and ``?model=``.
GET  /v1/claims/<id>     What is stored of a claim, with ``?namespace=`` and ``?model=`` and an administrator's token.
DELETE /v1/claims/<id>   Deletes it; the totals stay. 200 with counts, also when there was nothing.
GET  /metrics            The totals and the process's own counters, for Prometheus.
GET  /healthz            200 while rows can be written; a restart mends anything else.
GET  /readyz             200 while rows can be written and the database can be read.

A 200 means that everything in the body is on the disk, but for a request that KServe's logger sent: it waits for its
response in memory. Any other status means that nothing of it was stored, and has a JSON body:
``{"error": "...", "problems": [{"index": 3, "where": "[3].data.row", "what": "..."}]}``. After 503, send the same again
when ``Retry-After`` (seconds) is over; what was stored before is recognised and changes nothing. Bodies may be gzip.
"""

import asyncio
import dataclasses
import datetime as dt
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from claims_contract import events
from claims_feedback import access, admission, answers, bodies, errors, join, logger_events, messages, store
from claims_feedback.answers import Reason, Refused
from claims_feedback.logger_intake import LoggerIntake
from claims_feedback.metrics import Instruments
from claims_feedback.reader import Reader
from claims_feedback.settings import Settings
from claims_feedback.writer import Job, Writer

audit = logging.getLogger("claims_feedback.audit")

TOTALS_PATH: Final = "/v1/totals"
CLAIMS_PATH: Final = "/v1/claims/"
CLAIM_PATH: Final = CLAIMS_PATH + "{claim_id:path}"
METRICS_PATH: Final = "/metrics"
HEALTH_PATH: Final = "/healthz"
READINESS_PATH: Final = "/readyz"

QUERY: Final = ("namespace", "model")
"""The query parameters that there are."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Service:
    """The endpoints, over a writer that was started."""

    def __init__(
        self,
        configured: Settings,
        writer: Writer,
        reader: Reader,
        instruments: Instruments,
        logger_intake: LoggerIntake,
        *,
        now: Callable[[], dt.datetime],
    ) -> None:
        """``now`` returns the present, with a time zone."""
        self._settings = configured
        self._writer = writer
        self._reader = reader
        self._instruments = instruments
        self._logger_intake = logger_intake
        self._now = now

    def build_app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                self._route("POST", events.EVENTS_PATH, self._post_events),
                self._route("POST", events.OUTCOMES_PATH, self._post_outcomes),
                self._route("GET", TOTALS_PATH, self._get_totals),
                self._route("GET", CLAIM_PATH, self._get_claim),
                self._route("DELETE", CLAIM_PATH, self._delete_claim),
                self._route("GET", METRICS_PATH, self._get_metrics),
                self._route("GET", HEALTH_PATH, self._get_health),
                self._route("GET", READINESS_PATH, self._get_readiness),
            ],
            exception_handlers={HTTPException: _answer_unrouted},
        )

    def _route(self, method: str, path: str, endpoint: Endpoint) -> Route:
        """Count what an endpoint answers, and turn our errors into answers."""

        async def answer(request: Request) -> Response:
            status = 500
            try:
                response = await endpoint(request)
                status = response.status_code
            except errors.FeedbackError as error:
                refused = answers.refusal_of(error)
                status = refused.status
                self._instruments.refusals.labels(path, refused.reason.value).inc()
                return answers.render(refused)
            finally:
                self._instruments.requests.labels(path, str(status)).inc()
            return response

        return Route(path, answer, methods=[method])

    async def _post_events(self, request: Request) -> Response:
        if logger_events.is_logged(request.headers):
            return await self._post_logged(request)
        read = _reader_of_events(request)
        body = await self._body(request)
        clock = self._clock()
        return await self._store_predictions(read(body, clock), clock)

    async def _post_logged(self, request: Request) -> Response:
        body = await self._body(request)
        clock = self._clock()
        predictions = await self._logger_intake.read(request.headers, body, clock)
        # A request is not stored: it waits for its response, and a sender that tries it again changes nothing.
        return await self._store_predictions(predictions, clock) if predictions else answers.json({"accepted": 0})

    async def _store_predictions(self, predictions: list[join.Prediction], clock: messages.Clock) -> Response:
        predictions, clocks_ahead = messages.mend_clocks(predictions, clock)
        receipt = await self._store("event", Job(predictions=predictions))
        self._instruments.clocks_ahead.inc(clocks_ahead)
        return answers.json(dataclasses.asdict(receipt))

    async def _post_outcomes(self, request: Request) -> Response:
        # Before the body is read: a stranger does not get to send 10 MB.
        await _authorize(request, self._settings.token_file, right="post outcomes")
        if _content_type(request) != "application/json":
            raise answers.unsupported(f"Content-Type is `{_content_type(request)}`. Send `application/json`.")
        outcomes = messages.read_outcomes(await self._body(request), self._clock())
        admission.check_propensities(outcomes, self._settings.propensity_floor)
        receipt = await self._store("outcome", Job(outcomes=outcomes))
        return answers.json(dataclasses.asdict(receipt))

    async def _get_totals(self, request: Request) -> Response:
        _check_query(request)
        found = await run_in_threadpool(
            self._reader.totals,
            namespace=request.query_params.get("namespace") or None,
            model=request.query_params.get("model") or None,
        )
        strata = [
            dataclasses.asdict(totals.stratum)
            | {
                "predictions": totals.decisions,
                "numbers": totals.numbers,
                "outcomes": totals.results,
                "corrections": totals.corrections,
            }
            | {"representativeOutcomes": totals.representative, "cohortRepeats": totals.cohort_repeats}
            | {"testers": {"predictions": totals.tester_predictions, "outcomes": totals.tester_outcomes}}
            for totals in found
        ]
        return answers.json({"totals": strata})

    async def _get_claim(self, request: Request) -> Response:
        await self._authorize_administrator(request)
        claim = _claim(request)
        records = await run_in_threadpool(self._reader.export_claim, claim)
        _audit(request, claim, f"exported {len(records.predictions)} predictions and {len(records.outcomes)} outcomes")
        return answers.json(answers.camel_case(dataclasses.asdict(claim) | dataclasses.asdict(records)))

    async def _delete_claim(self, request: Request) -> Response:
        await self._authorize_administrator(request)
        claim = _claim(request)
        erased = await asyncio.wrap_future(self._writer.erase(claim))
        _audit(request, claim, f"erased {erased.predictions} predictions and {erased.outcomes} outcomes")
        return answers.json(dataclasses.asdict(erased))

    async def _authorize_administrator(self, request: Request) -> None:
        token_file = self._settings.admin_token_file
        if not token_file:
            sentence = (
                "Nobody may see or erase records here. Name a file of tokens in CLAIMS_FEEDBACK_ADMIN_TOKEN_FILE."
            )
            raise Refused(403, Reason.FORBIDDEN, sentence)
        await _authorize(request, token_file, right="see or erase records")

    async def _get_metrics(self, _: Request) -> Response:
        self._instruments.queue_rows.set(self._writer.pending_rows)
        text = await run_in_threadpool(self._instruments.render)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def _get_health(self, _: Request) -> Response:
        if self._writer.is_alive:
            return answers.json({"writer": "alive"})
        return answers.json({"writer": "dead"}, status=503)

    async def _get_readiness(self, request: Request) -> Response:
        """A full disk leaves it ready: senders should get the reason, and not find nobody there."""
        await run_in_threadpool(self._reader.totals, namespace="", model="")
        return await self._get_health(request)

    def _clock(self) -> messages.Clock:
        tolerance = dt.timedelta(seconds=self._settings.clock_tolerance_seconds)
        return messages.Clock(now=self._now(), tolerance=tolerance)

    async def _body(self, request: Request) -> bytes:
        """Read the body, and not more of it than the settings allow."""
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        limit = self._settings.body_max_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise answers.too_large(limit)
        return await bodies.read(request.stream(), encoding=encoding, limit_bytes=limit)

    async def _store(self, kind: str, job: Job) -> store.Receipt:
        receipt = await asyncio.wrap_future(self._writer.submit(job))
        self._instruments.rows.labels(kind, "duplicate").inc(receipt.duplicates)
        self._instruments.rows.labels(kind, "new").inc(receipt.accepted - receipt.duplicates)
        return receipt


def _reader_of_events(request: Request) -> Callable[[bytes, messages.Clock], list[join.Prediction]]:
    """Return what reads the body, by the content mode of CloudEvents' HTTP binding."""
    content_type = _content_type(request)
    if content_type == events.BATCH_CONTENT_TYPE:
        return messages.read_event_batch
    if content_type == "application/cloudevents+json":
        return messages.read_event
    if content_type == "application/json" and "ce-specversion" in request.headers:
        return lambda body, clock: messages.read_binary_event(request.headers, body, clock)
    raise answers.unsupported(
        f"Content-Type is `{content_type}`. Send `{events.BATCH_CONTENT_TYPE}`, `application/cloudevents+json`,"
        " or `application/json` with the event's attributes in `ce-` headers."
    )


async def _authorize(request: Request, token_file: str, *, right: str) -> None:
    authorization = request.headers.get("authorization", "")
    await run_in_threadpool(functools.partial(access.authorize, authorization, token_file, right=right))


def _claim(request: Request) -> join.Claim:
    """Return the claim that a path and a query name."""
    _check_query(request)
    named = {name: request.query_params.get(name, "") for name in QUERY}
    claim = join.Claim(claim_id=request.path_params["claim_id"], **named)
    unusable = [name for name, value in dataclasses.asdict(claim).items() if not value or "\0" in value]
    if unusable:
        sentence = f"`{unusable[0]}` is missing, or holds U+0000. Send {CLAIMS_PATH}<id>?namespace=...&model=..."
        raise Refused(400, Reason.MALFORMED, sentence)
    return claim


def _audit(request: Request, claim: join.Claim, what: str) -> None:
    """Log who saw or erased records; not of which claim, since the log would keep what was erased."""
    peer = request.client.host if request.client is not None else "unknown"
    audit.info("%s %s of one claim of %s/%s", peer, what, claim.namespace, claim.model)


def _check_query(request: Request) -> None:
    unknown = sorted(set(request.query_params) - set(QUERY))
    if unknown:
        sentence = f"Unknown query parameter `{unknown[0]}`: there are `namespace` and `model`."
        raise Refused(400, Reason.MALFORMED, sentence)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _answer_unrouted(request: Request, error: Exception) -> Response:
    """Answer a path or a method that there is not."""
    if not isinstance(error, HTTPException):
        raise error
    sentence = f"{request.method} {request.url.path}: {error.detail}."
    return answers.json({"error": sentence, "problems": []}, status=error.status_code, headers=error.headers)
