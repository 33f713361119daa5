"""From a row of a file or a query to an outcome, or to what is wrong with it. Pure."""

import datetime as dt
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from claims_feedback import errors, messages
from claims_feedback.join import Outcome

FIELDS: Final = (
    "namespace",
    "model",
    "claimId",
    "requestId",
    "row",
    "outcome",
    "value",
    "observedAt",
    "audit",
    "propensity",
)
"""Fields of an outcome, as the REST interface names them; a column may have the name in snake case too."""

Item = dict[str, Any]
"""An outcome as it is posted."""


class Unreadable(Exception):
    """A row that is no outcome; the message says why."""


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@dataclass(frozen=True, kw_only=True)
class RowMapping:
    """How the columns of a source become the fields of an outcome."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """By field, the column that holds it; a field that is not here is held by the column of its own name."""

    constants: Mapping[str, str] = field(default_factory=dict)
    """By field, what it is in every row."""

    positive: frozenset[str] = frozenset({Outcome.POSITIVE.value})
    negative: frozenset[str] = frozenset({Outcome.NEGATIVE.value})
    """What the outcome column says for either, in lower case."""

    zone: ZoneInfo | None = None
    """Time zone of moments that name none; None refuses them."""

    def as_json(self) -> dict[str, Any]:
        """Return what decides how a row is read, the same in every process."""
        return {
            "columns": dict(self.columns),
            "constants": dict(self.constants),
            "positive": sorted(self.positive),
            "negative": sorted(self.negative),
            "zone": self.zone and self.zone.key,
        }

    def missing(self, columns: tuple[str, ...]) -> list[str]:
        """Return the columns that this mapping names and a source does not have."""
        return sorted(set(self.columns.values()) - set(columns))

    def read(self, values: Mapping[str, object], clock: messages.Clock) -> Item | None:
        """Return the outcome of a row, None where it is not known yet; raise `Unreadable` for anything else."""
        said = {name: self._value(name, values) for name in FIELDS}
        if said["outcome"] is None and said["value"] is None:
            return None
        item: Item = {name: _text(name, value) for name, value in said.items() if value is not None}
        if "outcome" in item:
            item["outcome"] = self._outcome(item["outcome"])
        if "value" in item:
            item["value"] = _real("value", item["value"])
        if "observedAt" in item:
            item["observedAt"] = self._moment(said["observedAt"]).isoformat()
        if "row" in item:
            item["row"] = _number(item["row"])
        if "audit" in item:
            item["audit"] = _truth(item["audit"])
        if "propensity" in item:
            item["propensity"] = _real("propensity", item["propensity"])
        try:
            messages.check_outcome(item, clock)
        except errors.Unacceptable as error:
            problem = error.problems[0]
            raise Unreadable(f"{problem.where}: {problem.what}" if problem.where else problem.what) from error
        return item

    def _value(self, name: str, values: Mapping[str, object]) -> object:
        """Return what a row says of a field; None where it says nothing."""
        if name in self.constants:
            return self.constants[name]
        column = self.columns.get(name) or (name if name in values else _snake(name))
        value = values.get(column)
        if isinstance(value, str):
            return value.strip() or None
        return None if isinstance(value, float) and math.isnan(value) else value

    def _outcome(self, text: str) -> str:
        said = text.lower()
        if said in self.positive:
            return Outcome.POSITIVE.value
        if said in self.negative:
            return Outcome.NEGATIVE.value
        known = f"positive ({', '.join(sorted(self.positive))}) nor negative ({', '.join(sorted(self.negative))})"
        raise Unreadable(f"outcome: `{text[:100]}` is neither {known}")

    def _moment(self, value: object) -> dt.datetime:
        moment = _parsed(value) if isinstance(value, str) else value
        if isinstance(moment, dt.date) and not isinstance(moment, dt.datetime):
            moment = dt.datetime.combine(moment, dt.time(), tzinfo=None)
        if not isinstance(moment, dt.datetime):
            raise Unreadable(f"observedAt: `{str(value)[:100]}` is no moment such as 2025-11-20T10:00:00+01:00")
        if moment.tzinfo is not None:
            return moment
        if self.zone is None:
            raise Unreadable(
                f"observedAt: `{value}` has no time zone; say which with --time-zone, such as Europe/Berlin"
            )
        return moment.replace(tzinfo=self.zone)


def _parsed(text: str) -> dt.datetime | str:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise Unreadable(f"row: `{text[:100]}` is no number from 0")
    return int(text)


def _truth(text: str) -> bool:
    said = text.lower()
    if said not in ("true", "1", "false", "0"):
        raise Unreadable(f"audit: `{text[:100]}` is neither true (or 1) nor false (or 0)")
    return said in ("true", "1")


def _real(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Unreadable(f"{name}: `{text[:100]}` is no number such as 0.25") from error


def _text(name: str, value: object) -> str:
    """Return a value as a CSV file would hold it: no fraction where there is none, booleans in lower case."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, int | float | Decimal | dt.date | uuid.UUID):
        return str(value)
    raise Unreadable(f"{name}: a value of type {type(value).__name__} is no text, number or moment")
