"""Whether the requests went where they were meant to go."""

import itertools
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims_sequential import SampleRatioTest


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.95, 0.05), (0.6, 0.3, 0.1)])
def test_the_expected_e_value_of_the_intended_split_is_one(shares: tuple[float, ...]) -> None:
    found = 0.0
    for arms in itertools.product(range(len(shares)), repeat=6):
        counts = [arms.count(arm) for arm in range(len(shares))]
        test = SampleRatioTest.of(shares).after(counts)
        found += math.prod(shares[arm] for arm in arms) * math.exp(test.log_e_value)
    assert found == pytest.approx(1, abs=1e-9)


def test_the_intended_split_is_not_doubted_at_any_look() -> None:
    rng = random.Random(5)
    for _ in range(20):
        test = SampleRatioTest.of((0.95, 0.05))
        for _ in range(60):
            candidate = sum(rng.random() < 0.05 for _ in range(300))
            test = test.after((300 - candidate, candidate))
            assert test.log_e_value < math.log(1_000)


def test_a_split_that_is_off_by_a_fifth_is_found() -> None:
    test = SampleRatioTest.of((0.95, 0.05)).after((9_600, 400))
    assert test.log_e_value > math.log(1_000)
    assert test.largest_deviation == pytest.approx(0.2)


def test_a_tiny_mismatch_is_found_among_very_many_requests_and_said_to_be_tiny() -> None:
    test = SampleRatioTest.of((0.5, 0.5)).after((10_020_000, 9_980_000))
    assert test.log_e_value > math.log(1_000)
    assert test.largest_deviation == pytest.approx(0.002)


def test_without_requests_nothing_is_said() -> None:
    test = SampleRatioTest.of((5, 95))
    assert test.log_e_value == pytest.approx(0)
    assert test.largest_deviation == 0
    assert test.shares == (0.05, 0.95)


numbers = st.integers(0, 10_000_000)


@settings(max_examples=50, deadline=None)
@given(batches=st.lists(st.tuples(numbers, numbers), max_size=4), share=st.floats(0.001, 0.999))
def test_any_counts_give_finite_evidence_that_a_restart_continues(batches: list[tuple[int, int]], share: float) -> None:
    test = restarted = SampleRatioTest.of((share, 1 - share))
    for batch in batches:
        test = test.after(batch)
        restarted = SampleRatioTest.from_json(json.loads(json.dumps(restarted.to_json()))).after(batch)
    assert math.isfinite(test.log_e_value)
    assert restarted == test


def test_what_is_no_split_is_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        SampleRatioTest(shares=(0.5, 0.4), counts=(0, 0))
    with pytest.raises(ValueError, match="sum to 1"):
        SampleRatioTest.of((1.0, 0.0))
    with pytest.raises(ValueError, match="one count"):
        SampleRatioTest(shares=(0.5, 0.5), counts=(1,))
