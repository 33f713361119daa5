"""Arithmetic on logarithms of e-values, which overflow long before they stop being meaningful."""

import math
from collections.abc import Sequence


def log_mean_exp(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of ``exp(value)``, for at least one finite value."""
    largest = max(logs)
    return largest + math.log(sum(math.exp(value - largest) for value in logs) / len(logs))


def log_sum_exp(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of ``exp(value)``, for at least one finite value."""
    largest = max(logs)
    return largest + math.log(sum(math.exp(value - largest) for value in logs))


def weighted_log(count: float, numerator: float, denominator: float) -> float:
    """Return ``count * log(numerator / denominator)``; 0 for a count of 0, whatever the ratio."""
    return count * math.log(numerator / denominator) if count else 0.0
