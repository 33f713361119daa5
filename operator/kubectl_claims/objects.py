"""Objects as the API server sends them: how fields are found, and how times are written."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

from claims_contract import labels

Object = Mapping[str, Any]

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def name_of(item: Object) -> str:
    """Return the name of an object."""
    return str(item["metadata"]["name"])


def status_of(item: Object) -> Object:
    """Return the status; empty before anything was written."""
    status: Object = item.get("status") or {}
    return status


def revision_of(item: Object) -> str:
    """Return the revision that a child is of; empty where it carries no label of it."""
    return str(item["metadata"].get("labels", {}).get(labels.REVISION, ""))


def condition_of(item: Object, type_: str) -> Object:
    """Return a condition; empty where there is none of this type."""
    conditions: Iterable[Object] = status_of(item).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == type_), {})


def is_current(item: Object) -> bool:
    """Return whether the status is about the spec as it is now."""
    return bool(status_of(item).get("observedGeneration") == item["metadata"].get("generation"))


def parse_time(text: object) -> dt.datetime | None:
    """Return a time of the Kubernetes API, in UTC; None where it is missing or is none."""
    try:
        return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC)
    except ValueError:
        return None


def created_at(item: Object) -> dt.datetime | None:
    """Return when an object was made."""
    return parse_time(item["metadata"].get("creationTimestamp"))


def span(duration: dt.timedelta | None) -> str:
    """Return a length of time in its two largest units, as in ``5m10s`` or ``3d4h``; a dash where there is none."""
    if duration is None:
        return "-"
    seconds = max(0, round(duration.total_seconds()))
    for place, (unit, length) in enumerate(_UNITS):
        if seconds >= length:
            larger, rest = divmod(seconds, length)
            smaller = rest // _UNITS[place + 1][1] if place + 1 < len(_UNITS) else 0
            return f"{larger}{unit}" + (f"{smaller}{_UNITS[place + 1][0]}" if smaller else "")
    return "0s"


def age(item: Object, now: dt.datetime) -> str:
    """Return how long an object has existed."""
    created = created_at(item)
    return span(None if created is None else now - created)


def clock_time(time: dt.datetime, now: dt.datetime) -> str:
    """Return a time as people say it: the clock in UTC (with the date where it is another day), and how far away."""
    form = "%H:%M:%S UTC" if time.date() == now.date() else "%Y-%m-%d %H:%M UTC"
    distance = f"in {span(time - now)}" if time >= now else f"{span(now - time)} ago"
    return f"{time.strftime(form)} ({distance})"


def percent(number: object) -> str:
    """Return whole percents; a dash where there is no number."""
    return "-" if number is None else f"{number} %"
