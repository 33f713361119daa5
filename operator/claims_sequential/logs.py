"""Arithmetic on logarithms of e-values, which overflow long before they stop being meaningful."""

import math
from collections.abc import Sequence


def log_mean_exp(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of ``exp(value)``, for at least one finite value."""
    largest = max(logs)
    return largest + math.log(sum([math.exp(value - largest) for value in logs]) / len(logs))


def log_sum_exp(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of ``exp(value)``, for at least one finite value."""
    largest = max(logs)
    return largest + math.log(sum([math.exp(value - largest) for value in logs]))


def log_add_exp(one: float, other: float) -> float:
    """Return the logarithm of ``exp(one) + exp(other)``."""
    larger, smaller = (one, other) if one > other else (other, one)
    return larger + math.log1p(math.exp(smaller - larger))


def log_weights(weights: Sequence[float]) -> tuple[float, ...]:
    """Return the logarithms of weights above 0, divided by their mean."""
    mean = sum(weights) / len(weights)
    return tuple(math.log(weight / mean) for weight in weights)
