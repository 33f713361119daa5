"""The SQL of `store` and `reader`; ``{asked}`` is explained in `database`."""

from typing import Final

STORED_PREDICTIONS: Final = """
    SELECT prediction.id, request_id, row, revision_id
    FROM {asked} LEFT JOIN prediction ON request_id = column1 AND row = column2 AND revision_id = column3
"""

FIRSTS_OF_CLAIMS: Final = """
    SELECT prediction.id, claim_id, stratum_id, is_tester
    FROM {asked} LEFT JOIN prediction
        ON claim_id = column1 AND stratum_id = column2 AND is_tester = column3 AND is_first_of_claim = 1
"""

OUTCOMES_OF_CLAIMS: Final = """
    SELECT outcome.id, outcome.id, claim_id, model_id, outcome, value, is_representative,
        coalesce(received_at_ms, observed_at_ms)
    FROM {asked} LEFT JOIN outcome ON claim_id = column1 AND model_id = column2
"""

OUTCOMES_OF_ROWS: Final = """
    SELECT outcome.id, outcome.id, request_id, row, model_id, outcome, value, is_representative,
        coalesce(received_at_ms, observed_at_ms)
    FROM {asked} LEFT JOIN outcome ON request_id = column1 AND row = column2 AND model_id = column3
"""

CANDIDATE_COLUMNS: Final = (
    "prediction.id",
    "stratum_id",
    "revision_id",
    "decision",
    "prediction.value",
    "cohort",
    "is_tester",
    "served_at_ms",
    "outcome",
    "actual",
    "corrected",
    "is_repeat",
    "is_sampled",
)

PREDICTIONS_OF_CLAIMS: Final = f"""
    SELECT revision.id, claim_id, model_id, {", ".join(CANDIDATE_COLUMNS)}
    FROM {{asked}} LEFT JOIN prediction ON claim_id = column1 AND is_first_of_claim = 1
        LEFT JOIN revision ON revision.id = revision_id AND model_id = column2
    ORDER BY prediction.id
"""  # noqa: S608

PREDICTIONS_OF_ROWS: Final = f"""
    SELECT revision.id, request_id, row, model_id, {", ".join(CANDIDATE_COLUMNS)}
    FROM {{asked}} LEFT JOIN prediction ON request_id = column1 AND row = column2
        LEFT JOIN revision ON revision.id = revision_id AND model_id = column3
    ORDER BY prediction.id
"""  # noqa: S608

COHORTS_WITH_EVIDENCE: Final = """
    SELECT cohort.id, stratum_id, token FROM {asked} LEFT JOIN cohort ON stratum_id = column1 AND token = column2
"""

ERASED: Final = """
    SELECT model_id, model_id, token FROM {asked} LEFT JOIN erased ON model_id = column1 AND token = column2
"""

INSERT_PREDICTION: Final = """
    INSERT INTO prediction (
        revision_id, stratum_id, request_id, row, claim_id, is_first_of_claim, decision, score, value, served_at_ms,
        cohort, is_tester, received_at_ms, outcome, actual, corrected, is_repeat, is_sampled
    )
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

INSERT_OUTCOME: Final = """
    INSERT INTO outcome (
        model_id, claim_id, request_id, row, outcome, value, is_representative, observed_at_ms, received_at_ms
    )
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

UPDATE_LABEL: Final = """
    UPDATE prediction SET outcome = ?, actual = ?, corrected = ?, is_repeat = ?, is_sampled = ? WHERE id = ?
"""

INSERT_COHORT: Final = "INSERT INTO cohort (stratum_id, token, received_at_ms) VALUES (?, ?, ?)"

ADD_OBSERVATIONS: Final = """
    INSERT INTO histogram (revision_id, metric, bucket, observations, total) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (revision_id, metric, bucket)
    DO UPDATE SET
        observations = histogram.observations + excluded.observations, total = histogram.total + excluded.total
"""

OF_CLAIM: Final = "claim_id = ? AND model_id = ? AND revision.id = revision_id"
PREDICTION_IDS_OF_CLAIM: Final = f"""
    SELECT prediction.id, request_id, row FROM prediction CROSS JOIN revision
    WHERE is_first_of_claim = 1 AND {OF_CLAIM}
    UNION ALL
    SELECT prediction.id, request_id, row FROM prediction CROSS JOIN revision
    WHERE is_first_of_claim = 0 AND claim_id IS NOT NULL AND {OF_CLAIM}
"""  # noqa: S608

DELETE_PREDICTION: Final = "DELETE FROM prediction WHERE id = ?"
DELETE_OUTCOMES_OF_CLAIM: Final = "DELETE FROM outcome WHERE claim_id = ? AND model_id = ?"
DELETE_OUTCOMES_OF_ROW: Final = "DELETE FROM outcome WHERE request_id = ? AND row = ? AND model_id = ?"
INSERT_ERASED: Final = """
    INSERT INTO erased (model_id, token, erased_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
"""

SELECT_TOTALS: Final = """
    SELECT namespace, model.name, revision.name, attempt, epoch, refer, settle, numbers, tp, fp, tn, fn, corrections,
        cohort_repeats, tester_predictions, tester_outcomes, sample_tp, sample_fp, sample_tn, sample_fn
    FROM stratum JOIN revision ON revision.id = revision_id JOIN model ON model.id = model_id
    WHERE namespace = coalesce(CAST(? AS TEXT), namespace) AND model.name = coalesce(CAST(? AS TEXT), model.name)
    ORDER BY namespace, model.name, stratum.id
"""

ADD_RELATIVE_ERRORS: Final = """
    INSERT INTO relative_error (stratum_id, is_sample, bucket, observations) VALUES (?, ?, ?, ?)
    ON CONFLICT (stratum_id, is_sample, bucket)
    DO UPDATE SET observations = relative_error.observations + excluded.observations
"""

SELECT_RELATIVE_ERRORS: Final = """
    SELECT namespace, model.name, revision.name, attempt, epoch, bucket, observations
    FROM relative_error JOIN stratum ON stratum.id = stratum_id JOIN revision ON revision.id = revision_id
        JOIN model ON model.id = model_id
    WHERE is_sample = ?
    ORDER BY namespace, model.name, stratum.id, bucket
"""

SELECT_HISTOGRAMS: Final = """
    SELECT namespace, model.name, revision.name, bucket, observations, total
    FROM histogram JOIN revision ON revision.id = revision_id JOIN model ON model.id = model_id
    WHERE metric = ?
    ORDER BY namespace, model.name, revision.id, bucket
"""

EXPORT_PREDICTION: Final = """
    SELECT revision.name, attempt, epoch, request_id, row, decision, score, value, served_at_ms, received_at_ms,
        outcome, actual, corrected, is_repeat, is_tester, is_sampled, cohort
    FROM prediction JOIN revision ON revision.id = prediction.revision_id JOIN stratum ON stratum.id = stratum_id
    WHERE prediction.id = ?
"""

EXPORT_OUTCOMES_OF_CLAIM: Final = """
    SELECT id, request_id, row, outcome, value, is_representative, observed_at_ms, received_at_ms FROM outcome
    WHERE claim_id = ? AND model_id = ? ORDER BY id
"""

EXPORT_OUTCOMES_OF_ROW: Final = """
    SELECT id, request_id, row, outcome, value, is_representative, observed_at_ms, received_at_ms FROM outcome
    WHERE request_id = ? AND row = ? AND model_id = ? ORDER BY id
"""
