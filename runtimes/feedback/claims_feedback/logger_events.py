"""What KServe's logger sends of any runtime: the V2 request and the V2 response, each in a CloudEvent of its own. Pure.

The agent beside a model posts binary CloudEvents of two types; one ``ce-id``, made by the agent, names both halves of
an exchange. It retries nothing, logs responses of status 200 only, and gives the response the request's Content-Type.
KServe 0.20, ``pkg/logger``: headers ce-inferenceservicename, ce-namespace, ce-component, ce-time (of the request, or of
the response) and ce-metadata, a JSON object of the headers that ``metadataHeaders`` lists, each with its values.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from claims_contract import headers, tensors
from claims_feedback import errors, join, messages
from claims_feedback.errors import Problem

REQUEST_TYPE: Final = "org.kubeflow.serving.inference.request"
RESPONSE_TYPE: Final = "org.kubeflow.serving.inference.response"

TYPE_HEADER: Final = "ce-type"

NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
ID_MAX_CHARACTERS: Final = 256

ROWS_MAX: Final = 10_000
"""Rows of one exchange; each becomes a prediction, and a body of the largest size could hold millions."""

SCORE_TENSORS: Final = (tensors.RISK_SCORE, "predict_proba")
"""Outputs that hold a score, the first that there is; where there is no decision, else the only output."""

VALUE_TENSOR: Final = "value"
"""Output of a model that returns a number (severity, price) instead of a decision."""

ClaimIds = tuple[str | None, ...]
"""One per row, None where it names no claim; empty where no row does."""

Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Unusable(StrEnum):
    """Why no prediction can be derived from a response. They are label values of a metric: never rename, only add."""

    NOT_INFERENCE = "not_inference"
    NO_DECISION = "no_decision"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What the headers of either half say."""

    id: str
    """Of the exchange, made by the agent; also the request id where the response has none."""
    namespace: str
    model: str
    revision: str
    attempt: int
    epoch: int
    cohort: str | None
    is_tester: bool
    moment: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a response says; per row one decision and one score, or one value."""

    request_id: str | None
    decisions: tuple[join.Decision, ...] = ()
    scores: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    claim_ids: ClaimIds | None
    """None where the response does not name the claims."""


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """An input or an output of the V2 protocol; its values are read when they are needed."""

    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    data: msgspec.Raw = msgspec.Raw(b"[]")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A V2 inference request, as far as it names claims."""

    inputs: list[Tensor] = []


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A V2 inference response."""

    id: str | None = None
    outputs: list[Tensor] | None = None


Located = tuple[Tensor, str]
"""A tensor and its path in the body."""


def is_logged(request_headers: Mapping[str, str]) -> bool:
    """Return whether KServe's logger sent a request; header names are in lower case."""
    return request_headers.get(TYPE_HEADER) in (REQUEST_TYPE, RESPONSE_TYPE)


def read_exchange(request_headers: Mapping[str, str], now: dt.datetime) -> Exchange:
    """Read the headers of either half; raise `errors.Unacceptable` where they do not say whose it is."""
    service = request_headers.get("ce-inferenceservicename", "")
    model, _, revision = service.rpartition("-")
    if not NAME.fullmatch(model) or not NAME.fullmatch(revision):
        raise _unacceptable(
            "header ce-inferenceservicename",
            f"Expected the name of a revision's InferenceService, `<ClaimsModel>-<revision>`, got `{service[:300]}`",
        )
    namespace = request_headers.get("ce-namespace", "")
    if not NAME.fullmatch(namespace):
        raise _unacceptable("header ce-namespace", f"Expected a namespace, got `{namespace[:300]}`")
    exchange_id = request_headers.get("ce-id", "")
    if not 1 <= len(exchange_id) <= ID_MAX_CHARACTERS:
        raise _unacceptable("header ce-id", f"Expected 1 to {ID_MAX_CHARACTERS} characters, got {len(exchange_id)}")
    forwarded = _read_metadata(request_headers.get("ce-metadata", ""))
    attempt, epoch = headers.parse_stratum(forwarded.get(headers.STRATUM))
    return Exchange(
        id=exchange_id,
        namespace=namespace,
        model=model,
        revision=revision,
        attempt=attempt,
        epoch=epoch,
        cohort=headers.parse_cohort(forwarded.get(headers.COHORT)),
        is_tester=headers.TESTER in forwarded,
        moment=_read_moment(request_headers.get("ce-time", ""), now),
    )


def read_request(body: bytes) -> ClaimIds:
    """Return the claim ids of a V2 request."""
    request = _decode(body or b"{}", Request, "")
    for index, tensor in enumerate(request.inputs):
        if tensor.name == tensors.CLAIM_ID:
            return _claim_ids(tensor, f"inputs[{index}]")
    return ()


