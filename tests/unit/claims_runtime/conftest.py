from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.claims_runtime import packages
from unit.claims_runtime.feedback_server import FeedbackServer
from unit.claims_runtime.runtime_process import RuntimeProcess


@pytest.fixture(scope="session")
def sklearn_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.write_sklearn_package(tmp_path_factory.mktemp("sklearn") / "models")


@pytest.fixture(scope="session")
def slow_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose answer to one claim takes most of a second of computing."""
    return packages.write_sklearn_package(tmp_path_factory.mktemp("slow") / "models", repeats=400)


@pytest.fixture(scope="session")
def xgboost_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.write_xgboost_package(tmp_path_factory.mktemp("xgboost") / "models")


@pytest.fixture(scope="session")
def feedback() -> Iterator[FeedbackServer]:
    with FeedbackServer() as server:
        yield server


@pytest.fixture(scope="session")
def runtime(
    sklearn_package: Path, feedback: FeedbackServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuntimeProcess]:
    """A runtime that serves the random forest and reports to ``feedback``; tests share it."""
    log_file = tmp_path_factory.mktemp("runtime") / "log"
    with RuntimeProcess(sklearn_package, log_file, CLAIMS_FEEDBACK_URL=feedback.url) as process:
        yield process
