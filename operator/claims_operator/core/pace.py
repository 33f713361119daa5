"""How fast observations come in."""

from dataclasses import dataclass
from typing import Any, Final, Self

from claims_sequential import Pair

FORGETTING: Final = 3.0
"""An observation from the time ``t`` after the first counts ``(t / now) ** FORGETTING``: the last quarter of the time
has most of the weight, whether it is minutes or weeks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Observations of each arm per second, of late. Steers no test, only what is said about the time they take."""

    epoch: int | None = None
    """Whose pace it is; None where epochs do not matter."""
    since: float = 0.0
    """Start and end of what it saw, in seconds since 1970; 0 before the first look."""
    until: float = 0.0
    seconds: float = 0.0
    stable: float = 0.0
    candidate: float = 0.0

    def after(self, batch: Pair, at: float, epoch: int | None) -> "Pace":
        """Return the pace after one look at ``at``; a new epoch starts anew, with its own weights."""
        if not self.since or epoch != self.epoch:
            return Pace(epoch=epoch, since=at, until=at)
        if at <= self.until:
            return self
        kept = ((self.until - self.since) / (at - self.since)) ** FORGETTING
        return Pace(
            epoch=epoch,
            since=self.since,
            until=at,
            seconds=kept * self.seconds + at - self.until,
            stable=kept * self.stable + batch.stable.total,
            candidate=kept * self.candidate + batch.candidate.total,
        )

    @property
    def stable_per_second(self) -> float:
        """0 where nothing is known."""
        return self.stable / self.seconds if self.seconds else 0.0

    @property
    def candidate_per_second(self) -> float:
        """0 where nothing is known."""
        return self.candidate / self.seconds if self.seconds else 0.0

    def to_json(self) -> list[Any]:
        """Return the fields in order."""
        return [self.epoch, self.since, self.until, self.seconds, self.stable, self.candidate]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        epoch, since, until, seconds, stable, candidate = data
        return cls(
            epoch=None if epoch is None else int(epoch),
            since=float(since),
            until=float(until),
            seconds=float(seconds),
            stable=float(stable),
            candidate=float(candidate),
        )
