"""The command as a person or a script meets it."""

import json
import pathlib
import re

import pytest

from claims_training import cli


def train(folder: pathlib.Path, *more: str) -> list[str]:
    return [
        "train", "--algorithm", "xgboost", "--trees", "10", "--name", "claim-risk", "--version", "1.0.0",
        "--out", str(folder / "package"), *more,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["claims.csv", "claims.parquet"])
def test_a_table_is_generated_and_trained_on(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    claims = str(tmp_path / name)
    assert cli.main(["generate", "--rows", "500", "--seed", "1", "--out", claims]) == 0
    assert capsys.readouterr().out == f"500 claims written to {claims}\n"

    assert cli.main(train(tmp_path, "--data", claims, "--no-register", "--json")) == 0

    answer = json.loads(capsys.readouterr().out)
    about = json.loads((tmp_path / "package" / "package.json").read_text())
    assert answer["digest"] == about["digest"]
    assert about["data"]["source"] == name
    assert (about["data"]["rows"], about["data"]["trainingRows"]) == (500, 400)
    assert answer["metrics"]["accuracy"] > 0.7


def test_without_registering_the_folder_is_the_answer(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(train(tmp_path, "--generate", "500", "--no-register")) == 0

    assert capsys.readouterr().out == f"{tmp_path / 'package'}\n"


def test_a_wrong_table_is_one_message_and_no_package(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = tmp_path / "claims.csv"
    cli.main(["generate", "--rows", "500", "--seed", "1", "--out", str(claims)])
    claims.write_text(re.sub(r",(auto|home),", ",boat,", claims.read_text(), count=1))

    assert cli.main(train(tmp_path, "--data", str(claims), "--no-register")) == 2

    said = capsys.readouterr().err
    assert re.search(r"claims\.csv has 1 problem\(s\):\n  column line, row \d+: 'boat' is none of auto,", said)
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--generate", "500"], "no MLflow server is named"),
        (["--generate", "500", "--tracking-uri", "sqlite:///x.db"], "write the address of an MLflow server"),
        (["--data", "nowhere.csv", "--no-register"], "nowhere.csv: No such file"),
        (["--generate", "20", "--no-register"], "200 are the fewest"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    said: str,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    assert cli.main(train(tmp_path, *more)) == 2

    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--generate", "0"], "'0' is not a whole number of 1 or more"),
        (["--generate", "500", "--version", "1.0"], "'1.0' is not a semantic version; write MAJOR.MINOR.PATCH"),
        (["--generate", "500", "--name", "Claim Risk"], "'Claim Risk' is no model name"),
        (["--generate", "500", "--threshold", "0"], "'0' is not a number above 0 and at most 1"),
        (["--generate", "500", "--rows-per-tree", "nan"], "'nan' is not a number above 0 and at most 1"),
        (["--generate", "500", "--exclude-line", "boat"], "invalid choice: 'boat'"),
        (["--generate", "500", "--data", "claims.csv"], "not allowed with argument"),
        ([], "one of the arguments --data --generate is required"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_to_write(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(train(tmp_path, *more))

    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_dial_out_of_its_bounds_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "claims.csv")

    assert cli.main(["generate", "--rows", "5", "--seed", "1", "--drift", "2", "--out", out]) == 2

    assert capsys.readouterr().err == "claims-train: drift is 2.0; write a number from 0 to 1\n"
