"""The comparison with a fixed limit."""

import json
import math

import pytest

from claims_sequential import Counts, OneSampleTest, log_mean_exp

EFFECTS = (0.001, 0.01, 0.05, 0.15)
FRACTIONS = (0.0625, 0.25, 0.5, 0.75)


def above() -> OneSampleTest:
    return OneSampleTest.that_rate_is_above(0.01, EFFECTS)


def below() -> OneSampleTest:
    return OneSampleTest.that_rate_is_below(0.01, FRACTIONS)


def expected_e_value(test: OneSampleTest, rates: tuple[float, ...]) -> float:
    if not rates:
        return math.exp(test.log_e_value)
    return sum(
        math.comb(4, bad)
        * rates[0] ** bad
        * (1 - rates[0]) ** (4 - bad)
        * expected_e_value(test.after(Counts(total=4, bad=bad)), rates[1:])
        for bad in range(5)
    )


@pytest.mark.parametrize("rates", [(0.01, 0.01, 0.01), (0.0, 0.01, 0.005), (0.009, 0.0, 0.0)])
def test_the_expected_e_value_below_the_limit_is_at_most_one(rates: tuple[float, ...]) -> None:
    assert expected_e_value(above(), rates) <= 1 + 1e-9


@pytest.mark.parametrize("rates", [(0.01, 0.01, 0.01), (0.01, 0.5, 1.0), (0.02, 0.011, 0.3)])
def test_the_expected_e_value_above_the_limit_is_at_most_one(rates: tuple[float, ...]) -> None:
    assert expected_e_value(below(), rates) <= 1 + 1e-9


def test_a_rate_of_twice_the_limit_is_found_and_half_of_it_is_proven() -> None:
    assert above().after(Counts(total=3_000, bad=60)).log_e_value > math.log(20)
    assert below().after(Counts(total=3_000, bad=60)).log_e_value < 0
    assert below().after(Counts(total=3_000, bad=15)).log_e_value > math.log(20)
    assert above().after(Counts(total=3_000, bad=15)).log_e_value < 0


def test_a_restart_continues_the_test() -> None:
    first = above().after(Counts(total=100, bad=3))
    restarted = OneSampleTest.from_json(json.loads(json.dumps(first.to_json())))
    assert restarted == first
    assert restarted.after(Counts(total=50, bad=1)) == first.after(Counts(total=50, bad=1))


@pytest.mark.parametrize("limit", [1e-9, 0.999999, 0.5])
def test_extreme_limits_stay_finite(limit: float) -> None:
    for test in (OneSampleTest.that_rate_is_above(limit, EFFECTS), OneSampleTest.that_rate_is_below(limit, FRACTIONS)):
        assert math.isfinite(test.after(Counts(total=1_000, bad=0)).log_e_value)
        assert math.isfinite(test.after(Counts(total=1_000, bad=1_000)).log_e_value)


def test_alternatives_on_both_sides_are_refused() -> None:
    with pytest.raises(ValueError, match=r"on one side of 0\.1"):
        OneSampleTest(limit=0.1, alternatives=(0.05, 0.2), log_values=(0.0, 0.0))
    with pytest.raises(ValueError, match="between 0 and 1"):
        OneSampleTest.that_rate_is_below(0.0, FRACTIONS)


def test_huge_logarithms_can_be_averaged() -> None:
    assert log_mean_exp([5_000.0, -5_000.0]) == pytest.approx(5_000 - math.log(2))


@pytest.mark.parametrize(("total", "bad"), [(1, 2), (1, -1), (math.inf, 1), (math.nan, 0), (3, math.nan)])
def test_impossible_counts_are_refused(total: float, bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and the total"):
        Counts(total=total, bad=bad)
