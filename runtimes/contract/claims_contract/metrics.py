"""Prometheus metrics of the feedback service that decide rollouts."""

from typing import Final

PREDICTIONS_TOTAL: Final = "claims_predictions_total"
"""Counter of predictions stored, by `STRATUM_LABELS` and ``decision``."""

OUTCOMES_TOTAL: Final = "claims_outcomes_total"
"""Counter of first outcomes joined to a prediction, by `STRATUM_LABELS` and ``result`` (tp, fp, tn, fn)."""

CORRECTIONS_TOTAL: Final = "claims_outcome_corrections_total"
"""Counter of later outcomes that differ from the first, by `STRATUM_LABELS`. They change no other total."""

STRATUM_LABELS: Final = ("model_namespace", "model_name", "revision", "attempt", "epoch")

RESULTS: Final = ("tp", "fp", "tn", "fn")
