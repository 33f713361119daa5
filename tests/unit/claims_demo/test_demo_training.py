"""The Job's last line of JSON says what was registered, whatever else its pod printed."""

import json

import pytest

from claims_demo import training

RESULT = {"name": "claim-risk", "uri": "models:/claim-risk/7", "metrics": {"accuracy": 0.91}}


def test_the_result_is_found_among_other_lines() -> None:
    log = f"reading claims\n{json.dumps(RESULT)}\nINFO done\n"

    assert training.read_result(log) == training.Trained(uri="models:/claim-risk/7", accuracy=0.91)


def test_a_log_without_a_result_is_shown() -> None:
    with pytest.raises(training.NoResultError, match="Killed"):
        training.read_result("reading claims\nKilled\n")
