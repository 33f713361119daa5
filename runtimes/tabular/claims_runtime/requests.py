"""From a V2 request to a table of claims, or to everything that is wrong with the request."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlserver.types import InferenceRequest, RequestInput

from claims_contract import tensors
from claims_runtime.errors import InvalidRequest, Problem
from claims_runtime.schema import Feature, FeatureType, Schema

MAX_ROWS: Final = 10_000
"""Rows of one request. More are sent as several requests, so that no caller blocks the others for long."""

MAX_ID_CHARACTERS: Final = 256
"""Length of a request id and of a claim id."""

NUMBER_DATATYPES: Final = frozenset(
    {"FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"}
)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The rows of one request, in their order."""

    table: pd.DataFrame
    """One column per feature, in the schema's order; float64 or text, NaN where unknown."""

    claim_ids: tuple[str | None, ...]
    """One per row; None where the request did not name the claim."""


def read(request: InferenceRequest, schema: Schema) -> Claims:
    """Check the request against the schema and return its rows, or raise `InvalidRequest`.

    Numbers are INT*, UINT* or FP* tensors, null or NaN where unknown; categories are BYTES tensors, null or empty
    where unknown. A category that the schema does not list counts as unknown where the feature is not required.
    """
    reader = _Reader(request)
    columns = {feature.name: reader.read_feature(feature) for feature in schema.features}
    claim_ids = reader.read_claim_ids()
    reader.check_names({*columns, tensors.CLAIM_ID})
    if reader.problems:
        raise InvalidRequest(reader.problems)
    return Claims(table=pd.DataFrame(columns), claim_ids=claim_ids)


