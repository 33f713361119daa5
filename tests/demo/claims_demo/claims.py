"""An endless stream of generated claims. What each claim turns out to be is known here, and told to nobody early."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from claims_training import generator

CHUNK = 2000
"""Claims generated at once: a few milliseconds of work, so that the traffic keeps its pace."""


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """One claim as a client sees it, and its outcome as only time will tell it."""

    identifier: str
    features: Mapping[str, float | str]
    """By column: text for a category, NaN for a number that is not known."""
    positive: bool


def batches(*, seed: int, start: int, rows: int, run: str) -> Iterator[Sequence[Claim]]:
    """Yield claims, ``rows`` at a time, from number ``start`` of the seed's sequence on.

    The identifiers begin with ``run``: the feedback service knows the claims of earlier runs, and counts a claim once.
    """
    pool: list[Claim] = []
    while True:
        while len(pool) < rows:
            pool.extend(_generate(seed=seed, start=start, run=run))
            start += CHUNK
        yield pool[:rows]
        del pool[:rows]


def _generate(*, seed: int, start: int, run: str) -> Iterator[Claim]:
    generated = generator.generate(rows=CHUNK, seed=seed, start=start)
    columns = {
        name: ["unknown" if value is None else value for value in values.tolist()]
        for name, values in generated.columns.items()
    }
    for row, (identifier, outcome) in enumerate(zip(generated.claim_ids, generated.outcomes.tolist(), strict=True)):
        features = {name: values[row] for name, values in columns.items()}
        yield Claim(f"{run}-{identifier}", features, bool(outcome))
