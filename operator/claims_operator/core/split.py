"""Whether the gateway split the requests as its weights say: otherwise the two versions did not meet the same requests.

Envoy draws a backendRef for each request, by weight and independently, also on long gRPC connections. What makes the
counted shares differ is what makes a comparison doubtful: requests of one version that never got an answer (clients
that gave up, a proxy that restarts), a gateway pod with an older route, or another way to one of the versions.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Self

from claims_sequential import SampleRatioTest

ALPHA: Final = 0.001
"""Chance that an intended split is ever doubted, per epoch."""
TOLERANCE: Final = 0.1
"""A smaller deviation of the candidate's share, as a part of it, is left alone: a few retries are no bias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The requests of one epoch, by version."""

    epoch: int
    test: SampleRatioTest
    """Of stable's and the candidate's share."""

    @classmethod
    def of(cls, epoch: int, candidate_share: float) -> Self:
        """Start an epoch; ``candidate_share`` in (0, 1)."""
        return cls(epoch=epoch, test=SampleRatioTest.of((1.0 - candidate_share, candidate_share)))

    def after(self, stable_requests: float, candidate_requests: float) -> "Split":
        """Return it after the requests of one look."""
        return Split(epoch=self.epoch, test=self.test.after((stable_requests, candidate_requests)))

    @property
    def mismatch(self) -> str | None:
        """What is wrong with the split, as a sentence; None where nothing is known to be."""
        if self.test.log_e_value < -math.log(ALPHA) or self.test.largest_deviation < TOLERANCE:
            return None
        (_, intended), (stable, candidate) = self.test.shares, self.test.counts
        total = stable + candidate
        return (
            f"the candidate answered {100 * candidate / total:.3g} % of {total:.0f} requests where its weight is"
            f" {100 * intended:.3g} %, so the two versions did not meet the same requests; look for requests without"
            " an answer (clients that give up), for gateway pods with an older route, and for requests that come to a"
            " version past the route"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the whole state."""
        return {"epoch": self.epoch, "test": self.test.to_json()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls(epoch=int(data["epoch"]), test=SampleRatioTest.from_json(data["test"]))
