"""How bursty counts are: the variance of batches over the variance that independent events would have."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

LEVELS: Final = 7
"""Blocks of 1, 2, 4 ... batches are looked at: so many lengths."""

FEWEST_BLOCKS: Final = 12
"""Blocks of more than one batch count once there are so many of their length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Blocks of one length, as sums over the blocks."""

    blocks: int = 0
    weight: float = 0.0
    weighted: float = 0.0
    """Weight times value."""
    squared: float = 0.0
    """Weight times squared value."""
    half: tuple[float, float] | None = None
    """Weight, and weight times value, of the block that waits for its other half, to be a block of the next level."""

    @property
    def dispersion(self) -> float:
        """Residual sum of squares over its degrees of freedom; for at least two blocks."""
        return (self.squared - self.weighted * self.weighted / self.weight) / (self.blocks - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersion:
    """Pearson's dispersion of weighted values: the largest over blocks of one batch, of two, of four and so on.

    Source: McCullagh, Nelder 1989, "Generalized Linear Models", 4.5. Longer blocks are the method of batch means: what
    comes in bursts that outlast a batch varies more from block to block than from batch to batch.
    Assumptions: a batch's weight is one over the variance that its value would have without bursts. The dispersion is
    an estimate; tests that divide by it hold asymptotically only.
    """

    levels: tuple[Level, ...] = ()
    value: float = 1.0
    """At least 1; 1 before the second batch."""

    @classmethod
    def of(cls, levels: Iterable[Level]) -> Self:
        """Return the dispersion of blocks of 1, 2, 4 ... batches."""
        found, value = tuple(levels), 1.0
        for position, level in enumerate(found):
            if level.blocks >= (FEWEST_BLOCKS if position else 2):
                value = max(value, level.dispersion)
        return cls(levels=found, value=value)

    def after(self, weight: float, value: float) -> "Dispersion":
        """Return it with one more batch, of a weight above 0."""
        levels, weighted = list(self.levels), weight * value
        for position in range(LEVELS):
            if position == len(levels):
                levels.append(Level())
            old = levels[position]
            is_first_half = old.half is None
            levels[position] = Level(
                blocks=old.blocks + 1,
                weight=old.weight + weight,
                weighted=old.weighted + weighted,
                squared=old.squared + weighted * weighted / weight,
                half=(weight, weighted) if is_first_half else None,
            )
            if old.half is None:
                break
            weight, weighted = weight + old.half[0], weighted + old.half[1]
        return Dispersion.of(levels)

    def to_json(self) -> list[list[float]]:
        """Return the whole state."""
        return [
            [level.blocks, level.weight, level.weighted, level.squared, *(level.half or ())] for level in self.levels
        ]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls.of(_level_from_json(level) for level in data)


def _level_from_json(data: Any) -> Level:
    blocks, weight, weighted, squared, *half = data
    return Level(
        blocks=int(blocks),
        weight=float(weight),
        weighted=float(weighted),
        squared=float(squared),
        half=(float(half[0]), float(half[1])) if half else None,
    )
