"""Two models on the same claims: exact by enumeration, and quicker than two samples."""

import itertools
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims_sequential import PairCounts, PairedTest


def expected_e_value(test: PairedTest, chances: tuple[tuple[float, float], ...]) -> float:
    """Return E[e-value] over all outcomes of one pair for each (chance of worse, chance of better)."""
    found = 0.0
    for outcomes in itertools.product(range(3), repeat=len(chances)):
        chance, after = 1.0, test
        for (worse, better), outcome in zip(chances, outcomes, strict=True):
            chance *= (worse, better, 1 - worse - better)[outcome]
            after = after.after(PairCounts(**{("worse", "better", "same")[outcome]: 1}))
        found += chance * math.exp(after.log_e_value)
    return found


EQUAL = ((0.0, 0.0), (0.1, 0.1), (0.5, 0.5), (0.03, 0.4), (0.2, 0.2), (0.0, 1.0))
WORSE_BY_TEN_POINTS = ((0.1, 0.0), (0.3, 0.2), (0.55, 0.45), (0.9, 0.0), (1.0, 0.0), (0.25, 0.15))


def test_the_expected_e_value_of_a_candidate_that_is_not_worse_is_at_most_one() -> None:
    assert expected_e_value(PairedTest.that_candidate_is_worse(), EQUAL) <= 1 + 1e-9
    assert expected_e_value(PairedTest.that_candidate_is_worse(border=0.1), WORSE_BY_TEN_POINTS[:3] + EQUAL[:3]) <= 1


def test_the_expected_e_value_of_a_candidate_worse_by_the_margin_is_at_most_one() -> None:
    assert expected_e_value(PairedTest.that_candidate_is_not_worse_by(0.1), WORSE_BY_TEN_POINTS) <= 1 + 1e-9


def claims(*, difference: float, disagreement: float, number: int, seed: int) -> PairCounts:
    rng = random.Random(seed)
    worse = (disagreement + difference) / 2
    drawn = rng.choices(("worse", "better", "same"), (worse, disagreement - worse, 1 - disagreement), k=number)
    return PairCounts(**{kind: drawn.count(kind) for kind in ("worse", "better", "same")})


def test_a_model_five_points_worse_is_out_after_few_labels_and_an_equal_one_is_proven() -> None:
    """Two samples need 1,320 and 7,039 labels for that at the median; pairs a third of it and less."""
    for seed in range(5):
        bad = claims(difference=0.05, disagreement=0.15, number=1_300, seed=seed)
        assert PairedTest.that_candidate_is_worse().after(bad).log_e_value > math.log(20)
        assert PairedTest.that_candidate_is_not_worse_by(0.02).after(bad).log_e_value < 0
        equal = claims(difference=0.0, disagreement=0.06, number=5_000, seed=seed)
        assert PairedTest.that_candidate_is_not_worse_by(0.02).after(equal).log_e_value > math.log(20)
        assert PairedTest.that_candidate_is_worse().after(equal).log_e_value < math.log(20)


def test_agreement_alone_proves_equality_but_never_a_difference() -> None:
    same = PairCounts(same=2_000)
    assert PairedTest.that_candidate_is_worse().after(same).log_e_value == 0
    assert PairedTest.that_candidate_is_not_worse_by(0.02).after(same).log_e_value > math.log(20)


numbers = st.integers(0, 100_000)


@settings(max_examples=50, deadline=None)
@given(batches=st.lists(st.tuples(numbers, numbers, numbers), max_size=4), margin=st.floats(0.001, 0.5))
def test_any_pairs_give_finite_evidence_that_a_restart_continues(
    batches: list[tuple[int, int, int]], margin: float
) -> None:
    for start in (PairedTest.that_candidate_is_worse(), PairedTest.that_candidate_is_not_worse_by(margin)):
        test = restarted = start
        for worse, better, same in batches:
            counts = PairCounts(worse=worse, better=better, same=same)
            test = test.after(counts)
            restarted = PairedTest.from_json(json.loads(json.dumps(restarted.to_json()))).after(counts)
        assert math.isfinite(test.log_e_value)
        assert restarted == test


@pytest.mark.parametrize("bets", [(), (0.1, -0.1), (1.0,), (-1.0,)])
def test_bets_that_could_lose_everything_are_refused(bets: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must not lose everything"):
        PairedTest(border=0.0, bets=bets)


def test_impossible_pairs_and_borders_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        PairCounts(worse=-1)
    with pytest.raises(ValueError, match="at least 0"):
        PairCounts(same=math.nan)
    with pytest.raises(ValueError, match="between -1 and 1"):
        PairedTest(border=1.0, bets=(0.1,))
