"""Kayenta's judge (NetflixACAJudge-v1.0) for one metric of which more is worse, on many rollouts at once."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CONFIDENCE = 0.98
TOLERANCE = 0.25
Z_NEEDED = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def is_high(*, control: Floats, canary: Floats) -> Bools:
    """Return whether the judge classifies the metric as High; ``control`` and ``canary`` have shape (runs, minutes).

    High is: the lower bound of the 98 % interval of the Hodges-Lehmann shift is above 0.25 times its estimate's size,
    and the canary's mean is not below the control's. The interval is the one of R's wilcox.test with a normal
    approximation, ties and continuity corrected; its lower bound is above t when the test at t still rejects.
    Minutes without a value (NaN) are left out; with none left the metric has no data, which passes.
    """
    shifts = canary[:, :, None] - control[:, None, :]
    has_data = np.isfinite(shifts).any(axis=(1, 2))
    estimate = np.zeros(len(shifts))
    estimate[has_data] = np.nanmedian(shifts[has_data].reshape(int(has_data.sum()), -1), axis=1)
    threshold = TOLERANCE * np.abs(estimate)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = _statistic(control, canary, shifts, threshold)
        means = np.nansum(canary, axis=1) / _count(canary) >= np.nansum(control, axis=1) / _count(control)
    return np.asarray(has_data & (z > Z_NEEDED) & means)


def _statistic(control: Floats, canary: Floats, shifts: Floats, threshold: Floats) -> Floats:
    """Return the standardised rank sum of the canary's values less ``threshold``."""
    at = threshold[:, None, None]
    wins = ((shifts > at) + 0.5 * (shifts == at)).sum(axis=(1, 2))
    canaries, controls = _count(canary), _count(control)
    pooled = np.concatenate([canary - threshold[:, None], control], axis=1)
    equals = (pooled[:, :, None] == pooled[:, None, :]).sum(axis=2)
    ties = np.where(equals > 0, equals * equals - 1.0, 0.0).sum(axis=1)
    count = canaries + controls
    sigma = np.sqrt(canaries * controls / 12 * ((count + 1) - ties / (count * (count - 1))))
    distance = wins - canaries * controls / 2
    return np.asarray(np.where(sigma > 0, (distance - 0.5 * np.sign(distance)) / sigma, 0.0))


def _count(values: Floats) -> Floats:
    return np.asarray(np.isfinite(values).sum(axis=1), dtype=np.float64)
