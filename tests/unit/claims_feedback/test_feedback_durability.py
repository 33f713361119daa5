"""What was acknowledged stays: through kill -9, restarts, and disks that are full, locked or refusing."""

import contextlib
import datetime as dt
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from unit.claims_feedback.feedback_process import Running, environment, event, outcome, running

Batch = list[dict[str, Any]]


def batch_of(name: str, size: int = 20, **changes: Any) -> Batch:
    return [event(f"{name}-{n}", claimId=f"{name}-{n}", **changes) for n in range(size)]


def summed(service: Running) -> Counter[str]:
    """Return the totals of all strata together."""
    totals: Counter[str] = Counter()
    for stratum in service.totals():
        totals.update(stratum["predictions"])
        totals.update(stratum["outcomes"])
    return totals


def metrics_of(service: Running) -> str:
    return service.client.get("/metrics").text


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Load:
    """Four senders, each with a new batch and the outcomes of its claims, again and again until the service dies."""

    def __init__(self, service: Running, name: str) -> None:
        self.tried: list[Batch] = []
        self.acknowledged: list[Batch] = []
        self._service = service
        self._threads = [threading.Thread(target=self._send, args=(f"{name}-{number}",)) for number in range(4)]

    def kill_in_the_middle(self) -> None:
        """Send until some batches were acknowledged, and kill the service with others under way."""
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.acknowledged) >= 40)
        self._service.kill()
        for thread in self._threads:
            thread.join()

    def _send(self, name: str) -> None:
        with contextlib.suppress(httpx.TransportError):
            for number in range(100_000):
                batch = batch_of(f"{name}-{number}")
                self.tried.append(batch)
                assert self._service.post_events(batch).status_code == 200
                assert self._service.post_outcomes(outcomes_of(batch)).status_code == 200
                self.acknowledged.append(batch)


def outcomes_of(batch: Batch) -> list[dict[str, Any]]:
    return [outcome("positive", claimId=each["data"]["claimId"]) for each in batch]


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_kill_9_under_load_loses_nothing_acknowledged_and_counts_nothing_twice(tmp_path: Path, rounds: int) -> None:
    tried = 0
    for number in range(rounds):
        with running(tmp_path) as service:
            load = Load(service, f"round-{number}")
            load.kill_in_the_middle()
        with running(tmp_path) as service:
            found = summed(service)
            acknowledged = 20 * (tried + len(load.acknowledged))
            assert min(found["refer"], found["tp"]) >= acknowledged
            for batch in load.acknowledged:
                assert service.post_events(batch).json()["duplicates"] == 20
                assert service.post_outcomes(outcomes_of(batch)).json()["duplicates"] == 20
            for batch in load.tried:  # Senders that got no answer send again.
                service.post_events(batch)
                service.post_outcomes(outcomes_of(batch))
            tried += len(load.tried)
            assert summed(service) == Counter(refer=20 * tried, tp=20 * tried)


def test_sigterm_answers_what_is_under_way_and_keeps_it(tmp_path: Path) -> None:
    with running(tmp_path) as service, holding_lock(tmp_path) as release:
        answers: list[httpx.Response] = []
        sender = threading.Thread(target=lambda: answers.append(service.post_events(batch_of("late"))))
        sender.start()
        wait_until(lambda: "claims_feedback_queue_rows 20.0" in metrics_of(service))
        threading.Timer(0.5, release).start()
        status = service.terminate()
        sender.join()
    assert (status, [answer.status_code for answer in answers]) == (0, [200])
    with running(tmp_path) as service:
        assert summed(service)["refer"] == 20


