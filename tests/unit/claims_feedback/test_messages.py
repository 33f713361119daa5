"""What the readers of the wire make of a body; whatever it is, they return it or say what is wrong."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.claims_feedback.feedback_process import event, outcome

from claims_feedback import errors, messages

NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
CLOCK = messages.Clock(now=NOW, tolerance=dt.timedelta(minutes=5))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def changed_anywhere(valid: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A valid message in which some fields hold something else."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(valid, JSON)).map(lambda changes: valid | changes)


def test_an_event_says_its_cohort_and_whether_a_tester_sent_it() -> None:
    sent = [event("r1"), event("r2", cohort="C-1", isTester=True), event("r3", cohort="")]
    found = messages.read_event_batch(json.dumps(sent).encode(), CLOCK)
    assert [(each.cohort, each.is_tester) for each in found] == [(None, False), ("C-1", True), (None, False)]


def read(reader: Callable[[bytes, messages.Clock], list[Any]], body: bytes) -> tuple[int, tuple[errors.Problem, ...]]:
    """Return how many items were read, and what was wrong; any other exception fails the test."""
    try:
        return len(reader(body, CLOCK)), ()
    except errors.Unacceptable as error:
        return 0, error.problems


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_makes_a_reader_fail(body: bytes) -> None:
    for reader in (messages.read_event_batch, messages.read_event, messages.read_outcomes):
        count, problems = read(reader, body)
        assert count == 0
        assert all(problem.what for problem in problems)


@settings(max_examples=100, deadline=None)
@given(st.lists(changed_anywhere(event("r1")) | changed_anywhere(event("r1")["data"]) | JSON, max_size=4))
def test_no_events_make_the_reader_fail(batch: list[Any]) -> None:
    count, problems = read(messages.read_event_batch, json.dumps(batch).encode())
    assert count == len(batch) or problems
    assert all(problem.where.startswith(f"[{problem.index}]") and problem.what for problem in problems)


@settings(max_examples=100, deadline=None)
@given(st.lists(changed_anywhere(outcome("positive", claimId="C1", requestId="r1", row=0)), max_size=4))
def test_no_outcomes_make_the_reader_fail(outcomes: list[Any]) -> None:
    count, problems = read(messages.read_outcomes, json.dumps({"outcomes": outcomes}).encode())
    assert count == len(outcomes) or problems
    assert all(problem.where.startswith(f"outcomes[{problem.index}]") and problem.what for problem in problems)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["ce-id", "ce-type", "ce-time", "ce-source", "ce-specversion"]), st.text()))
def test_no_headers_make_the_reader_fail(headers: dict[str, str]) -> None:
    with pytest.raises(errors.Unacceptable):
        messages.read_binary_event(headers, json.dumps(event("r1")["data"]).encode(), CLOCK)
