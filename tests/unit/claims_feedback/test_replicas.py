"""Replicas over one PostgreSQL server: what they store at the same time, and what they do while it is away."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.claims_feedback import postgres_server
from unit.claims_feedback.feedback_process import Running, event, outcome, running
from unit.claims_feedback.postgres_server import PostgresServer
from unit.claims_feedback.test_feedback_durability import Load, batch_of, failed_start, outcomes_of, summed

Batch = list[dict[str, Any]]


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server for a test that stops it."""
    with postgres_server.started() as started:
        yield started


def settings_of(server: PostgresServer) -> dict[str, str]:
    return {"database": server.create_database(), "database_password_file": str(server.password_file)}


@contextlib.contextmanager
def replica(folder: Path, settings: dict[str, str]) -> Iterator[Running]:
    folder.mkdir(exist_ok=True)
    with running(folder, **settings) as started:
        yield started


def shown(service: Running) -> list[str]:
    """Return the totals that Prometheus would scrape."""
    ours = ("claims_predictions", "claims_outcomes", "claims_prediction_score", "claims_cohort", "claims_label_delay")
    return sorted(line for line in service.client.get("/metrics").text.splitlines() if line.startswith(ours))


def at_once(*tasks: Callable[[], None]) -> None:
    """Run the tasks in threads of their own; raise what one of them raised."""
    raised: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def post_all(service: Running, batches: list[Batch], told: list[Batch]) -> None:
    for batch, outcomes in itertools.zip_longest(batches, told):
        if batch:
            assert service.post_events(batch).status_code == 200
        if outcomes:
            assert service.post_outcomes(outcomes).status_code == 200


def test_two_replicas_under_load_count_everything_once(tmp_path: Path, server: PostgresServer) -> None:
    """Every event goes to both replicas, and so does every outcome, in other orders and at the same time."""
    batches: list[Batch] = []
    for number in range(30):
        batch = batch_of(f"b{number}", revision=("a1", "b2")[number % 2])
        batches.append(
            [each | {"data": each["data"] | {"cohort": f"K{n // 2}-{number}"}} for n, each in enumerate(batch)]
        )
    told = [outcomes_of(batch) for batch in batches]
    contrary = [[item | {"outcome": "negative"} for item in items] for items in told]
    named = settings_of(server)
    with replica(tmp_path / "one", named) as one, replica(tmp_path / "two", named) as two:
        at_once(
            lambda: post_all(one, batches, told[::-1]),
            lambda: post_all(two, batches[::-1], told),
            lambda: post_all(one, [batch[::-1] for batch in batches[10:]], []),
            lambda: post_all(two, batches[:20], told[5:]),
        )
        evidence = {"tp": 300}
        assert summed(one) == {"refer": 600, "settle": 0, "fp": 0, "tn": 0, "fn": 0} | evidence
        at_once(lambda: post_all(one, [], contrary), lambda: post_all(two, [], contrary[::-1]))
        assert summed(one) == summed(two)
        assert sum(each["corrections"] for each in one.totals()) == 300
        assert shown(one) == shown(two)
        repeats = [line for line in shown(one) if line.startswith("claims_cohort_repeat_outcomes_total{")]
        assert sum(float(line.rpartition(" ")[2]) for line in repeats) == 300
        assert one.post_events(batches[0]).json()["duplicates"] == 20


def test_an_outcome_and_its_prediction_that_meet_at_two_replicas_are_joined(
    tmp_path: Path, server: PostgresServer
) -> None:
    named = settings_of(server)
    with replica(tmp_path / "one", named) as one, replica(tmp_path / "two", named) as two:
        for number in range(60):
            sent = [event(f"r{number}", claimId=f"C{number}")]
            told = [outcome("positive", claimId=f"C{number}")]
            at_once(lambda sent=sent: post_all(one, [sent], []), lambda told=told: post_all(two, [], [told]))
        assert summed(one)["tp"] == summed(two)["tp"] == 60


def test_a_server_that_is_away_is_answered_503_until_it_is_back(tmp_path: Path, own_server: PostgresServer) -> None:
    with running(tmp_path, **settings_of(own_server)) as service:
        assert service.post_events(batch_of("before")).status_code == 200
        own_server.stop()
        away = service.post_events(batch_of("while-away"))
        assert (away.status_code, away.headers["retry-after"]) == (503, "5")
        assert "nothing was stored" in away.json()["error"]
        assert [service.client.get(path).status_code for path in ("/v1/totals", "/readyz")] == [503, 503]
        assert service.client.get("/healthz").status_code == 200
        own_server.start()
        assert service.post_events(batch_of("while-away")).json()["duplicates"] == 0
        assert service.client.get("/readyz").status_code == 200
        own_server.stop()
        own_server.start()  # With nothing asked meanwhile: the first request finds the new server by itself.
        assert service.post_events(batch_of("before")).json()["duplicates"] == 20
        assert summed(service)["refer"] == 40


def test_what_was_acknowledged_survives_the_servers_crash(tmp_path: Path, own_server: PostgresServer) -> None:
    with running(tmp_path, **settings_of(own_server)) as service:
        assert service.post_events(batch_of("kept")).status_code == 200
        assert service.post_outcomes(outcomes_of(batch_of("kept"))).status_code == 200
        own_server.kill()
        own_server.start()
        assert (summed(service)["refer"], summed(service)["tp"]) == (20, 20)
        assert service.post_events(batch_of("kept")).json()["duplicates"] == 20


def test_a_replica_killed_under_load_loses_nothing_and_counts_nothing_twice(
    tmp_path: Path, server: PostgresServer
) -> None:
    named = settings_of(server)
    with replica(tmp_path / "one", named) as one, replica(tmp_path / "two", named) as two:
        load = Load(one, "killed")
        load.kill_in_the_middle()
        assert min(summed(two)["refer"], summed(two)["tp"]) >= 20 * len(load.acknowledged)
        for batch in load.tried:
            two.post_events(batch)
            two.post_outcomes(outcomes_of(batch))
        found = summed(two)
        assert (found["refer"], found["tp"]) == (20 * len(load.tried), 20 * len(load.tried))


def test_a_locked_or_read_only_database_is_answered_503(tmp_path: Path, server: PostgresServer) -> None:
    named = settings_of(server)
    database = named["database"].rpartition("/")[2]
    with replica(tmp_path, named | {"database_busy_timeout_seconds": "0.2"}) as service:
        with server.connect(database) as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE prediction IN SHARE MODE")
            locked = service.post_events(batch_of("locked"))
            assert (locked.status_code, locked.headers["retry-after"]) == (503, "5")
            assert "lock timeout" in locked.json()["error"]
            other.execute("ROLLBACK")
            assert service.post_events(batch_of("locked")).json()["duplicates"] == 0
            # As after a failover, where what was the primary takes no writes.
            other.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert service.post_events(batch_of("read-only")).status_code == 503
            other.execute("SET default_transaction_read_only = off")
            other.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
        assert service.post_events(batch_of("read-only")).json()["duplicates"] == 0
        assert summed(service)["refer"] == 40


def test_a_wrong_password_is_said_without_it(tmp_path: Path, server: PostgresServer) -> None:
    (tmp_path / "password").write_text("not-the-password")
    named = settings_of(server)
    for settings in (
        named | {"database_password_file": str(tmp_path / "password")},
        {"database": named["database"].replace("postgres@", "postgres:not-the-password@")},
    ):
        said = failed_start(tmp_path, **settings)
        assert "password authentication failed" in said
        assert "not-the-password" not in said
