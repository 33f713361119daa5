"""Times as people read them."""

import datetime as dt

import pytest
from rollout_builders import NOW, ago

from kubectl_claims.objects import clock_time, parse_time, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (310, "5m10s"), (3600, "1h"), (3660, "1h1m"), (90000, "1d1h"), (-5, "0s")],
)
def test_a_span_has_its_two_largest_units(seconds: int, text: str) -> None:
    assert span(dt.timedelta(seconds=seconds)) == text


def test_no_span_is_a_dash() -> None:
    assert span(None) == "-"


def test_a_time_of_another_day_has_its_date() -> None:
    assert clock_time(ago(minutes=-90), NOW) == "13:30:00 UTC (in 1h30m)"
    assert clock_time(ago(days=2), NOW) == "2026-11-18 12:00 UTC (2d ago)"


@pytest.mark.parametrize("text", [None, "", "soon"])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None


def test_microseconds_of_an_event_are_read() -> None:
    assert parse_time("2026-11-20T12:00:00.000000Z") == NOW
