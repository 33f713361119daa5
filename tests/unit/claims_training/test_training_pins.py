"""What trains, what unpickles and what keeps models must agree on versions."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[3]


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s\\]+)", (ROOT / lock).read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["scikit-learn", "xgboost", "numpy", "scipy", "pandas", "joblib"])
def test_a_model_is_loaded_by_the_version_that_wrote_it(name: str) -> None:
    assert pins("training/requirements.lock")[name] == pins("runtimes/tabular/requirements.lock")[name]


def test_the_client_and_the_tested_server_are_those_of_the_images() -> None:
    tested = pins("training/requirements-test.lock")

    assert tested["mlflow"] == pins("runtimes/mlflow/requirements.lock")["mlflow"]
    assert tested["mlflow-skinny"] == pins("training/requirements.lock")["mlflow-skinny"]
