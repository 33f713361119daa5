import math

import numpy as np
import pytest
from unit.claims_runtime import packages

from claims_runtime import answers, schema
from claims_runtime.errors import InvalidScore

SCHEMA = schema.parse(packages.SCHEMA)


def test_thresholds_belong_to_the_higher_side() -> None:
    judged = answers.judge(np.array([0.0, 0.29, 0.3, 0.5, 0.69, 0.7, 1.0]), SCHEMA)
    assert judged.levels == ("low", "low", "medium", "medium", "medium", "high", "high")
    assert judged.decisions == ("settle", "settle", "settle", "refer", "refer", "refer", "refer")
    assert judged.confidences.tolist() == pytest.approx([1.0, 0.71, 0.7, 0.5, 0.69, 0.7, 1.0])


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.01, 1.01])
def test_a_score_that_is_no_probability_is_the_models_fault(score: float) -> None:
    with pytest.raises(InvalidScore, match="score of row 1 is") as caught:
        answers.judge(np.array([0.5, score]), SCHEMA)
    assert caught.value.status_code == 500
