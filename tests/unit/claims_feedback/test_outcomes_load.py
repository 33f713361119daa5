"""Outcomes from files, loaded by the command into a real service."""

import gzip
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from unit.claims_feedback.feedback_process import Running, free_port
from unit.claims_feedback.outcomes_command import COMMAND, environment, predicted, results, run, spawn
from unit.claims_feedback.shaky_proxy import Shaky

CSV = """claim_no,settled,fraud
C1,2025-11-20 10:00:00,1
C2,2025-11-21 11:30:00,0
C3,,
"""
OF_CLAIMS = ("--namespace", "claims", "--column", "claimId=claim_no", "--column", "observedAt=settled")
AS_FRAUD = ("--column", "outcome=fraud", "--positive", "1", "--negative", "0", "--time-zone", "Europe/Berlin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_csv_file_labels_its_claims_once_however_often_it_is_loaded(service: Running, folder: Path) -> None:
    predicted(service, "csv", "C1", "C2", "C3")
    (folder / "outcomes.csv").write_text(CSV)
    command = ("load", folder / "outcomes.csv", "--model", "csv", *OF_CLAIMS, *AS_FRAUD)
    first, again = spawn(service, *command), run(service, *command)
    assert (first.status, again.status) == (0, 0), first.said
    read = {"rows": 3, "withoutOutcome": 1, "bad": 0, "accepted": 2, "corrections": 0}
    assert first.counts == read | {"duplicates": 0, "labelled": 2}
    assert again.counts == read | {"duplicates": 2, "labelled": 0}
    assert results(service, "csv") == {"tp": 1, "fp": 1, "tn": 0, "fn": 0}


def json_lines(model: str) -> str:
    rows = [
        {
            "namespace": "claims",
            "model": model,
            "claimId": "C1",
            "outcome": "positive",
            "observedAt": "2025-11-20T10:00Z",
        },
        {"namespace": "claims", "model": model, "request_id": f"{model}-C2", "row": 0, "outcome": "Negative"},
    ]
    rows[1]["observed_at"] = "2025-11-20T10:00:00+01:00"
    return "\n\n".join(map(json.dumps, rows))


def test_json_lines_name_the_fields_themselves(service: Running, folder: Path) -> None:
    predicted(service, "lines", "C1", "C2")
    with gzip.open(folder / "outcomes.jsonl.gz", "wt") as file:
        file.write(json_lines("lines"))
    ended = run(service, "load", folder / "outcomes.jsonl.gz")
    assert ended.status == 0, ended.said
    assert results(service, "lines") == {"tp": 1, "fp": 1, "tn": 0, "fn": 0}


def test_a_parquet_file_keeps_its_types(service: Running, folder: Path) -> None:
    predicted(service, "parquet", "17", "18", "19")
    moments = pyarrow.array([1_700_000_000_000_000_001] * 3, pyarrow.timestamp("ns", "UTC"))
    claim_ids = pyarrow.array([17, 18, 19], pyarrow.int64())
    table = pyarrow.table({"claim_no": claim_ids, "settled": moments, "fraud": [True, False, None]})
    parquet.write_table(table, folder / "outcomes.parquet")
    command = ("load", folder / "outcomes.parquet", "--model", "parquet", *OF_CLAIMS, "--column", "outcome=fraud")
    ended = run(service, *command, "--positive", "true", "--negative", "false")
    assert ended.status == 0, ended.said
    assert results(service, "parquet") == {"tp": 1, "fp": 1, "tn": 0, "fn": 0}


def test_a_bad_row_keeps_the_whole_file_out_until_it_may_be_left_out(service: Running, folder: Path) -> None:
    predicted(service, "bad", "C1", "C2", "C3")
    rows = ["C9,2025-11-20,maybe", "C2,soon,0", "C2,2125-01-01,0", "C2,2025-11-20", 'C3,"2025-11-20\n",1']
    (folder / "outcomes.csv").write_text(CSV + "\n".join(rows))
    command = ("load", folder / "outcomes.csv", "--model", "bad", *OF_CLAIMS, *AS_FRAUD)
    refused = run(service, *command)
    assert (refused.status, refused.counts) == (1, {})
    assert results(service, "bad") == {"tp": 0, "fp": 0, "tn": 0, "fn": 0}
    found = [line for line in refused.said.splitlines() if line.startswith("line ")]
    assert [line.split(": ")[:2] for line in found[:3]] == [
        ["line 5", "outcome"],
        ["line 6", "observedAt"],
        ["line 7", "observedAt"],
    ]
    assert found[3] == "line 8: 2 values for 3 columns"
    assert "Nothing was sent." in refused.said
    left_out = run(service, *command, "--skip-bad-rows")
    assert (left_out.status, left_out.counts["bad"], left_out.counts["labelled"]) == (1, 4, 3)


def test_a_dry_run_sends_nothing_and_needs_no_service(folder: Path) -> None:
    (folder / "outcomes.csv").write_text(CSV)
    command = ("load", folder / "outcomes.csv", "--dry-run", "--model", "dry", *OF_CLAIMS, *AS_FRAUD)
    ended = run("", *command, CLAIMS_FEEDBACK_TOKEN="")
    assert (ended.status, ended.said) == (0, "3 rows: 2 outcomes, 1 without one yet, 0 bad.\n")


@pytest.mark.parametrize(
    ("name", "content", "options", "sentence"),
    [
        pytest.param("outcomes.txt", b"", (), "--format", id="a-name-that-says-nothing"),
        pytest.param("outcomes.csv", b"", (), "is empty", id="empty"),
        pytest.param("outcomes.csv", b"a,a\n1,2\n", (), "two columns called `a`", id="two-columns-of-a-name"),
        pytest.param(
            "outcomes.csv", b"a\nb\n", ("--column", "claimId=c"), "no column `c`. Its columns are a", id="no-column"
        ),
        pytest.param("outcomes.csv", b'a\n"b', (), "line 2", id="a-quote-that-never-ends"),
        pytest.param("outcomes.csv", b"a\n\xff\n", (), "--encoding", id="another-encoding"),
        pytest.param("outcomes.csv.gz", b"a\nb\n", (), "cannot be read", id="no-gzip"),
        pytest.param("outcomes.parquet", b"a\nb\n", (), "is no Parquet file", id="no-parquet"),
        pytest.param("outcomes.csv", b"a\n", ("--column", "claim=a"), "write FIELD=COLUMN", id="no-such-field"),
        pytest.param("outcomes.csv", b"a\n", ("--time-zone", "Mars"), "no time zone `Mars`", id="no-such-zone"),
        pytest.param("outcomes.csv", b"a\n", ("--positive", "x", "--negative", "X"), "`x` is said", id="both"),
    ],
)
def test_what_cannot_be_loaded_is_said(
    folder: Path, name: str, content: bytes, options: tuple[str, ...], sentence: str
) -> None:
    (folder / name).write_bytes(content)
    ended = run("http://127.0.0.1:1", "load", folder / name, *options)
    assert (ended.status, ended.counts) == (2, {})
    assert sentence in ended.said
    assert "Traceback" not in ended.said


def test_a_file_that_is_not_there_is_said(folder: Path) -> None:
    ended = run("http://127.0.0.1:1", "load", folder / "none.csv")
    assert (ended.status, "cannot be read" in ended.said) == (2, True)


def test_without_pyarrow_a_parquet_file_says_what_to_install(folder: Path) -> None:
    (folder / "outcomes.parquet").write_bytes(b"")
    (folder / "pyarrow.py").write_text("raise ImportError('as if it were not installed')")
    paths = os.pathsep.join([str(folder), environment("")["PYTHONPATH"]])
    ended = spawn("http://127.0.0.1:1", "load", folder / "outcomes.parquet", PYTHONPATH=paths)
    assert (ended.status, "Install claims-feedback[parquet]" in ended.said) == (2, True)


@pytest.mark.parametrize(
    ("variables", "options", "status", "sentence"),
    [
        pytest.param({"CLAIMS_FEEDBACK_TOKEN": "another-token"}, (), 2, "403", id="a-wrong-token"),
        pytest.param({"CLAIMS_FEEDBACK_TOKEN": ""}, (), 2, "--token-file", id="no-token"),
        pytest.param({"CLAIMS_FEEDBACK_TOKEN": "schlüssel"}, (), 2, "right file", id="a-token-in-no-ascii"),
        pytest.param({"CLAIMS_FEEDBACK_URL": ""}, (), 2, "--url", id="no-service"),
        pytest.param({"CLAIMS_FEEDBACK_URL": "feedback:8080"}, (), 2, "http://", id="no-address"),
        pytest.param(
            {"CLAIMS_FEEDBACK_URL": f"http://127.0.0.1:{free_port()}"}, (), 3, "run it again", id="nobody-there"
        ),
    ],
)
def test_a_service_that_does_not_take_it_is_said(
    service: Running, folder: Path, variables: dict[str, str], options: tuple[str, ...], status: int, sentence: str
) -> None:
    (folder / "outcomes.csv").write_text(CSV)
    command = ("load", folder / "outcomes.csv", "--model", "said", *OF_CLAIMS, *AS_FRAUD, "--give-up-seconds", "0")
    ended = run(service, *command, *options, **variables)
    assert (ended.status, ended.counts) == (status, {})
    assert sentence in ended.said
    assert "Traceback" not in ended.said


def many(folder: Path, model: str, count: int) -> tuple[Path, tuple[str, ...]]:
    """Write a file of outcomes; return it with the options that load it in batches of 10."""
    lines = [f"C{number},2025-11-20T10:00:00Z,positive" for number in range(count)]
    path = folder / f"{model}.csv"
    path.write_text("claimId,observedAt,outcome\n" + "\n".join(lines))
    return path, ("--namespace", "claims", "--model", model, "--batch-rows", "10")


def test_a_batch_is_sent_again_until_it_is_taken(service: Running, shaky: Shaky, folder: Path) -> None:
    path, options = many(folder, "retried", 15)
    predicted(service, "retried", *(f"C{number}" for number in range(15)))
    shaky.answers = [(503, {"error": "busy"}), (502, {}), (413, {"error": "large"})]
    ended = run(shaky.url, "load", path, *options)
    assert (ended.status, ended.counts["labelled"]) == (0, 15), ended.said
    assert [len(batch) for batch in shaky.posted] == [10, 10, 10, 5, 5, 5]
    assert "Waiting: 503: busy." in ended.said


def refusal(*indices: int) -> dict[str, Any]:
    problems = [{"index": index, "where": f"outcomes[{index}]", "what": "not today"} for index in indices]
    return {"error": "The body cannot be taken.", "problems": problems}


def test_rows_that_the_service_refuses_are_named_by_their_lines(service: Running, shaky: Shaky, folder: Path) -> None:
    path, options = many(folder, "refused", 12)
    shaky.answers = [(400, refusal(0, 9))]
    ended = run(shaky.url, "load", path, *options)
    assert ended.status == 2
    assert [line for line in ended.said.splitlines() if line.startswith("line ")] == [
        "line 2: outcomes[0]: not today",
        "line 11: outcomes[9]: not today",
    ]
    shaky.answers = [(400, refusal(0, 9))]
    left_out = run(shaky.url, "load", path, *options, "--skip-bad-rows")
    assert (left_out.status, left_out.counts["bad"], left_out.counts["accepted"]) == (1, 2, 10)


@pytest.mark.parametrize("answer", [refusal(), refusal(99)], ids=["no-row-named", "a-row-that-was-not-sent"])
def test_a_refusal_that_names_no_row_ends_it(
    service: Running, shaky: Shaky, folder: Path, answer: dict[str, Any]
) -> None:
    path, options = many(folder, "refused", 12)
    shaky.answers = [(400, answer)]
    assert run(shaky.url, "load", path, *options, "--skip-bad-rows").status == 2


def test_a_load_that_was_killed_goes_on_where_it_ended(shaky: Shaky, folder: Path) -> None:
    path, options = many(folder, "resumed", 35)
    command = ("load", path, *options, "--progress-file", folder / "progress")
    gate = threading.Event()
    shaky.before = lambda: len(shaky.posted) < 2 or gate.wait()
    first = subprocess.Popen(
        [*COMMAND, *map(str, command)], env=environment(shaky.url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (folder / "progress").exists() or json.loads((folder / "progress").read_text())["rows"] < 20:
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    gate.set()
    shaky.before = lambda: None
    shaky.posted.clear()
    ended = run(shaky.url, *command)
    assert (ended.status, ended.counts["accepted"]) == (0, 15), ended.said
    assert "Going on after row 20" in ended.said
    assert not (folder / "progress").exists()


@pytest.mark.parametrize("changed", ["file", "options", "nothing"])
def test_progress_counts_for_the_same_file_read_in_the_same_way(shaky: Shaky, folder: Path, changed: str) -> None:
    path, options = many(folder, f"changed-{changed}", 15)
    command = ("load", path, *options, "--progress-file", folder / "progress")
    taken = (200, {"accepted": 10, "duplicates": 0, "labelled": 0, "corrections": 0})
    shaky.answers = [taken, (404, {})]
    assert run(shaky.url, *command).status == 2
    shaky.posted.clear()
    if changed == "file":
        os.utime(path)
    ended = run(shaky.url, *command, *(("--positive", "positive", "--positive", "yes") if changed == "options" else ()))
    assert (ended.status, sum(map(len, shaky.posted))) == (0, 5 if changed == "nothing" else 15)


def test_a_file_that_changes_under_the_load_is_said(shaky: Shaky, folder: Path) -> None:
    path, options = many(folder, "growing", 30_000)
    shaky.before = lambda: path.write_text("claimId,observedAt,outcome\nC1,2025-11-20T10:00:00Z,positive\n")
    ended = run(shaky.url, "load", path, *options[:4], "--batch-rows", "100")
    assert (ended.status, "changed while it was loaded" in ended.said) == (2, True)


def test_an_interrupt_says_that_it_can_go_on(shaky: Shaky, folder: Path) -> None:
    path, options = many(folder, "interrupted", 10)
    shaky.answers = [(503, {})] * 1000
    command = [*COMMAND, "load", str(path), *options]
    running = subprocess.Popen(command, env=environment(shaky.url), stderr=subprocess.PIPE, text=True)
    while not shaky.posted:
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate()
    assert (running.returncode, "run it again to go on" in said) == (130, True)


@pytest.mark.parametrize(
    ("option", "value"), [("--batch-rows", "0"), ("--give-up-seconds", "-1"), ("--give-up-seconds", "nan")]
)
def test_an_option_out_of_bounds_is_refused(folder: Path, option: str, value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run("http://127.0.0.1:1", "load", folder / "none.csv", option, value)
    assert caught.value.code == 2


def test_of_many_bad_rows_the_first_are_listed(folder: Path) -> None:
    (folder / "outcomes.csv").write_text("claimId,outcome\n" + "C1,maybe\n" * 60)
    ended = run("http://127.0.0.1:1", "load", folder / "outcomes.csv", "--dry-run")
    assert ended.status == 1
    assert sum(line.startswith("line ") for line in ended.said.splitlines()) == 50
    assert "... and 10 more bad rows." in ended.said


def test_a_file_says_which_claims_were_drawn_for_an_audit_or_all_of_them_were(service: Running, folder: Path) -> None:
    predicted(service, "audit", "C1", "C2", "C3")
    (folder / "some.csv").write_text(
        "claimId,outcome,audit,observedAt\nC1,positive,true,2025-11-20T10:00Z\nC2,negative,0,2025-11-20T10:00Z\n"
    )
    (folder / "all.csv").write_text("claimId,outcome,observedAt\nC3,positive,2025-11-20T10:00Z\n")
    named = ("--namespace", "claims", "--model", "audit")
    assert run(service, "load", folder / "some.csv", *named).status == 0
    assert sampled(service, "audit") == {"tp": 1, "fp": 0, "tn": 0, "fn": 0}
    assert run(service, "load", folder / "all.csv", *named, "--audit").status == 0
    assert sampled(service, "audit") == {"tp": 2, "fp": 0, "tn": 0, "fn": 0}
    assert results(service, "audit") == {"tp": 2, "fp": 1, "tn": 0, "fn": 0}


def sampled(service: Running, model: str) -> dict[str, int]:
    (stratum,) = service.totals(namespace="claims", model=model)
    outcomes: dict[str, int] = stratum["representativeOutcomes"]
    return outcomes


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("audit", "perhaps", "audit: `perhaps` is neither true (or 1) nor false (or 0)"),
        ("propensity", "often", "propensity: `often` is no number such as 0.25"),
        ("propensity", "1.5", "propensity: Expected `float` <= 1.0"),
        ("propensity", "nan", "propensity: Expected `float` > 0.0"),
    ],
)
def test_a_choice_of_claims_that_cannot_be_is_named(
    service: Running, folder: Path, column: str, value: str, sentence: str
) -> None:
    (folder / "bad.csv").write_text(f"claimId,outcome,{column},observedAt\nC1,positive,{value},2025-11-20T10:00Z\n")
    ended = run(service, "load", folder / "bad.csv", "--namespace", "claims", "--model", "audit")
    assert ended.status == 1
    assert sentence in ended.said


def test_a_propensity_below_the_floor_of_the_service_is_named(service: Running, folder: Path) -> None:
    (folder / "low.csv").write_text("claimId,outcome,propensity,observedAt\nC1,positive,0.01,2025-11-20T10:00Z\n")
    ended = run(
        service, "load", folder / "low.csv", "--namespace", "claims", "--model", "audit", "--skip-bad-rows"
    )  # fmt: skip
    assert ended.status == 1
    assert "Expected at least 0.05, got 0.01" in ended.said


def test_a_file_may_hold_numbers(service: Running, folder: Path) -> None:
    rows = ["claimId,cost,observedAt", "C1,120.5,2025-11-20T10:00Z", "C2,,", "C3,much,2025-11-20T10:00Z"]
    (folder / "costs.csv").write_text("\n".join(rows))
    named = ("--namespace", "claims", "--model", "costs", "--column", "value=cost", "--skip-bad-rows")
    ended = run(service, "load", folder / "costs.csv", *named)
    assert ended.status == 1
    assert "value: `much` is no number such as 0.25" in ended.said
    assert ended.counts | {"accepted": 1, "withoutOutcome": 1, "bad": 1} == ended.counts
