"""What is accepted on the wire: prediction events as CloudEvents 1.0, and outcomes. Pure.

A body is taken as a whole or not at all; what is wrong is listed item by item, so that a sender can leave out those and
send the rest.
"""

import dataclasses
import datetime as dt
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import unquote

import msgspec

from claims_contract import events, headers
from claims_feedback import errors, join
from claims_feedback.errors import Problem

PROBLEMS_MAX = 20
"""How many problems an answer lists; the sender sees the rest once these are mended."""

LARGEST = 2**31 - 1

LARGEST_VALUE: Final = 1e15
"""Of a number that a model returns, or that turned out to be right."""

SPECVERSION: Final = "1.0"

CHOICES: Final = {"decision": tuple(join.Decision), "outcome": tuple(join.Outcome), "specversion": (SPECVERSION,)}
"""What the fields of a few fixed values may say, for the sentence about one that says something else."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Number = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
Value = Annotated[float, msgspec.Meta(ge=-LARGEST_VALUE, le=LARGEST_VALUE)]
Moment = Annotated[dt.datetime, msgspec.Meta(tz=True)]

T = TypeVar("T")


class PredictionData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ``data`` of a prediction event."""

    namespace: Name
    model: Name
    revision: Name
    request_id: Text
    row: Number
    claim_id: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    attempt: Number
    epoch: Number
    decision: join.Decision | None = None
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    value: Value | None = None
    cohort: Annotated[str, msgspec.Meta(max_length=headers.COHORT_MAX_CHARACTERS)] | None = None
    is_tester: bool = False


class PredictionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent; extension attributes are allowed and not looked at."""

    specversion: Literal["1.0"]
    type: str
    source: str
    id: str
    time: Moment | None = None
    data: PredictionData


class OutcomeItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One outcome, of a claim or of a row of a request."""

    namespace: Name
    model: Name
    claim_id: Text | None = None
    request_id: Text | None = None
    row: Number | None = None
    outcome: join.Outcome | None = None
    value: Value | None = None
    observed_at: Moment
    audit: bool = False
    propensity: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None


class OutcomesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a post of outcomes."""

    outcomes: list[msgspec.Raw]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The moment at which a request arrived, and how far a sender's clock may be ahead of it."""

    now: dt.datetime
    tolerance: dt.timedelta

    def is_ahead(self, moment: dt.datetime) -> bool:
        """Whether a sender's clock is further ahead than is tolerated."""
        return moment > self.now + self.tolerance


def read_event_batch(body: bytes, clock: Clock) -> list[join.Prediction]:
    """Read an ``application/cloudevents-batch+json`` body."""
    raws = _decode(body, list[msgspec.Raw], where="")
    return _each(raws, "", lambda raw, where: _prediction(_decode(raw, PredictionEvent, where), clock, where))


def read_event(body: bytes, clock: Clock) -> list[join.Prediction]:
    """Read an ``application/cloudevents+json`` body (structured mode)."""
    return [_prediction(_decode(body, PredictionEvent, ""), clock, "")]


def read_binary_event(ce_headers: Mapping[str, str], body: bytes, clock: Clock) -> list[join.Prediction]:
    """Read an event whose attributes are ``ce-`` headers (lower case) and whose data is the body."""
    attributes: dict[str, object] = {
        name.removeprefix("ce-"): unquote(value) for name, value in ce_headers.items() if name.startswith("ce-")
    }
    attributes["data"] = _decode(body, PredictionData, "")
    try:
        event = msgspec.convert(attributes, PredictionEvent)
    except msgspec.ValidationError as error:
        problem = _problem(error, "")
        header = f"header ce-{problem.where}" if problem.where else "headers"
        raise errors.Unacceptable((Problem(index=None, where=header, what=problem.what),)) from error
    return [_prediction(event, clock, "")]


def read_outcomes(body: bytes, clock: Clock) -> list[join.ObservedOutcome]:
    """Read the body of a post of outcomes."""
    raws = _decode(body, OutcomesBody, where="").outcomes
    return _each(raws, "outcomes", lambda raw, where: _outcome(_decode(raw, OutcomeItem, where), clock, where))


def check_outcome(item: Mapping[str, object], clock: Clock) -> None:
    """Raise `errors.Unacceptable` where the service would not take an outcome as it is posted."""
    try:
        _outcome(msgspec.convert(item, OutcomeItem), clock, "")
    except msgspec.ValidationError as error:
        raise errors.Unacceptable((_problem(error, ""),)) from error


