"""Did the requests go where they were meant to go? A split that differs makes every comparison doubtful."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

CONCENTRATION: Final = 100.0
"""How near to the intended shares a mismatch is looked for: as near as a hundred requests would show them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatioTest:
    """Sequential test of the shares of two or more arms: a Dirichlet mixture against the intended multinomial.

    Paper: Lindon, Malek 2022, "Anytime-valid inference for multinomial count data" (arXiv 2011.03567).
    Assumptions: each request goes to an arm by chance, independently of the others, with the intended shares. It does
    not hold where requests of one cohort go to one arm: then count cohorts instead of requests.
    Guarantee: P(ever log_e_value >= log(1/alpha)) <= alpha while the assumptions hold, exact at every sample size. With
    very many requests it finds mismatches too small to matter: ask for `largest_deviation` as well, which only makes
    rejections fewer.
    """

    shares: tuple[float, ...]
    """Intended, in (0, 1), sum 1; two or more."""
    counts: tuple[float, ...]
    """Requests of each arm."""

    def __post_init__(self) -> None:
        if len(self.shares) < 2 or min(self.shares) <= 0 or abs(sum(self.shares) - 1.0) > 1e-9:
            raise ValueError(f"shares must be above 0 and sum to 1, not {self.shares}")
        if len(self.counts) != len(self.shares) or not all(0 <= count < math.inf for count in self.counts):
            raise ValueError(f"there must be one count of at least 0 per share, not {self.counts}")

    @classmethod
    def of(cls, shares: Sequence[float]) -> Self:
        """Start a test; the shares are divided by their sum."""
        whole = sum(shares)
        return cls(shares=tuple(share / whole for share in shares), counts=(0.0,) * len(shares))

    def after(self, counts: Sequence[float]) -> Self:
        """Return the test after one batch of requests of each arm."""
        return type(self)(
            shares=self.shares, counts=tuple(old + new for old, new in zip(self.counts, counts, strict=True))
        )

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of the e-value; 0 before the first request."""
        total = sum(self.counts)
        found = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + total)
        for share, count in zip(self.shares, self.counts, strict=True):
            prior = CONCENTRATION * share
            found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
        return found

    @property
    def largest_deviation(self) -> float:
        """Largest distance of an arm's share from the intended one, as a part of the smaller of it and its complement.

        0 before the first request.
        """
        total = sum(self.counts)
        if not total:
            return 0.0
        return max(
            abs(count / total - share) / min(share, 1.0 - share)
            for share, count in zip(self.shares, self.counts, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same test."""
        return {"shares": list(self.shares), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls(shares=tuple(map(float, data["shares"])), counts=tuple(map(float, data["counts"])))
