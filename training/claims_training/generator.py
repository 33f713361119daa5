"""Claims that look like real ones, with outcomes whose true probability is known. Needs numpy only.

Claim number ``index`` of a seed is always the same claim, whatever rows are asked for around it: claims are drawn in
blocks, each with a random stream of its own. So a client can send claims and know their outcomes from their ids alone,
and a training table never repeats what another seed serves.

Two kinds of lines behave differently on purpose. In auto, home and life, high amounts, young policies and late reports
are suspicious. In health they are routine; missing documents and many prior claims tell. A model that never saw health
claims is therefore wrong about them, as it would be in life.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from claims_training import schema
from claims_training.errors import InvalidSetting

BLOCK_ROWS: Final = 1024
FIRST_REPORT: Final = np.datetime64("2024-01-01T00:00:00", "s")
SECONDS_BETWEEN_REPORTS: Final = 1800
"""Claim number n is reported n half hours after `FIRST_REPORT`."""

_CLAIM_ID: Final = re.compile(r"claim-(\d{1,18})-(\d{1,12})")
_INTERCEPT: Final = {"auto": -1.2, "home": -1.2, "life": -1.2, "health": -1.6}
_SHARPNESS: Final = 11.0
"""Scales the log odds: the higher, the less chance there is in an outcome, and the higher the best accuracy."""

Columns = Mapping[str, npt.NDArray[np.float64] | npt.NDArray[np.str_]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Line:
    share: float
    amount_median: float
    amount_sigma: float  # Of the logarithm.
    delay_median_days: float
    causes: tuple[str, ...]


_LINES: Final = {
    "auto": _Line(
        share=0.32,
        amount_median=4_000,
        amount_sigma=0.8,
        delay_median_days=4,
        causes=("accident", "theft", "storm", "injury"),
    ),
    "health": _Line(
        share=0.30,
        amount_median=12_000,
        amount_sigma=0.9,
        delay_median_days=30,
        causes=("illness", "injury", "accident"),
    ),
    "home": _Line(
        share=0.25,
        amount_median=7_000,
        amount_sigma=0.9,
        delay_median_days=6,
        causes=("water", "fire", "storm", "theft"),
    ),
    "life": _Line(
        share=0.13, amount_median=40_000, amount_sigma=0.7, delay_median_days=12, causes=("illness", "accident")
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claims:
    """Generated claims, row by row in the order of their numbers.

    ``columns``: `schema.FEATURES` in order, each of shape (n,): float64 for numbers (NaN where unknown), text for
    categories. ``outcomes``: shape (n,), 0 or 1. ``probabilities``: shape (n,), of outcome 1, in [0, 1].
    ``reported_at`` and ``outcome_at``: shape (n,), datetime64[s], UTC.
    """

    claim_ids: list[str]
    columns: Columns
    outcomes: npt.NDArray[np.int8]
    probabilities: npt.NDArray[np.float64]
    reported_at: npt.NDArray[np.datetime64]
    outcome_at: npt.NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.claim_ids)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be dialled. The same settings and the same numbers give the same claims."""

    seed: int
    drift: float = 0.0
    """0 is the world of training; at 1 amounts have grown by 60 %, reports come later, the mix has moved to health and
    a long delay tells less. Between 0 and 1."""
    missing_share: float = 0.0
    """Share of unknown values in each number that is not required. Between 0 and 0.5."""
    label_delay_days: float = 14.0
    """Mean time from report to outcome, in days; exponential, above one day. At least 1."""

    def __post_init__(self) -> None:
        """Refuse what the docstrings exclude."""
        for name, low, high in (
            ("seed", 0, 10**18 - 1),
            ("drift", 0, 1),
            ("missing_share", 0, 0.5),
            ("label_delay_days", 1, 3650),
        ):
            if not low <= getattr(self, name) <= high:
                msg = f"{name} is {getattr(self, name)}; write a number from {low} to {high}"
                raise InvalidSetting(msg)