class _Reader:
    """Reads the tensors of one request and collects what is wrong."""

    def __init__(self, request: InferenceRequest) -> None:
        self.problems: list[Problem] = []
        self._tensors = {tensor.name: tensor for tensor in request.inputs}
        self._repeated = len(self._tensors) != len(request.inputs)
        self._rows = self._count_rows()
        if request.id and len(request.id) > MAX_ID_CHARACTERS:
            self._add(f"the request's id is longer than {MAX_ID_CHARACTERS} characters")

    def check_names(self, known: set[str]) -> None:
        """Note tensors that the schema does not know, and names used twice."""
        if self._repeated:
            self._add("a column is sent more than once")
        for name in self._tensors:
            if name not in known:
                self._add(f"is not a column of this model; its columns are {', '.join(sorted(known))}", name)

    def read_feature(self, feature: Feature) -> npt.NDArray[Any]:
        """Return the column: shape (rows,), float64 or object; its content is void where a problem was noted."""
        tensor = self._tensors.get(feature.name)
        if tensor is None:
            if feature.required:
                self._add("is missing; this model needs it", feature.name)
            empty: list[float] = [math.nan] * self._rows
            return np.array(empty, dtype=np.float64 if feature.type is FeatureType.NUMBER else object)
        if feature.type is FeatureType.NUMBER:
            return self._read_numbers(feature, tensor)
        return self._read_categories(feature, tensor)

    def read_claim_ids(self) -> tuple[str | None, ...]:
        """Return one claim id per row; None for all of them where the request has none."""
        tensor = self._tensors.get(tensors.CLAIM_ID)
        if tensor is None:
            return (None,) * self._rows
        ids = tuple(self._read_texts(tensor))
        for row, claim_id in enumerate(ids):
            if claim_id is not None and len(claim_id) > MAX_ID_CHARACTERS:
                self._add(f"is longer than {MAX_ID_CHARACTERS} characters", tensors.CLAIM_ID, row)
                break
        return ids

    def _count_rows(self) -> int:
        """Return the number of rows on which the tensors agree; 0, and a problem, where they do not."""
        if not self._tensors:
            self._add("the request has no inputs; send one tensor per column")
            return 0
        lengths = {name: _row_count(tensor) for name, tensor in self._tensors.items()}
        for name, length in lengths.items():
            if length is None:
                tensor = self._tensors[name]
                self._add(
                    f"has shape {tensor.shape} and {len(tensor.data)} values; "
                    "send shape [n] with n values, one per claim",
                    name,
                )
        known = sorted({length for length in lengths.values() if length is not None})
        if len(known) > 1:
            self._add(f"the columns have {', '.join(map(str, known))} rows; they must all have the same number")
        elif known and not 1 <= known[0] <= MAX_ROWS:
            self._add(f"the request has {known[0]} rows; send from 1 to {MAX_ROWS}")
        return 0 if self.problems else known[0]

    def _read_numbers(self, feature: Feature, tensor: RequestInput) -> npt.NDArray[np.float64]:
        if _datatype(tensor) not in NUMBER_DATATYPES:
            self._add(f"has datatype {_datatype(tensor)}; send numbers as FP64 or INT64", feature.name)
            return np.zeros(0)
        values = _flat(tensor)
        for row, value in enumerate(values):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                self._add(f"{value!r} is not a number", feature.name, row)
                return np.zeros(0)
        numbers = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        unknown = np.isnan(numbers)
        if feature.required:
            self._note_first(unknown, feature, lambda _row: "has no value; this column is required")
        outside = ~unknown & ((numbers < feature.minimum) | (numbers > feature.maximum) | np.isinf(numbers))
        bounds = f"{feature.minimum:g} to {feature.maximum:g}"
        self._note_first(outside, feature, lambda row: f"{numbers[row]:g} is outside {bounds}")
        return numbers

    def _read_categories(self, feature: Feature, tensor: RequestInput) -> npt.NDArray[np.object_]:
        texts = self._read_texts(tensor)
        known = np.array([text in feature.categories for text in texts], dtype=np.bool_)
        if feature.required:
            choices = ", ".join(sorted(feature.categories))
            self._note_first(~known, feature, lambda row: f"{texts[row]!r} is none of {choices}")
        return np.array([text if is_known else math.nan for text, is_known in zip(texts, known, strict=True)], object)

    def _read_texts(self, tensor: RequestInput) -> list[str | None]:
        """Return the strings of a BYTES tensor, None for null and the empty string."""
        if _datatype(tensor) != "BYTES":
            self._add(f"has datatype {_datatype(tensor)}; send text as BYTES", tensor.name)
            return []
        texts: list[str | None] = []
        for row, value in enumerate(_flat(tensor)):
            text = _text(value)
            if text is None:
                self._add("is not text in UTF-8", tensor.name, row)
                return []
            texts.append(text or None)
        return texts

    def _note_first(self, bad: npt.NDArray[np.bool_], feature: Feature, describe: Callable[[int], str]) -> None:
        """Note the first bad row of a column, and how many more there are."""
        rows = np.flatnonzero(bad)
        if rows.size:
            more = f" ({rows.size - 1} more rows alike)" if rows.size > 1 else ""
            self._add(describe(int(rows[0])) + more, feature.name, int(rows[0]))

    def _add(self, message: str, column: str | None = None, row: int | None = None) -> None:
        self.problems.append(Problem(message=message, column=column, row=row))


def _row_count(tensor: RequestInput) -> int | None:
    """Return n where the tensor has shape [n] or [n, 1] and n values, else None."""
    shape = list(tensor.shape)
    if len(shape) == 2 and shape[1] == 1:
        shape = shape[:1]
    return shape[0] if len(shape) == 1 and len(tensor.data) == shape[0] else None


def _datatype(tensor: RequestInput) -> str:
    """Return the V2 name of the datatype; MLServer keeps the enumeration's value, whatever its annotation says."""
    return str(tensor.datatype)


def _flat(tensor: RequestInput) -> Sequence[Any]:
    """Return the values of a tensor; JSON may nest those of shape [n, 1]."""
    values: Sequence[Any] = tensor.data.root
    if len(tensor.shape) == 2:
        return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    return values


def _text(value: object) -> str | None:
    """Return the text, empty for null, or None where the value is no text."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return None
