"""Batches of candidate and stable, for the tests that allow for bursts and for the interval that is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from claims_sequential import ConfidenceSequence, Counts, Pair, RateHistory

FEWEST_OBSERVATIONS: Final = 10.0
"""A batch holds at least so many observations of each arm."""
SHORTEST_BATCH_SECONDS: Final = 50.0
"""A batch lasts at least so long: bursts within a batch do no harm, bursts that outlast it are seen late."""
CANDIDATE_PRIOR: Final = 200.0
"""The candidate's rate is taken for stable's until so many of its own observations have been made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Counts that are too few for a batch, or cover too short a time."""

    pair: Pair = field(default_factory=Pair)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Differences candidate - stable and, where there is a limit, candidate - limit, batch by batch."""

    difference: ConfidenceSequence = field(default_factory=ConfidenceSequence)
    excess: ConfidenceSequence = field(default_factory=ConfidenceSequence)
    """Over the limit; stays empty without one."""
    candidate: RateHistory = field(default_factory=RateHistory)
    """The candidate's rate, from closed batches only."""
    pending: Mapping[int, Pending] = field(default_factory=dict)
    """By epoch."""

    def after(
        self, batch: Pair, epoch: int, *, seconds: float, stable_rate: float, least_rate: float, limit: float | None
    ) -> "Comparison":
        """Return the comparison after counts of ``seconds`` of one epoch.

        ``stable_rate``: as it looked before. A batch's variance is that of rates of at least ``least_rate``: with less,
        a single event would be further out than any normal distribution reaches.
        """
        before = self.pending.get(epoch)
        if before is not None:
            batch, seconds = before.pair + batch, before.seconds + seconds
        stable, candidate = batch.stable, batch.candidate
        is_compared = stable.total >= FEWEST_OBSERVATIONS
        is_closed = candidate.total >= FEWEST_OBSERVATIONS and (is_compared or not stable.total)
        if not is_closed or seconds < SHORTEST_BATCH_SECONDS:
            return Comparison(
                difference=self.difference,
                excess=self.excess,
                candidate=self.candidate,
                pending={**self.pending, epoch: Pending(pair=batch, seconds=seconds)},
            )
        difference, excess = self.difference, self.excess
        if is_compared:
            stable_rate = max(stable_rate, least_rate)
            past = self.candidate
            own_rate = (past.bad + CANDIDATE_PRIOR * stable_rate) / (past.total + CANDIDATE_PRIOR)
            difference = difference.with_difference(
                batch, stable_rate=stable_rate, candidate_rate=max(own_rate, stable_rate)
            )
        if limit is not None:
            excess = excess.with_excess(candidate, limit=limit)
        return Comparison(
            difference=difference,
            excess=excess,
            candidate=self.candidate.after(candidate),
            pending={other: waiting for other, waiting in self.pending.items() if other != epoch},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the whole state."""
        return {
            "difference": self.difference.to_json(),
            "excess": self.excess.to_json(),
            "candidate": self.candidate.to_json(),
            "pending": {
                str(epoch): [*pair_to_json(waiting.pair), waiting.seconds]
                for epoch, waiting in sorted(self.pending.items())
            },
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls(
            difference=ConfidenceSequence.from_json(data["difference"]),
            excess=ConfidenceSequence.from_json(data["excess"]),
            candidate=RateHistory.from_json(data["candidate"]),
            pending={
                int(epoch): Pending(pair=pair_from_json(waiting[:2]), seconds=float(waiting[2]))
                for epoch, waiting in data["pending"].items()
            },
        )


def pair_to_json(pair: Pair) -> list[list[float]]:
    """Return [[total, bad] of stable, the same of the candidate]."""
    return [pair.stable.to_json(), pair.candidate.to_json()]


def pair_from_json(data: Any) -> Pair:
    """Read what `pair_to_json` returned."""
    stable, candidate = data
    return Pair(stable=Counts.from_json(stable), candidate=Counts.from_json(candidate))