def generate(
    rows: int,
    seed: int,
    *,
    start: int = 0,
    drift: float = 0.0,
    missing_share: float = 0.0,
    label_delay_days: float = 14.0,
) -> Claims:
    """Return claims number ``start`` to ``start + rows - 1`` of ``seed``; see `Settings` for the rest."""
    if rows < 1 or start < 0 or start + rows > 10**12:
        msg = f"rows is {rows} and start is {start}; write rows of 1 or more, and a start of 0 or more"
        raise InvalidSetting(msg)
    settings = Settings(seed=seed, drift=drift, missing_share=missing_share, label_delay_days=label_delay_days)
    first, last = start // BLOCK_ROWS, (start + rows - 1) // BLOCK_ROWS
    blocks = [_block(settings, number) for number in range(first, last + 1)]
    return _rows(blocks, slice(start - first * BLOCK_ROWS, start - first * BLOCK_ROWS + rows))


def outcomes_of(claim_ids: Sequence[str], *, drift: float = 0.0) -> npt.NDArray[np.int8]:
    """Return the outcome (0 or 1) of each claim, in the order of ``claim_ids``; ids of other makers are refused."""
    outcomes = np.empty(len(claim_ids), dtype=np.int8)
    for row, claim_id in enumerate(claim_ids):
        found = _CLAIM_ID.fullmatch(claim_id)
        if found is None:
            msg = f"{claim_id!r} is not the id of a generated claim: those read claim-<seed>-<number>"
            raise InvalidSetting(msg)
        seed, index = int(found[1]), int(found[2])
        block = _block(Settings(seed=seed, drift=drift), index // BLOCK_ROWS)
        outcomes[row] = block.outcomes[index % BLOCK_ROWS]
    return outcomes


def _rows(blocks: list[Claims], rows: slice) -> Claims:
    return Claims(
        claim_ids=[claim_id for block in blocks for claim_id in block.claim_ids][rows],
        columns={
            name: np.concatenate([block.columns[name] for block in blocks])[rows] for name in schema.FEATURE_NAMES
        },
        outcomes=np.concatenate([block.outcomes for block in blocks])[rows],
        probabilities=np.concatenate([block.probabilities for block in blocks])[rows],
        reported_at=np.concatenate([block.reported_at for block in blocks])[rows],
        outcome_at=np.concatenate([block.outcome_at for block in blocks])[rows],
    )


@functools.lru_cache(maxsize=64)
def _block(settings: Settings, number: int) -> Claims:
    """Draw one block. Every draw is made whatever the settings, so that a dial changes values and not the claims."""
    random = np.random.Generator(np.random.PCG64([settings.seed, number]))
    index = np.arange(number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS)
    reported_at = FIRST_REPORT + index * np.timedelta64(SECONDS_BETWEEN_REPORTS, "s")
    columns = _draw_columns(random, reported_at, settings.drift)
    probabilities = _true_probability(columns, settings.drift)
    outcomes = (random.random(BLOCK_ROWS) < probabilities).astype(np.int8)
    days = 1 + random.exponential(1.0, BLOCK_ROWS) * (settings.label_delay_days - 1)
    for feature in schema.NUMBERS:
        # The outcome was drawn before: that a value is unknown to the insurer does not change what happened.
        unknown = random.random(BLOCK_ROWS) < settings.missing_share
        if not feature.required:
            columns[feature.name] = np.where(unknown, np.nan, columns[feature.name])
    return Claims(
        claim_ids=[f"claim-{settings.seed}-{i}" for i in index],
        columns=columns,
        outcomes=outcomes,
        probabilities=probabilities,
        reported_at=reported_at,
        outcome_at=reported_at + (days * 86_400).astype("timedelta64[s]"),
    )


def _draw_columns(
    random: np.random.Generator, reported_at: npt.NDArray[np.datetime64], drift: float
) -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.str_]]:
    n = len(reported_at)
    names = list(_LINES)
    shares = np.array([_LINES[name].share + drift * (0.15 if name == "health" else -0.05) for name in names])
    line = np.asarray(names)[np.searchsorted(np.cumsum(shares)[:-1], random.random(n), side="right")]
    amount = np.exp(_of_line(line, "amount_sigma") * random.standard_normal(n))
    amount *= _of_line(line, "amount_median") * (1 + 0.6 * drift)
    delay = np.floor(_of_line(line, "delay_median_days") * (1 + 0.5 * drift) * np.exp(0.8 * random.standard_normal(n)))
    columns = {
        "line": line,
        "region": random.choice(schema.FEATURES[1].categories, n),
        "season": _season(reported_at - delay.astype("timedelta64[D]")),
        "channel": random.choice(schema.FEATURES[3].categories, n, p=[0.2, 0.35, 0.15, 0.3]),
        "cause": _cause(line, random.random(n)),
        "claim_amount": np.round(np.clip(amount, 50, 2_000_000), 2),
        "policy_limit": np.round(np.clip(amount * np.exp(1.2 + 0.5 * random.standard_normal(n)), 5_000, 9_000_000), -3),
        "policy_age_days": np.floor(np.clip(random.exponential(900, n), 0, 20_000)),
        "claimant_age_years": np.floor(np.clip(random.normal(46, 16, n), 18, 99)),
        "prior_claims": random.poisson(np.where(line == "health", 2.0, 0.8)).astype(np.float64),
        "report_delay_days": np.clip(delay, 0, 1_000),
        "documents_missing": random.poisson(1.0, n).astype(np.float64),
    }
    return {name: columns[name] for name in schema.FEATURE_NAMES}


