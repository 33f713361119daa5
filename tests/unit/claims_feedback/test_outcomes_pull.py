"""Outcomes from databases, pulled by the command into a real service."""

import json
import secrets
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from unit.claims_feedback.feedback_process import Running
from unit.claims_feedback.outcomes_command import COMMAND, Ended, environment, predicted, results, run
from unit.claims_feedback.postgres_server import PostgresServer
from unit.claims_feedback.shaky_proxy import Shaky

BEGIN = "2025-01-01T00:00:00+00:00"
QUERY = """
    SELECT claim_no AS "claimId", fraud AS outcome, settled AS "observedAt", changed
    FROM settlements WHERE changed > :watermark ORDER BY changed
"""


class Settlements:
    """A table in a PostgreSQL database, and the command that pulls from it."""

    def __init__(self, server: PostgresServer, folder: Path, model: str) -> None:
        self.url = server.create_database()
        self._server = server
        self._folder = folder
        self.model = model
        self.state = folder / "watermark"
        self.ask(QUERY)
        self.execute("CREATE TABLE settlements (claim_no text, fraud boolean, settled date, changed timestamptz)")

    def execute(self, statement: str, *values: object) -> None:
        with self._server.connect(self.url.rpartition("/")[2]) as connection:
            connection.execute(statement, values)

    def add(self, claim_id: str, fraud: bool | None, changed: str, settled: str | None = "2025-06-01") -> None:
        self.execute("INSERT INTO settlements VALUES (%s, %s, %s, %s)", claim_id, fraud, settled, changed)

    def let_in(self, allowed: bool) -> None:
        with self._server.connect("postgres") as connection:
            connection.execute(f"ALTER DATABASE {self.url.rpartition('/')[2]} ALLOW_CONNECTIONS {allowed}")

    def ask(self, query: str) -> None:
        (self._folder / "query.sql").write_text(query)

    def arguments(self, *options: str) -> list[str | Path]:
        given = ("--namespace", "claims", "--model", self.model, "--positive", "true", "--negative", "false")
        where: list[str | Path] = ["--query-file", self._folder / "query.sql", "--state-file", self.state]
        column = ("--watermark-column", "changed", "--start", BEGIN, "--time-zone", "UTC")
        return ["pull", *where, *column, *given, *options]

    @property
    def variables(self) -> dict[str, str]:
        password = self._server.password_file.read_text()
        return {"CLAIMS_OUTCOMES_DATABASE_URL": self.url.replace("@", f":{password}@")}

    def pull(self, service: Running | str, *options: str) -> Ended:
        return run(service, *self.arguments(*options), **self.variables)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def settlements(server: PostgresServer, tmp_path: Path) -> Settlements:
    return Settlements(server, tmp_path, f"m{secrets.token_hex(4)}")


def test_what_is_new_is_pulled_once_and_what_is_late_is_caught(service: Running, settlements: Settlements) -> None:
    predicted(service, settlements.model, "C1", "C2", "C3", "C4")
    settlements.add("C1", True, "2025-06-01 10:00:00+00")
    settlements.add("C2", None, "2025-06-01 11:00:00+00")
    first = settlements.pull(service)
    assert (first.status, first.counts["labelled"], first.counts["withoutOutcome"]) == (0, 1, 1), first.said
    settlements.add("C3", False, "2025-06-01 10:55:00+00")  # Committed late, less than ten minutes before the last.
    settlements.add("C4", False, "2025-06-01 11:30:00+00")
    second = settlements.pull(service)
    assert (second.counts["rows"], second.counts["labelled"]) == (3, 2), second.said
    third = settlements.pull(service, "--overlap", "0")
    assert third.counts == {"rows": 0, "withoutOutcome": 0, "bad": 0}
    assert json.loads(settlements.state.read_text()) == {"column": "changed", "watermark": "2025-06-01T11:30:00+00:00"}
    assert results(service, settlements.model) == {"tp": 1, "fp": 2, "tn": 0, "fn": 0}


def test_a_pull_that_died_goes_on_after_the_last_batch_that_was_taken(
    service: Running, shaky: Shaky, settlements: Settlements
) -> None:
    predicted(service, settlements.model, *(f"C{number}" for number in range(7)))
    for number, minute in enumerate((0, 1, 1, 1, 2, 3, 4)):
        settlements.add(f"C{number}", True, f"2025-06-01 10:0{minute}:00+00")
    options = ("--batch-rows", "2", "--overlap", "0", "--give-up-seconds", "0")
    taken = (200, {"accepted": 2, "duplicates": 0, "labelled": 2, "corrections": 0})
    shaky.answers = [taken, taken, (404, {})]
    died = settlements.pull(shaky.url, *options)
    assert (died.status, died.counts) == (2, {})
    # The second batch ended between two rows of one minute only at its end, so it is up to there that all was sent.
    assert json.loads(settlements.state.read_text())["watermark"] == "2025-06-01T10:01:00+00:00"
    shaky.posted.clear()
    ended = settlements.pull(shaky.url, *options)
    assert (ended.status, [row["claimId"] for batch in shaky.posted for row in batch]) == (0, ["C4", "C5", "C6"])


def test_rows_of_one_moment_are_not_parted_by_the_watermark(shaky: Shaky, settlements: Settlements) -> None:
    for number in range(3):
        settlements.add(f"C{number}", True, "2025-06-01 10:00:00+00")
    shaky.answers = [(200, {"accepted": 2, "duplicates": 0, "labelled": 0, "corrections": 0}), (404, {})]
    assert settlements.pull(shaky.url, "--batch-rows", "2").status == 2
    assert not settlements.state.exists()


