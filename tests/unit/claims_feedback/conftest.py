from collections.abc import Iterator

import pytest
from unit.claims_feedback.feedback_process import Running, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that the tests of a module share; each test uses a model of its own."""
    with running(tmp_path_factory.mktemp("feedback")) as started:
        yield started
