"""Prometheus metrics of the feedback service: those that decide rollouts, and those that are shown beside them."""

from typing import Final

PREDICTIONS_TOTAL: Final = "claims_predictions_total"
"""Counter of predictions stored, by `STRATUM_LABELS` and ``decision`` (or ``number``); without those of testers."""

OUTCOMES_TOTAL: Final = "claims_outcomes_total"
"""Counter of first outcomes that are evidence, by `STRATUM_LABELS` and ``result`` (tp, fp, tn, fn)."""

REPRESENTATIVE_OUTCOMES_TOTAL: Final = "claims_representative_outcomes_total"
"""Counter of first outcomes by which a random sample of all predictions can be judged, by `STRATUM_LABELS` and
``result``: those of an audit, and those that are left of outcomes with a known propensity. They are in `OUTCOMES_TOTAL`
too, where another outcome of the prediction may have been the first."""

RELATIVE_ERROR: Final = "claims_relative_error"
"""Histogram of |predicted - actual| / |actual| of numeric predictions with a first outcome that is evidence, by
`STRATUM_LABELS`; it takes the place of `OUTCOMES_TOTAL` for models that return a number."""

REPRESENTATIVE_RELATIVE_ERROR: Final = "claims_representative_relative_error"
"""The same of first outcomes by which a random sample can be judged, as `REPRESENTATIVE_OUTCOMES_TOTAL`."""

RELATIVE_ERROR_EDGES: Final = ("0.01", "0.02", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.5", "1")
"""Upper edges of their buckets, inclusive, and so the tolerances that can be asked for."""

CORRECTIONS_TOTAL: Final = "claims_outcome_corrections_total"
"""Counter of later outcomes that differ from the first, by `STRATUM_LABELS`. They change no other total."""

COHORT_REPEATS_TOTAL: Final = "claims_cohort_repeat_outcomes_total"
"""Counter of first outcomes that are no evidence, since their cohort had given some, by `STRATUM_LABELS`. With
`OUTCOMES_TOTAL` it makes all outcomes; their share of `PREDICTIONS_TOTAL` is the share labelled."""

TESTER_PREDICTIONS_TOTAL: Final = "claims_tester_predictions_total"
"""Counter of predictions for testers, by `STRATUM_LABELS`; they are in no other metric."""

TESTER_OUTCOMES_TOTAL: Final = "claims_tester_outcomes_total"
"""Counter of first outcomes of predictions for testers, by `STRATUM_LABELS`."""

SCORES: Final = "claims_prediction_score"
"""Histogram of the scores of predictions, by `REVISION_LABELS`."""

LABEL_DELAY: Final = "claims_label_delay_seconds"
"""Histogram of the time from when a prediction was served to when its first outcome came, by `REVISION_LABELS`."""

REVISION_LABELS: Final = ("model_namespace", "model_name", "revision")

STRATUM_LABELS: Final = ("model_namespace", "model_name", "revision", "attempt", "epoch")

RESULTS: Final = ("tp", "fp", "tn", "fn")