@contextlib.contextmanager
def holding_lock(folder: Path) -> Iterator[Callable[[], object]]:
    """Hold the database's write lock, as a careless backup does, until what is given is called."""
    with contextlib.closing(
        sqlite3.connect(folder / "feedback.db", isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        yield lambda: other.execute("ROLLBACK")


def test_a_locked_database_is_answered_503_and_nothing_is_half_written(tmp_path: Path) -> None:
    with running(tmp_path, database_busy_timeout_seconds="0.2") as service:
        service.post_events(batch_of("before"))
        with holding_lock(tmp_path) as release:
            locked = service.post_events(batch_of("locked"))
            assert (locked.status_code, locked.headers["retry-after"]) == (503, "5")
            assert "locked" in locked.json()["error"]
            assert summed(service)["refer"] == 20
            release()
        assert service.post_events(batch_of("locked")).json()["duplicates"] == 0
        assert 'claims_feedback_refused_total{endpoint="/v1/events",reason="database"} 1.0' in metrics_of(service)


def post_until_refused(service: Running) -> int:
    """Return how many batches were taken before the first that was not."""
    for number in range(2_000):
        answer = service.post_events(batch_of(f"filling-{number}", size=100))
        if answer.status_code != 200:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["error"].endswith("nothing was stored. Send it again.")
            return number
    pytest.fail("The database never became full.")


def test_a_database_at_its_size_limit_says_so_and_goes_on_when_it_is_raised(tmp_path: Path) -> None:
    with running(tmp_path, database_max_bytes="400000") as service:
        taken = post_until_refused(service)
        assert summed(service)["refer"] == 100 * taken
        assert [service.client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
    with running(tmp_path, database_max_bytes="800000") as service:
        again = service.post_events(batch_of(f"filling-{taken}", size=100))
        assert again.json()["duplicates"] == 0
        assert summed(service)["refer"] == 100 * (taken + 1)


def test_a_disk_that_refuses_to_write_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """The kernel itself refuses: no file of the process may grow beyond a limit, the write-ahead log included."""
    with running(tmp_path, file_max_bytes=300_000) as service:
        taken = post_until_refused(service)
        assert summed(service)["refer"] == 100 * taken
    with running(tmp_path) as service:
        assert summed(service)["refer"] == 100 * taken
        assert service.post_events(batch_of(f"filling-{taken}", size=100)).json()["duplicates"] == 0


def test_old_rows_are_deleted_while_events_are_taken(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        for number in range(30):
            service.post_events(batch_of(f"old-{number}", size=100))
            service.post_outcomes(outcomes_of(batch_of(f"old-{number}", size=100)))
    with contextlib.closing(sqlite3.connect(tmp_path / "feedback.db")) as connection, connection:
        for table in ("prediction", "outcome"):
            connection.execute(f"UPDATE {table} SET received_at_ms = received_at_ms - 400 * 86400000")  # noqa: S608
    now = dt.datetime.now(dt.UTC).isoformat()
    with running(tmp_path, retention_days="365") as service:
        taken = [service.post_events([event(f"new-{n}", claimId=f"new-{n}") | {"time": now}]) for n in range(50)]
        wait_until(lambda: rows_of(tmp_path, "prediction") == 50 and rows_of(tmp_path, "outcome") == 0)
        assert {answer.status_code for answer in taken} == {200}
        assert (summed(service)["refer"], summed(service)["tp"]) == (3_050, 3_000)
        refused = service.post_events(
            [event("new") | {"time": now}, event("too-old") | {"time": "2020-01-01T00:00:00Z"}]
        )
        assert (refused.status_code, refused.json()["problems"][0]["where"]) == (400, "[1].time")
        assert "last 365 days" in refused.json()["problems"][0]["what"]


def rows_of(folder: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(folder / "feedback.db")) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(number)


def test_totals_are_there_from_the_first_scrape_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.post_events(batch_of("kept", decision="settle"))
        before = [line for line in metrics_of(service).splitlines() if line.startswith("claims_predictions_total")]
        service.terminate()
    with running(tmp_path) as service:
        after = [line for line in metrics_of(service).splitlines() if line.startswith("claims_predictions_total")]
    assert len(after) == 2
    assert after == before


def test_too_much_at_once_is_answered_503_at_once(tmp_path: Path) -> None:
    with running(tmp_path, queue_max_rows="20") as service, holding_lock(tmp_path) as release:
        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(service.post_events(batch_of("first"))))
        first.start()
        wait_until(lambda: "claims_feedback_queue_rows 20.0" in metrics_of(service))
        refused = service.post_events(batch_of("second"))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        release()
        first.join()
        assert [answer.status_code for answer in answers] == [200]


def test_a_token_is_rotated_without_a_restart(tmp_path: Path) -> None:
    told = [outcome("positive", claimId="C1")]
    with running(tmp_path) as service:
        (tmp_path / "token").write_text("a-token-of-tomorrow\n")
        assert service.post_outcomes(told).status_code == 403
        assert service.post_outcomes(told, authorization="Bearer a-token-of-tomorrow").status_code == 200
        (tmp_path / "token").unlink()
        assert service.post_outcomes(told).status_code == 503


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param({"token_file": "/nowhere/token"}, "CLAIMS_FEEDBACK_TOKEN_FILE", id="no-token-file"),
        pytest.param({"token_file": "/dev/null"}, "at least 16 characters", id="an-empty-token-file"),
        pytest.param({"database": "/nowhere/feedback.db"}, "/nowhere/feedback.db", id="no-folder-for-the-database"),
        pytest.param({"database": "mysql://u:word@h/d"}, "postgresql://user@host:5432/", id="another-kind-of-database"),
        pytest.param({"database": "postgresql://u:wo rd@h:x/d"}, "CLAIMS_FEEDBACK_DATABASE", id="a-url-that-is-none"),
        pytest.param(
            {"database": "postgresql://u@127.0.0.1:1/d"}, "the PostgreSQL database d on 127.0.0.1", id="nobody-there"
        ),
        pytest.param(
            {"database": "postgresql://u@h/d", "database_max_bytes": "1"}, "of SQLite only", id="a-limit-for-postgresql"
        ),
        pytest.param({"identifiers": "dropped"}, "CLAIMS_FEEDBACK_IDENTIFIERS", id="an-unknown-form-of-identifiers"),
        pytest.param({"hash_key_file": "/dev/null"}, "at least 16 bytes", id="an-empty-key"),
        pytest.param({"retention_days": "-1"}, "CLAIMS_FEEDBACK_RETENTION_DAYS", id="deletion-before-arrival"),
        pytest.param({"listen_port": "http"}, "CLAIMS_FEEDBACK_LISTEN_PORT", id="a-port-that-is-no-number"),
        pytest.param({"body_max_bytes": "0"}, "CLAIMS_FEEDBACK_BODY_MAX_BYTES", id="a-body-of-nothing"),
    ],
)
def test_what_cannot_work_does_not_start(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    said = failed_start(tmp_path, **settings)
    assert sentence in said
    assert "word@" not in said


def failed_start(folder: Path, **settings: str) -> str:
    """Return the one line that the service says when it does not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "claims_feedback"],
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    return ended.stderr