def test_a_bad_row_is_named_and_holds_up_no_other(service: Running, settlements: Settlements) -> None:
    predicted(service, settlements.model, "C1", "C2")
    settlements.add("C1", True, "2025-06-01 10:00:00+00", settled=None)
    settlements.add("C2", True, "2025-06-01 11:00:00+00")
    ended = settlements.pull(service)
    assert (ended.status, ended.counts["bad"], ended.counts["labelled"]) == (1, 1, 1)
    assert "row 1: Object missing required field `observedAt`" in ended.said


@pytest.mark.parametrize(
    ("query", "options", "status", "sentence"),
    [
        pytest.param("SELECT 1", (), 2, "must have :watermark", id="no-watermark"),
        pytest.param("SELECT :watermark, :more", (), 2, ":more, :watermark", id="another-parameter"),
        pytest.param("SELECT CAST(:watermark AS text) AS c", (), 2, "returns no column `changed`", id="not-returned"),
        pytest.param(QUERY.replace("settlements", "nothing"), (), 2, '"nothing" does not exist', id="no-such-table"),
        pytest.param(QUERY.replace("ORDER BY changed", "ORDER BY changed DESC"), (), 2, "ORDER BY", id="backwards"),
        pytest.param(QUERY, ("--watermark-type", "number", "--start", "1"), 2, "type", id="another-type"),
        pytest.param(QUERY, ("--start", "2025-01-01"), 2, "time zone", id="a-start-without-zone"),
        pytest.param(QUERY, ("--start", "soon"), 2, "`soon` is no time", id="a-start-that-is-none"),
        pytest.param(QUERY, ("--watermark-type", "text", "--overlap", "5"), 2, "in the query", id="text-taken-back"),
        pytest.param(
            "WITH gone AS (DELETE FROM settlements RETURNING *) SELECT *, :watermark FROM gone",
            (),
            2,
            "data-modifying",
            id="a-query-that-writes",
        ),
    ],
)
def test_a_query_that_cannot_work_is_said(
    shaky: Shaky, settlements: Settlements, query: str, options: tuple[str, ...], status: int, sentence: str
) -> None:
    settlements.add("C1", True, "2025-06-01 10:00:00+00")
    settlements.add("C2", True, "2025-06-01 11:00:00+00")
    settlements.ask(query)
    ended = settlements.pull(shaky.url, *options)
    assert (ended.status, ended.counts, shaky.posted) == (status, {}, [])
    assert sentence in ended.said


@pytest.mark.parametrize(
    ("url", "status", "sentence"),
    [
        pytest.param("", 2, "--database-url-file", id="none"),
        pytest.param("postgresql://somebody@127.0.0.1:1/x?connect_timeout=2", 3, "does not answer", id="nobody-there"),
        pytest.param("nonsense", 2, "cannot be used", id="no-url"),
        pytest.param("cobol://x", 2, "cannot be used", id="no-such-database"),
    ],
)
def test_a_database_that_cannot_be_asked_is_said(
    settlements: Settlements, url: str, status: int, sentence: str
) -> None:
    ended = run("http://127.0.0.1:1", *settlements.arguments(), CLAIMS_OUTCOMES_DATABASE_URL=url)
    assert (ended.status, sentence in ended.said) == (status, True), ended.said


@pytest.mark.parametrize("content", ["", "[]", '{"column": "another", "watermark": "1"}', '{"column": "changed"}'])
def test_a_watermark_that_cannot_be_read_is_said(settlements: Settlements, content: str) -> None:
    settlements.state.write_text(content)
    ended = settlements.pull("http://127.0.0.1:1")
    assert (ended.status, str(settlements.state) in ended.said) == (2, True), ended.said


def test_sqlite_is_pulled_by_text_and_by_number(service: Running, tmp_path: Path) -> None:
    predicted(service, "sqlite", "C1", "C2")
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        database.execute("CREATE TABLE settled (id INTEGER, claim_id TEXT, outcome TEXT, observed_at TEXT)")
        database.execute("INSERT INTO settled VALUES (1, 'C1', 'positive', '2025-06-01T10:00:00Z')")
        database.execute("INSERT INTO settled VALUES (2, 'C2', 'negative', '2025-06-02T10:00:00Z')")
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path}/source.db\n")
    pulled = []
    for kind, column, start in (("text", "observed_at", "2025"), ("number", "id", "0")):
        query = tmp_path / "query.sql"
        query.write_text(f"SELECT * FROM settled WHERE {column} > :watermark ORDER BY {column}")  # noqa: S608
        where = ("--query-file", query, "--state-file", tmp_path / kind, "--database-url-file", tmp_path / "url")
        how = ("--watermark-type", kind, "--watermark-column", column, "--start", start)
        ended = run(service, "pull", *where, *how, "--namespace", "claims", "--model", "sqlite")
        assert ended.status == 0, ended.said
        pulled.append((ended.counts["labelled"], json.loads((tmp_path / kind).read_text())["watermark"]))
    assert pulled == [(2, "2025-06-02T10:00:00Z"), (0, "2")]


def test_it_goes_on_through_a_database_that_is_away(service: Running, settlements: Settlements, tmp_path: Path) -> None:
    predicted(service, settlements.model, "C1", "C2")
    settlements.add("C1", True, "2025-06-01 10:00:00+00")
    variables = environment(str(service.client.base_url), **settlements.variables)
    command = [*COMMAND, *map(str, settlements.arguments("--every-seconds", "0.05"))]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=said)
    try:
        wait_until(lambda: results(service, settlements.model)["tp"] == 1)
        settlements.let_in(False)
        wait_until(lambda: "does not answer" in (tmp_path / "said").read_text())
        settlements.let_in(True)
        settlements.add("C2", True, "2025-06-01 10:01:00+00")
        wait_until(lambda: results(service, settlements.model)["tp"] == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 130
    finally:
        process.kill()
        process.wait()