def mend_clocks(predictions: list[join.Prediction], clock: Clock) -> tuple[list[join.Prediction], int]:
    """Give predictions from the future the time at which they arrived; also return how many there were."""
    mended = [
        dataclasses.replace(prediction, served_at=clock.now) if clock.is_ahead(prediction.served_at) else prediction
        for prediction in predictions
    ]
    return mended, sum(map(operator.is_not, predictions, mended))


def _prediction(event: PredictionEvent, clock: Clock, where: str) -> join.Prediction:
    data = event.data
    expected = {
        "type": (event.type, events.PREDICTION_TYPE),
        "source": (event.source, events.prediction_source(data.namespace, data.model, data.revision)),
        "id": (event.id, events.prediction_id(data.request_id, data.row)),
    }
    # Source and id name the prediction, and so does its data: were they to differ, it would have two identities.
    for attribute, (found, wanted) in expected.items():
        if found != wanted:
            raise _unacceptable(_join_path(where, attribute), f"Expected `{wanted}`, got `{found[:300]}`")
    is_decision, is_half = data.decision is not None, (data.decision is None) != (data.score is None)
    if is_half or is_decision == (data.value is not None):
        raise _unacceptable(_join_path(where, "data"), "Expected either `decision` and `score`, or `value`")
    return join.Prediction(
        stratum=join.Stratum(
            namespace=data.namespace,
            model=data.model,
            revision=data.revision,
            attempt=data.attempt,
            epoch=data.epoch,
        ),
        request_id=data.request_id,
        row=data.row,
        claim_id=data.claim_id or None,
        decision=data.decision,
        score=data.score,
        value=data.value,
        served_at=event.time or clock.now,
        cohort=data.cohort or None,
        is_tester=data.is_tester,
    )


def _outcome(item: OutcomeItem, clock: Clock, where: str) -> join.ObservedOutcome:
    names_claim = item.claim_id is not None
    names_row = item.request_id is not None and item.row is not None
    names_half_a_row = (item.request_id is None) != (item.row is None)
    if names_claim == names_row or names_half_a_row:
        raise _unacceptable(where, "Expected either `claimId`, or `requestId` and `row`")
    if (item.outcome is None) == (item.value is None):
        raise _unacceptable(where, "Expected either `outcome`, or `value` of a model that returns a number")
    if item.audit and item.propensity is not None:
        raise _unacceptable(where, "Expected either `audit`, which is of a random sample, or `propensity`")
    if clock.is_ahead(item.observed_at):
        raise _unacceptable(
            _join_path(where, "observedAt"),
            f"Expected a moment that has passed, got `{item.observed_at.isoformat()}`,"
            f" while it is `{clock.now.isoformat(timespec='seconds')}` here",
        )
    return join.ObservedOutcome(
        namespace=item.namespace,
        model=item.model,
        claim_id=item.claim_id,
        request_id=item.request_id,
        row=item.row,
        outcome=item.outcome,
        value=item.value,
        observed_at=item.observed_at,
        is_audit=item.audit,
        propensity=item.propensity,
    )


def _each(raws: Sequence[msgspec.Raw], path: str, read: Callable[[bytes, str], T]) -> list[T]:
    """Read every item; raise `errors.Unacceptable` with the problems of all, at most `PROBLEMS_MAX` of them."""
    items: list[T] = []
    problems: list[Problem] = []
    for index, raw in enumerate(raws):
        try:
            items.append(read(bytes(raw), f"{path}[{index}]"))
        except errors.Unacceptable as error:
            problems += (Problem(index=index, where=found.where, what=found.what) for found in error.problems)
            if len(problems) >= PROBLEMS_MAX:
                break
    if problems:
        raise errors.Unacceptable(tuple(problems))
    return items


def _decode(body: bytes, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:  # A ValidationError is one too.
        raise errors.Unacceptable((_problem(error, where),)) from error
    except RecursionError as error:
        raise _unacceptable(where, "Expected JSON of a few levels, got one nested without end") from error
    except UnicodeDecodeError as error:
        raise _unacceptable(where, f"Expected UTF-8: {error}") from error


def _problem(error: msgspec.DecodeError, where: str) -> Problem:
    """Split msgspec's sentence, ``Expected `int`, got `str` - at `$.data.row` ``, into where and what."""
    what, _, at = str(error).partition(" - at `$")
    path = at.removesuffix("`")
    if what.startswith("Invalid enum value"):
        what += f", expected one of {', '.join(CHOICES[path.rpartition('.')[2]])}"
    return Problem(index=None, where=_join_path(where, path), what=what)


def _unacceptable(where: str, what: str) -> errors.Unacceptable:
    return errors.Unacceptable((Problem(index=None, where=where, what=what),))


def _join_path(base: str, path: str) -> str:
    path = re.sub(r"^\.", "", path)
    return f"{base}.{path}" if base and path and not path.startswith("[") else base + path
