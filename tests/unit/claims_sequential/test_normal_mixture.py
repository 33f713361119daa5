"""The mixture that allows for bursts: its formula, and the dispersion that it is divided by."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims_sequential import ConfidenceSequence, Counts, Dispersion
from claims_sequential.confidence import FEWEST_BATCHES
from claims_sequential.normal_mixture import log_mixture, radius, tuned_rho


def integrated(deviation: float, precision: float, rho: float) -> float:
    """Return the mean of exp(a S - a^2 V / 2) over a half-normal a, by the trapezoidal rule."""
    widest, steps = max(deviation, 0.0) / (precision + rho) + 12 / math.sqrt(precision + rho), 20_000
    width = widest / steps
    density = 2 * math.sqrt(rho / (2 * math.pi))
    values = [
        density * math.exp(-rho * a * a / 2 + a * deviation - a * a * precision / 2)
        for a in (number * width for number in range(steps + 1))
    ]
    return math.log(width * (sum(values) - (values[0] + values[-1]) / 2))


@pytest.mark.parametrize("deviation", [-20.0, -1.0, 0.0, 3.0, 30.0])
@pytest.mark.parametrize(("precision", "rho"), [(0.0, 1.0), (10.0, 1.0), (10.0, 40.0), (300.0, 25.0)])
def test_the_formula_is_the_mean_over_the_half_normal(deviation: float, precision: float, rho: float) -> None:
    assert log_mixture(deviation, precision, rho) == pytest.approx(integrated(deviation, precision, rho), abs=1e-4)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e9), st.floats(1, 1e9))
def test_any_sum_gives_a_finite_value_that_rises_with_it(deviation: float, precision: float, rho: float) -> None:
    value = log_mixture(deviation, precision, rho)
    assert math.isfinite(value)
    assert log_mixture(deviation + 1.0, precision, rho) >= value - 1e-9


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001])
@pytest.mark.parametrize("precision", [1e3, 1e4, 1e6])
def test_the_radius_is_where_the_mixture_reaches_one_over_alpha(alpha: float, precision: float) -> None:
    rho = tuned_rho(0.02, alpha)
    reach = radius(precision, rho, alpha)
    assert log_mixture(reach * precision, precision, rho) == pytest.approx(-math.log(alpha), abs=0.1)


def test_the_tuned_mixture_is_the_narrowest_near_the_precision_it_is_tuned_for() -> None:
    best = radius(9 / 0.02**2, tuned_rho(0.02, 0.05), 0.05)
    for other in (0.005, 0.01, 0.04, 0.08):
        assert radius(9 / 0.02**2, tuned_rho(other, 0.05), 0.05) > best


# Dispersion ---------------------------------------------------------------------------------------------------------


def spread(values: list[float], weight: float = 4.0) -> Dispersion:
    found = Dispersion()
    for value in values:
        found = found.after(weight, value)
    return found


def test_independent_values_have_a_dispersion_near_one() -> None:
    rng = random.Random(2)
    assert spread([rng.gauss(0, 0.5) for _ in range(2_000)]).value < 1.6


def test_the_dispersion_is_the_weighted_residual_variance() -> None:
    values = [0.0, 1.0, 0.5, -1.0]
    mean = sum(values) / 4
    assert spread(values).value == pytest.approx(sum(4.0 * (value - mean) ** 2 for value in values) / 3)


def test_what_lasts_longer_than_a_batch_is_seen_in_longer_blocks() -> None:
    rng = random.Random(2)
    lasting = [value for _ in range(60) for value in [rng.gauss(0, 0.5)] * 4]
    shuffled = rng.sample(lasting, len(lasting))
    assert spread(shuffled).value < 1.8
    assert spread(lasting).value > 2.5


def test_a_block_of_two_is_the_weighted_mean_of_its_halves() -> None:
    found = Dispersion().after(1.0, 2.0).after(3.0, 4.0)
    assert found.levels[1].blocks == 1
    assert found.levels[1].weight == 4.0
    assert found.levels[1].weighted / found.levels[1].weight == 3.5


def test_less_than_two_batches_have_no_dispersion() -> None:
    assert Dispersion().value == 1.0
    assert spread([5.0]).value == 1.0


def test_a_restart_continues_the_dispersion() -> None:
    found = spread([0.1, 0.7, -0.3, 0.2, 0.9])
    assert Dispersion.from_json(json.loads(json.dumps(found.to_json()))) == found


# The test -----------------------------------------------------------------------------------------------------------


def excess(rate: float, batches: int) -> ConfidenceSequence:
    sequence = ConfidenceSequence()
    for _ in range(batches):
        sequence = sequence.with_excess(Counts(total=1_000, bad=1_000 * rate), limit=0.01)
    return sequence


def test_nothing_is_said_before_the_dispersion_of_some_batches_is_known() -> None:
    assert excess(0.9, FEWEST_BATCHES - 1).log_e_value(border=0.0, scale=0.005) == 0
    assert excess(0.03, FEWEST_BATCHES).log_e_value(border=0.0, scale=0.005) > math.log(20)


def test_a_rate_at_the_limit_says_nothing_and_one_above_the_border_is_found() -> None:
    assert excess(0.01, 50).log_e_value(border=0.0, scale=0.005) < 0
    assert excess(0.02, 50).log_e_value(border=0.0, scale=0.005) > math.log(20)
    assert excess(0.02, 50).log_e_value(border=0.01, scale=0.005) < 0


def test_a_batch_without_observations_is_refused() -> None:
    with pytest.raises(ValueError, match="needs observations"):
        ConfidenceSequence().with_excess(Counts(), limit=0.01)


def test_a_sequence_recorded_before_there_were_levels_goes_on() -> None:
    old = ConfidenceSequence.from_json([2_000.0, 10.0, 3.5, 8])
    assert (old.precision, old.weighted, old.batches) == (2_000.0, 10.0, 8)
    assert old.dispersion == pytest.approx(1.0)
    assert old.estimate == pytest.approx(0.005)
    bursty = ConfidenceSequence.from_json([2_000.0, 10.0, 35.05, 8])
    assert bursty.dispersion == pytest.approx(5.0)
    assert ConfidenceSequence.from_json([0.0, 0.0, 0.0, 0]) == ConfidenceSequence()
