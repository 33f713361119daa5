"""Held-out rows, and how well a model does on them."""

import dataclasses
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics

from claims_training import models, schema

HELD_OUT_SHARE: Final = 0.2
"""Of all rows; they are never trained on."""

TARGETS: Final = {"accuracy": 0.85, "precision": 0.90, "recall": 0.80, "f1": 0.85, "roc_auc": 0.88}
"""What a model of generated claims should reach on held-out rows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Rows to learn from and rows to be judged by; no claim is in both."""

    training: pd.DataFrame
    held_out: pd.DataFrame


def split(frame: pd.DataFrame, order: Literal["time", "random"], seed: int) -> Split:
    """Hold out the last `HELD_OUT_SHARE` of a table that is sorted by time, or a seeded random choice of it."""
    rows = np.arange(len(frame))
    if order == "random":
        rows = np.random.default_rng(seed).permutation(rows)
    border = len(frame) - round(len(frame) * HELD_OUT_SHARE)
    return Split(training=frame.iloc[np.sort(rows[:border])], held_out=frame.iloc[np.sort(rows[border:])])


def evaluate(model: models.Model, held_out: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Return the metrics of ``model`` on rows it never saw, rounded to six digits.

    A row is decided positive where its score is at least ``threshold``. ``accuracy_ceiling`` is there for generated
    tables only: what the true probabilities themselves would reach on the same rows, on average. ROC-AUC is left out
    where the rows hold one outcome only.
    """
    outcomes = held_out[schema.OUTCOME].to_numpy()
    scores = model.score(held_out)
    decided = scores >= threshold
    found: dict[str, float] = {
        "accuracy": float(metrics.accuracy_score(outcomes, decided)),
        "precision": float(metrics.precision_score(outcomes, decided, zero_division=0.0)),
        "recall": float(metrics.recall_score(outcomes, decided, zero_division=0.0)),
        "f1": float(metrics.f1_score(outcomes, decided, zero_division=0.0)),
        "brier": float(np.mean((scores - outcomes) ** 2)),
        "held_out_rows": float(len(held_out)),
        "positive_share": float(outcomes.mean()),
    }
    if len(np.unique(outcomes)) == 2:
        found["roc_auc"] = float(metrics.roc_auc_score(outcomes, scores))
    if schema.TRUE_PROBABILITY in held_out:
        probabilities = held_out[schema.TRUE_PROBABILITY].to_numpy()
        found["accuracy_ceiling"] = float(np.maximum(probabilities, 1 - probabilities).mean())
    found |= _accuracy_per_line(held_out["line"].to_numpy(), decided == outcomes)
    return {name: round(value, 6) for name, value in found.items()}


def _accuracy_per_line(lines: npt.NDArray[np.object_], right: npt.NDArray[np.bool_]) -> dict[str, float]:
    return {f"accuracy_{line}": float(right[lines == line].mean()) for line in schema.LINES if (lines == line).any()}
