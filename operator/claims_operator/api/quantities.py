"""Durations and ratios as people write them in a spec: ``30s``, ``24h``, ``"0.005"``; never floats."""

import datetime as dt
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema

from claims_contract.metrics import RELATIVE_ERROR_EDGES

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION_PATTERN: Final = r"^[0-9]{1,6}[smhd]$"
RATIO_PATTERN: Final = r"^(0([.][0-9]{1,6})?|1([.]0{1,6})?)$"
SEMANTIC_VERSION_PATTERN: Final = (
    r"^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?([+][0-9A-Za-z.-]+)?$"
)
MODEL_URI_PATTERN: Final = r"^models:/[A-Za-z0-9][A-Za-z0-9_.-]*(/[1-9][0-9]*|@[A-Za-z][A-Za-z0-9_.-]*)$"

ADDRESS_PATTERN: Final = (
    r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9_~][A-Za-z0-9._~-]*)*/?$"
)
"""No user, no query, no escapes, no segment that begins with a dot: one address has one spelling."""
ADDRESS_MESSAGE: Final = (
    "write a base URL such as http://prometheus.monitoring:9090 or https://mimir.example.com/prometheus,"
    " without user and password"
)
LONGEST_ADDRESS: Final = 512
NUMBER_PATTERN: Final = r"^-?[0-9]{1,15}([.][0-9]{1,9})?$"


def to_timedelta(duration: str) -> dt.timedelta:
    """Return the length of a duration that `DURATION_PATTERN` matches."""
    return dt.timedelta(seconds=int(duration[:-1]) * _UNIT_SECONDS[duration[-1]])


def cel_seconds(field: str) -> str:
    """Return the CEL expression for the seconds of the duration in ``field``."""
    units = ", ".join(f"'{unit}': {seconds}" for unit, seconds in _UNIT_SECONDS.items())
    return f"int({field}.substring(0, size({field}) - 1)) * {{{units}}}[{field}.substring(size({field}) - 1)]"


def rule(expression: str, message: str) -> dict[str, str]:
    """Return one rule for ``x-kubernetes-validations``; the message tells what to write instead."""
    return {"rule": expression, "message": message}


def _text(pattern: str, message: str, *, length: int, also: tuple[dict[str, str], ...] = ()) -> Any:
    """Return the annotations of a string that must match; the API server answers with the message, not a pattern."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if len(value) > length or not compiled.match(value):
            raise ValueError(message)
        return value

    cel = f"self.matches('{pattern}')"
    schema = {
        "type": "string",
        "maxLength": length,
        "x-kubernetes-validations": [rule(cel, message), *also],
    }
    return AfterValidator(check), WithJsonSchema(schema)


_DURATION = "write a whole number and a unit, for example 30s, 10m, 24h or 30d"
_RATIO = 'write a decimal between 0 and 1 in quotes, for example "0.005"'
_MARGIN_RULE = rule(
    "double(self) > 0.0 && double(self) <= 0.5", 'a margin is above 0 and at most 0.5, for example "0.02"'
)
_SHARE_RULE = rule("double(self) > 0.0 && double(self) < 1.0", 'a share is above 0 and below 1, for example "0.01"')
_CONFIDENCE_RULE = rule(
    "double(self) >= 0.8 && double(self) < 1.0", 'confidence is at least 0.8 and below 1, for example "0.95"'
)
_INTERVAL_RULE = rule(
    f"{cel_seconds('self')} >= 5 && {cel_seconds('self')} <= 3600", "the interval is between 5s and 1h, for example 30s"
)

_duration = _text(DURATION_PATTERN, _DURATION, length=32)
_interval = _text(DURATION_PATTERN, _DURATION, length=32, also=(_INTERVAL_RULE,))
_share = _text(RATIO_PATTERN, _RATIO, length=32, also=(_SHARE_RULE,))
_margin = _text(RATIO_PATTERN, _RATIO, length=32, also=(_MARGIN_RULE,))
_confidence = _text(RATIO_PATTERN, _RATIO, length=32, also=(_CONFIDENCE_RULE,))
_number = _text(NUMBER_PATTERN, 'write a number in quotes, for example "0.25" or "-3"', length=32)
_address = _text(ADDRESS_PATTERN, ADDRESS_MESSAGE, length=LONGEST_ADDRESS)
_version = _text(SEMANTIC_VERSION_PATTERN, "write the model's semantic version, three numbers such as 2.1.0", length=64)
_tolerance = _text(
    f"^({'|'.join(edge.replace('.', '[.]') for edge in RELATIVE_ERROR_EDGES)})$",
    f"write one of the tolerances that are counted, in quotes: {', '.join(RELATIVE_ERROR_EDGES)}",
    length=32,
)
_uri = _text(
    MODEL_URI_PATTERN,
    "write models:/<name>/<version number> or models:/<name>@<alias>, for example models:/claim-risk/7",
    length=256,
)

Duration = Annotated[str, _duration[0], _duration[1]]
Interval = Annotated[str, _interval[0], _interval[1]]
Share = Annotated[str, _share[0], _share[1]]
Margin = Annotated[str, _margin[0], _margin[1]]
Confidence = Annotated[str, _confidence[0], _confidence[1]]
Tolerance = Annotated[str, _tolerance[0], _tolerance[1]]
Number = Annotated[str, _number[0], _number[1]]
BaseUrl = Annotated[str, _address[0], _address[1]]
SemanticVersion = Annotated[str, _version[0], _version[1]]
ModelUri = Annotated[str, _uri[0], _uri[1]]
Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$",
        }
    ),
]
