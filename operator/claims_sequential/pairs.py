"""Two models, one claim: is the candidate wrong more often where exactly one of the two is wrong?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from claims_sequential.logs import log_mean_exp

BETS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Parts of the largest bet that cannot lose everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """Claims that both models answered, by who was wrong."""

    worse: float = 0.0
    """The candidate alone."""
    better: float = 0.0
    """Stable alone."""
    same: float = 0.0
    """Both or neither."""

    def __post_init__(self) -> None:
        if not all(0 <= count < float("inf") for count in (self.worse, self.better, self.same)):
            raise ValueError(f"counts must be at least 0: {self.worse}, {self.better}, {self.same}")

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(
            worse=self.worse + other.worse, better=self.better + other.better, same=self.same + other.same
        )

    @property
    def total(self) -> float:
        """All of them."""
        return self.worse + self.better + self.same

    @property
    def difference(self) -> float | None:
        """Rate of wrong answers, candidate - stable; None without pairs."""
        return (self.worse - self.better) / self.total if self.total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """Sequential McNemar test with a margin, by betting on Z = +1 (worse), -1 (better), 0 (same).

    Papers: McNemar 1947, "Note on the sampling error of the difference between correlated proportions"; betting on the
    mean of a bounded variable: Waudby-Smith, Ramdas 2024, "Estimating means of bounded random variables by betting"
    (arXiv 2010.09686), here with a fixed mixture of bets.
    Assumptions: given the past, the expected Z of each pair, which is the difference of the two rates of wrong answers,
    is on the null hypothesis' side of the border. Nothing is assumed about how often the models disagree, and the rates
    may change from pair to pair.
    Guarantee: P(ever log_e_value >= log(1/alpha)) <= alpha under the null hypothesis, exact at every sample size: a bet
    ``1 + b (Z - border)`` is never negative and has an expectation of at most 1.
    """

    border: float
    """Border of the null hypothesis for candidate - stable, in (-1, 1)."""
    bets: tuple[float, ...]
    """All above 0 (testing ``<= border``) or all below (testing ``>= border``)."""
    counts: PairCounts = PairCounts()
    """Everything that was tested: the bets are fixed, so nothing else is needed."""

    def __post_init__(self) -> None:
        if not -1 < self.border < 1:
            raise ValueError(f"the border must be between -1 and 1, not {self.border}")
        are_bets_for_worse = all(0 < bet < 1 / (1 + self.border) for bet in self.bets)
        are_bets_against = all(-1 / (1 - self.border) < bet < 0 for bet in self.bets)
        if not self.bets or not (are_bets_for_worse or are_bets_against):
            raise ValueError(f"bets must be on one side of 0 and must not lose everything, not {self.bets}")

    @classmethod
    def that_candidate_is_worse(cls, *, border: float = 0.0, bets: Sequence[float] = BETS) -> Self:
        """Start a test of ``candidate - stable <= border``; ``bets`` in (0, 1) are parts of the largest."""
        return cls(border=border, bets=tuple(bet / (1 + border) for bet in bets))

    @classmethod
    def that_candidate_is_not_worse_by(cls, margin: float, *, bets: Sequence[float] = BETS) -> Self:
        """Start a test of ``candidate - stable >= margin``; ``bets`` in (0, 1) are parts of the largest."""
        return cls(border=margin, bets=tuple(-bet / (1 - margin) for bet in bets))

    def after(self, counts: PairCounts) -> Self:
        """Return the test after one batch."""
        return type(self)(border=self.border, bets=self.bets, counts=self.counts + counts)

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of the e-value: the mean over the bets."""
        counts, border = self.counts, self.border
        return log_mean_exp(
            [
                counts.worse * math.log1p(bet * (1 - border))
                + counts.better * math.log1p(-bet * (1 + border))
                + counts.same * math.log1p(-bet * border)
                for bet in self.bets
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same test."""
        counts = [self.counts.worse, self.counts.better, self.counts.same]
        return {"border": self.border, "bets": list(self.bets), "counts": counts}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        worse, better, same = map(float, data["counts"])
        return cls(
            border=float(data["border"]),
            bets=tuple(map(float, data["bets"])),
            counts=PairCounts(worse=worse, better=better, same=same),
        )
