"""Generated claims are the same whoever asks, stay in the schema's bounds, and happen as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims_training import generator, schema
from claims_training.errors import InvalidSetting


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 5000), rows=st.integers(1, 2500))
def test_a_claim_is_the_same_whatever_rows_are_asked_for(start: int, rows: int) -> None:
    part = generator.generate(rows, seed=3, start=start)
    whole = generator.generate(start + rows, seed=3)

    assert part.claim_ids == whole.claim_ids[start:]
    assert np.array_equal(part.outcomes, whole.outcomes[start:])
    for name in schema.FEATURE_NAMES:
        assert np.array_equal(part.columns[name], whole.columns[name][start:])


def test_the_outcome_of_a_claim_follows_from_its_id() -> None:
    claims = generator.generate(3000, seed=11, start=999_000)
    order = np.random.default_rng(0).permutation(3000)

    outcomes = generator.outcomes_of([claims.claim_ids[row] for row in order])

    assert np.array_equal(outcomes, claims.outcomes[order])


def test_unknown_values_do_not_change_what_happened() -> None:
    known, gappy = generator.generate(2000, seed=5), generator.generate(2000, seed=5, missing_share=0.2)

    assert np.array_equal(known.outcomes, gappy.outcomes)
    assert np.isnan(gappy.columns["documents_missing"]).mean() == pytest.approx(0.2, abs=0.03)
    assert not np.isnan(gappy.columns["claim_amount"]).any()


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_every_value_is_in_the_bounds_of_the_schema(drift: float) -> None:
    claims = generator.generate(20_000, seed=2, drift=drift)

    for feature in schema.NUMBERS:
        column = claims.columns[feature.name]
        assert column.min() >= feature.minimum, feature.name
        assert column.max() <= feature.maximum, feature.name
    for feature in schema.CATEGORIES:
        assert set(claims.columns[feature.name]) == set(feature.categories)


def test_outcomes_happen_as_often_as_the_true_probability_says() -> None:
    claims = generator.generate(60_000, seed=9)

    for low in np.arange(0, 1, 0.1):
        within = (claims.probabilities >= low) & (claims.probabilities < low + 0.1)
        expected = claims.probabilities[within].mean()
        four_sigma = 4 * np.sqrt(expected * (1 - expected) / within.sum()) + 1e-9
        assert claims.outcomes[within].mean() == pytest.approx(expected, abs=four_sigma)


def test_the_best_possible_accuracy_leaves_room_above_the_targets() -> None:
    probabilities = generator.generate(20_000, seed=7).probabilities

    assert 0.94 < np.maximum(probabilities, 1 - probabilities).mean() < 0.97


def test_drift_moves_amounts_and_the_mix_of_lines() -> None:
    before, after = generator.generate(10_000, seed=4), generator.generate(10_000, seed=4, drift=1.0)

    assert np.median(after.columns["claim_amount"]) > 1.4 * np.median(before.columns["claim_amount"])
    assert (after.columns["line"] == "health").mean() > 0.1 + (before.columns["line"] == "health").mean()


def test_outcomes_become_known_after_the_dialled_delay() -> None:
    claims = generator.generate(20_000, seed=4, label_delay_days=30)

    days = (claims.outcome_at - claims.reported_at) / np.timedelta64(1, "D")
    assert days.min() >= 1
    assert days.mean() == pytest.approx(30, rel=0.05)


def test_the_season_is_that_of_the_incident() -> None:
    claims = generator.generate(2000, seed=4)  # Reported from the first of January on.

    fresh = (claims.columns["report_delay_days"] < 1) & (np.arange(2000) < 59 * 48)
    assert set(claims.columns["season"][fresh]) == {"winter"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rows": 0, "seed": 1}, "rows of 1 or more"),
        ({"rows": 1, "seed": 1, "start": -1}, "a start of 0 or more"),
        ({"rows": 1, "seed": -1}, "seed is -1"),
        ({"rows": 1, "seed": 1, "drift": 1.5}, "drift is 1.5; write a number from 0 to 1"),
        ({"rows": 1, "seed": 1, "drift": float("nan")}, "drift is nan"),
        ({"rows": 1, "seed": 1, "label_delay_days": 0}, "label_delay_days is 0"),
    ],
)
def test_settings_out_of_bounds_are_refused(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        generator.generate(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("claim_id", ["claim-7", "claim-7-x", "policy-7-1", "claim--1-1", "claim-7-1\n"])
def test_ids_of_other_makers_are_refused(claim_id: str) -> None:
    with pytest.raises(InvalidSetting, match="claim-<seed>-<number>"):
        generator.outcomes_of([claim_id])