def _of_line(line: npt.NDArray[np.str_], field: str) -> npt.NDArray[np.float64]:
    values = np.zeros(len(line))
    for name, of_line in _LINES.items():
        values[line == name] = getattr(of_line, field)
    return values


def _cause(line: npt.NDArray[np.str_], uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    cause = np.empty(len(line), dtype="U8")
    for name, of_line in _LINES.items():
        mine = line == name
        cause[mine] = np.asarray(of_line.causes)[(uniform[mine] * len(of_line.causes)).astype(int)]
    return cause


def _season(incident: npt.NDArray[np.datetime64]) -> npt.NDArray[np.str_]:
    month = incident.astype("datetime64[M]").astype(int) % 12  # 0 is January.
    names = np.asarray(["winter", "spring", "summer", "autumn"])
    return names.take((month + 1) // 3 % 4)


def _true_probability(columns: Columns, drift: float) -> npt.NDArray[np.float64]:
    """Return P(outcome = 1), shape (n,): logistic in what an experienced adjuster would look at."""
    line = np.asarray(columns["line"], dtype=np.str_)
    number = {feature.name: np.asarray(columns[feature.name], dtype=np.float64) for feature in schema.NUMBERS}
    size = np.log(number["claim_amount"] / _of_line(line, "amount_median")) / _of_line(line, "amount_sigma")
    late = np.log((1 + number["report_delay_days"]) / (1 + _of_line(line, "delay_median_days"))) * (1 - 0.5 * drift)
    young = np.exp(-number["policy_age_days"] / 250)
    prior = np.minimum(number["prior_claims"], 5)
    documents = np.minimum(number["documents_missing"], 4)
    property_like = (
        0.75 * size
        + 1.6 * young
        + 0.45 * prior
        + 0.35 * late
        + 0.25 * documents
        + 0.5 * (columns["cause"] == "theft") * (columns["season"] == "summer")
        + 0.2 * (columns["channel"] == "web")
    )
    health = 0.75 * documents + 0.45 * prior - 0.35 * size - 0.2 * (columns["channel"] == "agent")
    score = np.where(line == "health", health, property_like)
    score += np.vectorize(_INTERCEPT.__getitem__, otypes=[float])(line)
    return np.asarray(1 / (1 + np.exp(-_SHARPNESS * score)))
