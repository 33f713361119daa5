"""The interval that is shown, and the dispersion that damps evidence against a candidate."""

import json
import random

import pytest

from claims_sequential import ConfidenceSequence, Counts, Pair, RateHistory


def feed(rates: list[tuple[float, float]], *, seed: int = 1, size: int = 200) -> list[ConfidenceSequence]:
    """Return the sequence after each batch with these true rates."""
    rng = random.Random(seed)
    sequence, stable, candidate = ConfidenceSequence(), RateHistory(), RateHistory()
    found = []
    for stable_rate, candidate_rate in rates:
        batch = Pair(
            stable=Counts(total=size, bad=sum(rng.random() < stable_rate for _ in range(size))),
            candidate=Counts(total=size, bad=sum(rng.random() < candidate_rate for _ in range(size))),
        )
        sequence = sequence.with_difference(batch, stable_rate=stable.rate, candidate_rate=candidate.rate)
        stable, candidate = stable.after(batch.stable), candidate.after(batch.candidate)
        found.append(sequence)
    return found


def test_nothing_is_shown_before_the_first_batch() -> None:
    assert ConfidenceSequence().estimate is None
    assert ConfidenceSequence().interval(confidence=0.95, margin=0.02) is None


def test_the_interval_holds_the_true_difference_at_every_look_and_narrows() -> None:
    for seed in range(10):
        looks = [sequence.interval(confidence=0.95, margin=0.05) for sequence in feed([(0.1, 0.15)] * 40, seed=seed)]
        bounds = [look for look in looks if look is not None]
        assert len(bounds) == 40
        assert all(low <= 0.05 <= high for low, high in bounds)
        assert bounds[-1][1] - bounds[-1][0] < 0.06


def test_a_drift_that_both_share_does_not_bias_the_estimate() -> None:
    estimate = feed([(0.1, 0.1)] * 20 + [(0.3, 0.3)] * 20)[-1].estimate
    assert estimate == pytest.approx(0, abs=0.02)


def test_steady_counts_have_no_dispersion_and_bursts_have_much() -> None:
    assert feed([(0.1, 0.1)] * 60)[-1].dispersion < 2
    bursts = [(0.02, 0.02), (0.3, 0.02), (0.02, 0.3)] * 10
    assert feed(bursts)[-1].dispersion > 5


def test_a_restart_continues_the_sequence() -> None:
    sequence = feed([(0.1, 0.2)] * 3)[-1]
    assert ConfidenceSequence.from_json(json.loads(json.dumps(sequence.to_json()))) == sequence


def test_a_batch_without_one_arm_is_refused() -> None:
    with pytest.raises(ValueError, match="both arms"):
        ConfidenceSequence().with_difference(Pair(stable=Counts(total=1)), stable_rate=0.1, candidate_rate=0.1)


def test_a_history_forgets_half_after_four_thousand_newer_observations() -> None:
    history = RateHistory(total=100, bad=100).after(Counts(total=4_000, bad=0))
    assert history.bad == pytest.approx(50)
    assert history.total == pytest.approx(4_050)
