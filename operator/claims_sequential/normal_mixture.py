"""One-sided normal mixtures: the asymptotic test of a sum against its variance, and the interval that belongs to it.

Paper: Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (arXiv
1810.08240), proposition 6; as an asymptotic test of means: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024,
"Time-uniform central limit theory and asymptotic confidence sequences" (arXiv 2103.06473).
"""

import math

SMALLEST_LOG_ARGUMENT = -30.0


def log_mixture(deviation: float, precision: float, rho: float) -> float:
    """Return the log e-value of ``deviation``: the mean of ``exp(a S - a^2 V / 2)`` over a half-normal ``a``.

    ``deviation`` S: a sum that does not drift upwards under the null hypothesis; ``precision`` V, at least 0: its
    variance; ``rho``, above 0: precision of the half-normal, see `tuned_rho`. Equal to
    ``2 sqrt(rho / (V + rho)) exp(S^2 / 2 (V + rho)) Phi(S / sqrt(V + rho))``.
    """
    whole = precision + rho
    standard = deviation / math.sqrt(whole)
    return math.log(2.0) + 0.5 * math.log(rho / whole) + 0.5 * standard * standard + _log_normal_cdf(standard)


def _log_normal_cdf(standard: float) -> float:
    if standard > SMALLEST_LOG_ARGUMENT:
        return math.log(0.5 * math.erfc(-standard / math.sqrt(2.0)))
    # The first terms of the asymptotic series: beyond that, erfc is 0.
    return -0.5 * standard * standard - math.log(-standard * math.sqrt(2.0 * math.pi)) - 1.0 / (standard * standard)


def radius(precision: float, rho: float, alpha: float) -> float:
    """Return how far the mean ``S / V`` is above the truth at any time, but for a chance of ``alpha`` (< 1/2)."""
    whole = precision + rho
    return math.sqrt(whole * math.log(whole / (4.0 * alpha * alpha * rho) + 1.0)) / precision


def tuned_rho(difference: float, alpha: float) -> float:
    """Return the rho that is best when there is just enough data to tell ``difference`` (> 0) from 0.

    That is at a precision of about ``9 / difference^2``.
    """
    log_term = 2.0 * math.log(1.0 / (2.0 * alpha))
    return 9.0 / (difference * difference) / (log_term + math.log(1.0 + log_term))
