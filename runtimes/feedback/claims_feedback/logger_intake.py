"""Makes predictions of what KServe's logger sends: requests are kept for their responses, responses become rows."""

import time
from collections.abc import Mapping
from enum import StrEnum

from claims_feedback import bodies, errors, join, logger_events
from claims_feedback.answers import Reason, Refused
from claims_feedback.logger_events import Exchange, Unusable
from claims_feedback.messages import Clock
from claims_feedback.metrics import Instruments
from claims_feedback.pairing import Pairing
from claims_feedback.settings import Settings

Thresholds = Mapping[tuple[str, str], float]
"""By namespace and ClaimsModel: from which score on the decision is to refer."""


class Result(StrEnum):
    """What became of a half, beside `logger_events.Unusable`. They are label values of a metric: never rename."""

    KEPT = "kept"
    LOST = "lost"
    PAIRED = "paired"
    COMPLETE = "complete"
    UNPAIRED = "unpaired"
    MALFORMED = "malformed"


class LoggerIntake:
    """The halves of exchanges, on their way to becoming predictions."""

    def __init__(self, configured: Settings, thresholds: Thresholds, instruments: Instruments) -> None:
        """Wait as the settings say; count in the instruments."""
        self._body_max_bytes = configured.body_max_bytes
        self._thresholds = thresholds
        self._halves = instruments.logger_halves
        self._pairing = Pairing(
            wait_seconds=configured.logger_wait_seconds,
            max_rows=configured.logger_waiting_max_rows,
            clock=time.monotonic,
            observe_lost=lambda count: self._count("request", Result.LOST, count),
        )

    async def read(self, request_headers: Mapping[str, str], body: bytes, clock: Clock) -> list[join.Prediction]:
        """Return the predictions of a response; none of a request, nor of what was no inference."""
        kind = "request" if request_headers[logger_events.TYPE_HEADER] == logger_events.REQUEST_TYPE else "response"
        try:
            exchange = logger_events.read_exchange(request_headers, clock.now)
            # The agent logs bytes as they passed, and leaves out the header that says they are compressed.
            plain = bodies.inflate(body, limit_bytes=self._body_max_bytes)
            if kind == "request":
                self._pairing.add_request(exchange, logger_events.read_request(plain))
                self._count(kind, Result.KEPT)
                return []
            threshold = self._thresholds.get((exchange.namespace, exchange.model))
            answer = logger_events.read_response(plain, threshold)
        except errors.FeedbackError:
            self._count(kind, Result.MALFORMED)
            raise
        if isinstance(answer, Unusable):
            return self._pass_over(exchange, answer)
        return await self._complete(exchange, answer)

    def _pass_over(self, exchange: Exchange, why: Unusable) -> list[join.Prediction]:
        self._count("response", why)
        if why is Unusable.NO_DECISION:
            raise Refused(
                422,
                Reason.NO_DECISION,
                f"The response of {exchange.namespace}/{exchange.model} has no output `decision` of `refer` and"
                " `settle`. Return one, or set a decision threshold for the score it returns.",
            )
        return []

    async def _complete(self, exchange: Exchange, answer: logger_events.Answer) -> list[join.Prediction]:
        if answer.claim_ids is not None:
            self._count("response", Result.COMPLETE)
            return logger_events.predictions_of(exchange, answer, answer.claim_ids)
        claim_ids = await self._pairing.find_request(exchange)
        self._count("response", Result.UNPAIRED if claim_ids is None else Result.PAIRED)
        return logger_events.predictions_of(exchange, answer, claim_ids or ())

    def _count(self, kind: str, result: Result | Unusable, count: int = 1) -> None:
        self._halves.labels(kind, result.value).inc(count)


def read_thresholds(text: str) -> Thresholds:
    """Read ``namespace/model=0.6``, several separated by blanks; raise `errors.CannotStart` where it says otherwise."""
    thresholds: dict[tuple[str, str], float] = {}
    for item in text.split():
        name, _, number = item.partition("=")
        namespace, _, model = name.partition("/")
        try:
            threshold = float(number)
        except ValueError:
            threshold = -1.0
        # The comparison is false for NaN too.
        if not namespace or not model or not 0 <= threshold <= 1:
            raise errors.CannotStart(
                f"CLAIMS_FEEDBACK_LOGGER_DECISION_THRESHOLDS has `{item}`. Write `namespace/model=0.5`, with a number"
                " from 0 to 1, and blanks between several."
            )
        thresholds[namespace, model] = threshold
    return thresholds