def read_response(body: bytes, threshold: float | None) -> Answer | Unusable:
    """Return what a V2 response says.

    ``threshold``: from which score on the decision is to refer, for a model that returns none; None: there is none.
    Without a score, a decision to refer counts as the score 1, and one to settle as 0.
    """
    response = _decode(body or b"{}", Response, "")
    if response.outputs is None:
        return Unusable.NOT_INFERENCE
    outputs = {tensor.name: (tensor, f"outputs[{index}]") for index, tensor in enumerate(response.outputs)}
    claim_ids = _claim_ids(*outputs[tensors.CLAIM_ID]) if tensors.CLAIM_ID in outputs else None
    request_id = response.id if response.id and len(response.id) <= ID_MAX_CHARACTERS else None
    if VALUE_TENSOR in outputs and tensors.DECISION not in outputs and threshold is None:
        values = tuple(_values(*outputs[VALUE_TENSOR], messages.Value))
        return Answer(request_id=request_id, values=values, claim_ids=claim_ids)
    if tensors.DECISION in outputs:
        decisions = tuple(_values(*outputs[tensors.DECISION], join.Decision))
        scores = _scores(outputs, names=SCORE_TENSORS) or tuple(
            float(each is join.Decision.REFER) for each in decisions
        )
    else:
        found = _scores(outputs, names=(*SCORE_TENSORS, *_only_output(outputs))) if threshold is not None else None
        if threshold is None or found is None:
            return Unusable.NO_DECISION
        scores = found
        decisions = tuple(join.Decision.REFER if score >= threshold else join.Decision.SETTLE for score in scores)
    if len(scores) != len(decisions):
        raise _unacceptable("outputs", f"Expected as many scores as decisions, got {len(scores)} and {len(decisions)}")
    return Answer(request_id=request_id, decisions=decisions, scores=scores, claim_ids=claim_ids)


def predictions_of(exchange: Exchange, answer: Answer, claim_ids: ClaimIds) -> list[join.Prediction]:
    """Return one prediction per row; claim ids of another number of rows name none of them."""
    answers: list[tuple[join.Decision | None, float | None, float | None]] = [
        *((decision, score, None) for decision, score in zip(answer.decisions, answer.scores, strict=True)),
        *((None, None, value) for value in answer.values),
    ]
    if len(claim_ids) != len(answers):
        claim_ids = (None,) * len(answers)
    stratum = join.Stratum(
        namespace=exchange.namespace,
        model=exchange.model,
        revision=exchange.revision,
        attempt=exchange.attempt,
        epoch=exchange.epoch,
    )
    return [
        join.Prediction(
            stratum=stratum,
            request_id=answer.request_id or exchange.id,
            row=row,
            claim_id=claim_id,
            decision=decision,
            score=score,
            value=value,
            served_at=exchange.moment,
            cohort=exchange.cohort,
            is_tester=exchange.is_tester,
        )
        for row, (claim_id, (decision, score, value)) in enumerate(zip(claim_ids, answers, strict=True))
    ]


def _read_metadata(text: str) -> dict[str, str]:
    """Return the first value of each forwarded header, by its name in lower case.

    The agent sends JSON in UTF-8 as it is; CloudEvents would have it percent-encoded, which a later one may do.
    """
    if not text:
        return {}
    try:
        sent = text.encode("latin-1") if '"' in text else unquote_to_bytes(text)
        found = msgspec.json.decode(sent, type=dict[str, list[str]])
    except (UnicodeError, msgspec.DecodeError) as error:
        raise _unacceptable("header ce-metadata", f"Expected a JSON object of lists: {error}") from error
    return {name.lower(): values[0] if values else "" for name, values in found.items()}


def _read_moment(text: str, now: dt.datetime) -> dt.datetime:
    try:
        return msgspec.convert(text, Annotated[dt.datetime, msgspec.Meta(tz=True)]) if text else now
    except msgspec.ValidationError as error:
        raise _unacceptable("header ce-time", str(error)) from error


def _claim_ids(tensor: Tensor, where: str) -> ClaimIds:
    values = _values(tensor, where, Annotated[str, msgspec.Meta(max_length=ID_MAX_CHARACTERS)] | None)
    return tuple(value or None for value in values)


def _only_output(outputs: Mapping[str, Located]) -> tuple[str, ...]:
    """Return the name of the only output; a model that was given a threshold returns its score there."""
    names = tuple(name for name in outputs if name != tensors.CLAIM_ID)
    return names if len(names) == 1 else ()


def _scores(outputs: Mapping[str, Located], *, names: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return the scores of the first output there is of these names."""
    named = next((outputs[name] for name in names if name in outputs), None)
    if named is None:
        return None
    tensor, where = named
    values = _values(tensor, where, Score, columns=(1, 2))
    # Probabilities of two classes: the second is the positive one's.
    return tuple(values[1::2] if tensor.shape[1:] == [2] else values)


def _values(tensor: Tensor, where: str, kind: Any, *, columns: tuple[int, ...] = (1,)) -> Sequence[Any]:
    """Return the values of a tensor of shape (n,) or (n, columns), row by row; JSON may nest them."""
    rows, *width = tensor.shape or [0]
    if len(width) > 1 or (width and width[0] not in columns):
        allowed = ", ".join(["[n]", *(f"[n, {column}]" for column in columns)])
        raise _unacceptable(f"{where}.shape", f"Expected {allowed}, got {tensor.shape}")
    if rows > ROWS_MAX:
        raise _unacceptable(f"{where}.shape", f"Expected at most {ROWS_MAX} rows, got {rows}")
    found = _decode(bytes(tensor.data), list[Any], f"{where}.data")
    flat = [value for item in found for value in (item if isinstance(item, list) else (item,))]
    if len(flat) != rows * (width[0] if width else 1):
        raise _unacceptable(f"{where}.data", f"Expected as many values as shape {tensor.shape} says, got {len(flat)}")
    try:
        values: list[Any] = msgspec.convert(flat, list[kind])
    except msgspec.ValidationError as error:
        raise _unacceptable(f"{where}.data", str(error)) from error
    return values


def _decode(body: bytes, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _unacceptable(where, str(error)) from error


def _unacceptable(where: str, what: str) -> errors.Unacceptable:
    return errors.Unacceptable((Problem(index=None, where=where, what=what),))
