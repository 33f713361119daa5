"""Sticky users: outcomes that belong together are not so many outcomes."""

import json
import math
import random

import pytest

from claims_sequential import CohortComparison, CohortSums, Counts, Pair, RateHistory, TwoSampleTest

LOOKS = 12
EFFECTS = (0.01, 0.025, 0.06, 0.15)


def sticky_users(seed: int, *, users: int = 150, correlation: float = 0.5) -> tuple[float, float]:
    """Return the largest log e-value, over all looks, of the test by outcomes and of the one by cohorts.

    Two identical models that are wrong in 11 % of the cases; each user always meets the same one, and has a rate of his
    own; at each look every user brings about one outcome more.
    """
    rng = random.Random(seed)
    spread = 1 / correlation - 1
    rates = [[rng.betavariate(0.11 * spread, 0.89 * spread) for _ in range(users)] for _ in range(2)]
    known = [[Counts() for _ in range(users)] for _ in range(2)]
    sums, history = [CohortSums(), CohortSums()], RateHistory(total=1_000, bad=110)
    by_outcomes, best = TwoSampleTest.that_candidate_is_worse(EFFECTS), [0.0, 0.0]
    for _ in range(LOOKS):
        new = [Counts(), Counts()]
        for arm in range(2):
            for user, rate in enumerate(rates[arm]):
                total = rng.choice((0, 1, 1, 2))
                counts = Counts(total=total, bad=sum(rng.random() < rate for _ in range(total)))
                new[arm] += counts
                sums[arm] = sums[arm].moved(known[arm][user], known[arm][user] + counts)
                known[arm][user] += counts
        by_outcomes = by_outcomes.after(Pair(stable=new[0], candidate=new[1]), stable_rate=history.rate)
        history = history.after(new[0])
        by_cohorts = CohortComparison(stable=sums[0], candidate=sums[1])
        best[0] = max(best[0], by_outcomes.log_e_value)
        best[1] = max(best[1], by_cohorts.log_e_value(border=0.0, scale=0.03))
    return best[0], best[1]


def test_sticky_users_mislead_the_test_by_outcomes_and_not_the_one_by_cohorts() -> None:
    found = [sticky_users(seed) for seed in range(40)]
    misled = [sum(one[test] >= math.log(20) for one in found) for test in range(2)]
    assert misled[0] > 2, "more often than 1 in 20"
    assert misled[1] == 0


def users(*, number: int, outcomes: int, bad: int, every: int) -> CohortSums:
    """Return users with so many outcomes each, of which every n-th user has so many bad ones."""
    sums = CohortSums()
    for user in range(number):
        sums = sums.moved(Counts(), Counts(total=outcomes, bad=0 if user % every else bad))
    return sums


def test_the_variance_between_cohorts_is_larger_than_that_of_independent_outcomes() -> None:
    clustered = users(number=400, outcomes=10, bad=10, every=10)
    assert clustered.rate == pytest.approx(0.1)
    assert clustered.variance == pytest.approx(0.1 * 0.9 / 400, rel=0.01), (
        "ten outcomes of a user tell no more than one"
    )
    alone = users(number=4_000, outcomes=1, bad=1, every=10)
    assert alone.variance == pytest.approx(0.1 * 0.9 / 4_000, rel=0.01)


def test_a_much_worse_model_is_found_among_sticky_users() -> None:
    stable, worse = users(number=800, outcomes=14, bad=10, every=8), users(number=800, outcomes=14, bad=10, every=4)
    comparison = CohortComparison(stable=stable, candidate=worse)
    assert comparison.log_e_value(border=0.0, scale=0.03) > math.log(20)
    interval = comparison.interval(confidence=0.95, margin=0.02)
    assert interval is not None
    assert 0 < interval[0] < comparison.candidate.rate - comparison.stable.rate < interval[1]


def test_few_cohorts_say_nothing_however_many_outcomes_they_bring() -> None:
    few = CohortComparison(
        stable=users(number=10, outcomes=1_000, bad=0, every=1),
        candidate=users(number=10, outcomes=1_000, bad=1_000, every=1),
    )
    assert few.log_e_value(border=0.0, scale=0.03) == 0
    assert few.interval(confidence=0.95, margin=0.02) is None
    assert CohortComparison().estimate is None


def test_counts_that_grow_give_the_same_sums_as_counts_that_come_at_once() -> None:
    at_once = CohortSums().moved(Counts(), Counts(total=5, bad=2))
    grown = CohortSums().moved(Counts(), Counts(total=2, bad=1)).moved(Counts(total=2, bad=1), Counts(total=5, bad=2))
    assert grown == at_once
    assert CohortSums.from_json(json.loads(json.dumps(grown.to_json()))) == grown
