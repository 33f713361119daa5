from collections.abc import Iterator

import pytest
from unit.claims_feedback import postgres_server
from unit.claims_feedback.feedback_process import Running, running
from unit.claims_feedback.postgres_server import PostgresServer
from unit.claims_feedback.shaky_proxy import Shaky
from unit.claims_feedback.stores import Databases


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that the tests of a module share; each test uses a model of its own."""
    with running(tmp_path_factory.mktemp("feedback")) as started:
        yield started


@pytest.fixture
def shaky(service: Running) -> Iterator[Shaky]:
    """A proxy before that service."""
    with Shaky(service) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that nobody stops; each test uses a database of its own."""
    with postgres_server.started() as started:
        yield started


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """What makes databases of each kind."""
    server = request.getfixturevalue("server") if request.param == "postgres" else None
    return Databases(tmp_path_factory.mktemp("databases"), server)
