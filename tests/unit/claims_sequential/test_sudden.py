"""A fault that begins late: exact by enumeration, and soon found."""

import itertools
import json
import math

import pytest

from claims_sequential import Counts, OneSampleTest, Pair, RateHistory, SuddenChange, TwoSampleTest

BORDER = 0.05


def against_stable() -> SuddenChange[TwoSampleTest]:
    return SuddenChange.of(TwoSampleTest.that_candidate_is_worse((0.2, 0.7), border=BORDER))


def against_limit() -> SuddenChange[OneSampleTest]:
    return SuddenChange.of(OneSampleTest.that_rate_is_above(BORDER, (0.2, 0.7)))


def binomial(total: int, bad: int, rate: float) -> float:
    return math.comb(total, bad) * rate**bad * (1 - rate) ** (total - bad)


def expected_against_stable(
    test: SuddenChange[TwoSampleTest], history: RateHistory, rates: tuple[tuple[float, float], ...]
) -> float:
    if not rates:
        return math.exp(test.log_e_value)
    found = 0.0
    for stable_bad, candidate_bad in itertools.product(range(2), range(3)):
        chance = binomial(1, stable_bad, rates[0][0]) * binomial(2, candidate_bad, rates[0][1])
        batch = Pair(stable=Counts(total=1, bad=stable_bad), candidate=Counts(total=2, bad=candidate_bad))
        after = test.after(test.test.after(batch, stable_rate=history.rate))
        found += chance * expected_against_stable(after, history.after(batch.stable), rates[1:])
    return found


@pytest.mark.parametrize(
    "rates",
    [
        ((0.0, 0.05),) * 4,
        ((0.3, 0.35),) * 4,
        ((0.0, 0.0), (0.0, 0.0), (0.9, 0.95), (0.95, 1.0)),
        ((0.5, 0.1), (0.1, 0.15), (0.95, 0.2), (0.0, 0.05)),
    ],
)
def test_the_expected_e_value_without_a_gross_fault_is_at_most_one(rates: tuple[tuple[float, float], ...]) -> None:
    """Also while the rates come in bursts, as long as none of them is further apart than the border."""
    assert expected_against_stable(against_stable(), RateHistory(total=50, bad=1), rates) <= 1 + 1e-9


def expected_against_limit(test: SuddenChange[OneSampleTest], rates: tuple[float, ...]) -> float:
    if not rates:
        return math.exp(test.log_e_value)
    return sum(
        binomial(3, bad, rates[0])
        * expected_against_limit(test.after(test.test.after(Counts(total=3, bad=bad))), rates[1:])
        for bad in range(4)
    )


@pytest.mark.parametrize("rates", [(0.05,) * 4, (0.0, 0.05, 0.0, 0.05), (0.01, 0.02, 0.0, 0.05)])
def test_the_expected_e_value_below_the_limit_is_at_most_one(rates: tuple[float, ...]) -> None:
    assert expected_against_limit(against_limit(), rates) <= 1 + 1e-9


def test_before_the_first_batch_the_e_value_is_one() -> None:
    assert against_stable().log_e_value == pytest.approx(0)
    assert against_limit().log_e_value == pytest.approx(0)


def test_a_total_failure_after_a_long_good_time_is_found_within_a_few_requests() -> None:
    healthy = Pair(stable=Counts(total=950, bad=5), candidate=Counts(total=50, bad=0))
    failing = Pair(stable=Counts(total=190, bad=1), candidate=Counts(total=10, bad=10))
    late, plain = against_stable(), TwoSampleTest.that_candidate_is_worse((0.2, 0.7), border=BORDER)
    for _ in range(2_000):
        late = late.after(late.test.after(healthy, stable_rate=0.005))
        plain = plain.after(healthy, stable_rate=0.005)
    late = late.after(late.test.after(failing, stable_rate=0.005))
    plain = plain.after(failing, stable_rate=0.005)
    assert late.log_e_value > math.log(1_000)
    assert plain.log_e_value < -100, "the same test, started once, is deep in the red"


def test_the_same_is_found_against_a_limit() -> None:
    test = against_limit()
    for _ in range(2_000):
        test = test.after(test.test.after(Counts(total=50, bad=0)))
    assert test.after(test.test.after(Counts(total=15, bad=15))).log_e_value > math.log(1_000)


def test_a_restart_continues_the_mixture() -> None:
    batch = Pair(stable=Counts(total=95, bad=1), candidate=Counts(total=5, bad=2))
    test = against_stable()
    test = test.after(test.test.after(batch, stable_rate=0.01))
    data = json.loads(json.dumps(test.to_json()))
    assert SuddenChange(test=TwoSampleTest.from_json(data["test"]), batches=data["batches"]) == test
