"""What the tests are fed with: counts of observations and of bad events among them."""

from dataclasses import dataclass
from typing import Any, Self

SMALLEST_RATE = 1e-6
"""Assumed rates keep this distance from 0 and 1, so that one event never has a probability of 0."""

HALF_LIFE_OBSERVATIONS = 4_000.0
"""After this many newer observations an old one counts half in a `RateHistory`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Observations of one arm, and how many of them were bad."""

    total: float = 0.0
    """At least 0."""
    bad: float = 0.0
    """Between 0 and ``total``."""

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total < float("inf"):
            raise ValueError(f"bad events must be between 0 and the total: {self.bad} of {self.total}")

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(total=self.total + other.total, bad=self.bad + other.bad)

    @property
    def rate(self) -> float | None:
        """Share of bad events; None without observations."""
        return self.bad / self.total if self.total else None

    def to_json(self) -> list[float]:
        """Return [total, bad]."""
        return [self.total, self.bad]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        total, bad = data
        return cls(total=float(total), bad=float(bad))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One batch: what both arms counted in the same interval and the same stratum."""

    stable: Counts = Counts()
    candidate: Counts = Counts()

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(stable=self.stable + other.stable, candidate=self.candidate + other.candidate)

    @property
    def is_empty(self) -> bool:
        """Whether neither arm observed anything."""
        return not (self.stable.total or self.candidate.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateHistory:
    """A rate learnt from the past, forgetting slowly; it only steers the power of a test, never its validity."""

    total: float = 0.0
    bad: float = 0.0

    @property
    def rate(self) -> float:
        """``(bad + 1/2) / (total + 1)``: never 0 or 1, and 1/2 without a past."""
        return (self.bad + 0.5) / (self.total + 1.0)

    def after(self, counts: Counts) -> "RateHistory":
        """Return the history with ``counts`` as its newest part."""
        kept = 2.0 ** (-counts.total / HALF_LIFE_OBSERVATIONS)
        return RateHistory(total=kept * self.total + counts.total, bad=kept * self.bad + counts.bad)

    def to_json(self) -> list[float]:
        """Return [total, bad]."""
        return [self.total, self.bad]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        total, bad = data
        return cls(total=float(total), bad=float(bad))


def clip_rate(rate: float) -> float:
    """Return ``rate`` moved into [SMALLEST_RATE, 1 - SMALLEST_RATE]."""
    return min(max(rate, SMALLEST_RATE), 1.0 - SMALLEST_RATE)
