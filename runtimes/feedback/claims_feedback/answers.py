"""What is answered when nothing was stored: status, reason, and a sentence for the sender."""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
from starlette.responses import Response

from claims_feedback import errors


class Reason(StrEnum):
    """Why a request was refused. They are label values of a metric: never rename, only add."""

    MALFORMED = "malformed"
    INCOMPLETE = "incomplete"
    NO_DECISION = "no_decision"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NO_TOKENS = "no_tokens"
    OVERLOADED = "overloaded"
    DATABASE = "database"


RETRY_AFTER_SECONDS: Final = {Reason.OVERLOADED: 1, Reason.DATABASE: 5, Reason.NO_TOKENS: 5}


class Refused(errors.FeedbackError):
    """A request that is not served."""

    def __init__(
        self,
        status: int,
        reason: Reason,
        sentence: str,
        *,
        problems: tuple[errors.Problem, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``sentence`` says what was wrong and what to send instead."""
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        self.sentence = sentence
        self.problems = problems
        self.headers = dict(headers or {})


def unsupported(sentence: str) -> Refused:
    """Return the refusal of a body in a form that is not read here."""
    return Refused(415, Reason.UNSUPPORTED, sentence)


def too_large(limit_bytes: int) -> Refused:
    """Return the refusal of a body over the limit; the rest of it is not read, so the connection ends."""
    return Refused(
        413,
        Reason.TOO_LARGE,
        f"The body is larger than {limit_bytes} bytes. Send it in several requests.",
        headers={"connection": "close"},
    )


def refusal_of(error: errors.FeedbackError) -> Refused:
    """Return how an error is answered."""
    match error:
        case Refused():
            return error
        case errors.Unacceptable():
            return Refused(
                400, Reason.MALFORMED, "The body cannot be taken; nothing of it was stored.", problems=error.problems
            )
        case errors.Overloaded():
            return _later(Reason.OVERLOADED, "Too much is waiting to be written; nothing was stored.")
        case errors.DatabaseUnavailable():
            return _later(Reason.DATABASE, f"The database does not take it now ({error}); nothing was stored.")
        case errors.TokensUnavailable():
            return _later(Reason.NO_TOKENS, "No token can be checked at the moment; nothing was stored.")
        case _:
            raise error


def json(content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(content), status_code=status, headers=headers, media_type="application/json")


def camel_case(content: Any) -> Any:
    """Return content whose keys are as the wire has them."""
    match content:
        case dict():
            return {_camel_case(key): camel_case(value) for key, value in content.items()}
        case list():
            return [camel_case(value) for value in content]
        case _:
            return content


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def render(refused: Refused) -> Response:
    """Return the answer to a refused request."""
    content = {"error": refused.sentence, "problems": [dataclasses.asdict(found) for found in refused.problems]}
    return json(content, status=refused.status, headers=refused.headers)


def _later(reason: Reason, sentence: str) -> Refused:
    retry_after = str(RETRY_AFTER_SECONDS[reason])
    return Refused(503, reason, f"{sentence} Send it again.", headers={"retry-after": retry_after})
