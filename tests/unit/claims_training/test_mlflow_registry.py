"""Registering against a real MLflow server, started as its image starts it, and reading back over plain REST."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from claims_contract import tensors
from claims_training import cli, package, registry
from claims_training.errors import RegistryUnavailable, VersionTaken


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with an empty database."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "HOME": str(folder),
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": f"{folder}/artifacts",
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server"], env=os.environ | settings, cwd=folder,
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        registry.wait_until_up(f"http://127.0.0.1:{port}", timeout_seconds=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def train(server: str, folder: pathlib.Path, name: str, *more: str) -> list[str]:
    return [
        "train", "--algorithm", "xgboost", "--generate", "500", "--trees", "5", "--name", name,
        "--tracking-uri", server, "--out", str(folder / "package"), *more,
    ]  # fmt: skip


def get(server: str, path: str, /, **query: str) -> dict[str, Any]:
    answer = requests.get(f"{server}/api/2.0/{path}", params=query, timeout=10)
    assert answer.ok, answer.text
    content = answer.json()
    assert isinstance(content, dict)
    return content


def test_a_registered_version_can_be_resolved_and_downloaded_over_rest(
    server: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(train(server, tmp_path, "by-rest", "--version", "1.2.0", "--alias", "champion", "--json")) == 0

    answer = json.loads(capsys.readouterr().out)
    assert (answer["uri"], answer["modelVersion"], answer["existed"]) == ("models:/by-rest/1", "1", False)
    found = get(server, "mlflow/registered-models/alias", name="by-rest", alias="champion")["model_version"]
    assert isinstance(found, dict)
    assert found["version"] == "1"
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert tags == {tensors.DIGEST_TAG: answer["digest"], tensors.VERSION_TAG: "1.2.0"}
    scheme, _, root = found["source"].partition(":/")
    assert scheme == "mlflow-artifacts"
    files = get(server, "mlflow-artifacts/artifacts", path=root)["files"]
    assert isinstance(files, list)
    assert {entry["path"] for entry in files} == {path.name for path in (tmp_path / "package").iterdir()}
    for entry in files:
        content = requests.get(f"{server}/api/2.0/mlflow-artifacts/artifacts/{root}/{entry['path']}", timeout=10)
        assert content.content == (tmp_path / "package" / entry["path"]).read_bytes()


def test_the_run_keeps_how_the_model_was_made(
    server: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(train(server, tmp_path, "by-run", "--version", "1.0.0", "--git-commit", "abc123", "--json")) == 0

    metrics = json.loads(capsys.readouterr().out)["metrics"]
    version = get(server, "mlflow/model-versions/get", name="by-run", version="1")["model_version"]
    assert isinstance(version, dict)
    run = get(server, "mlflow/runs/get", run_id=version["run_id"])["run"]
    assert isinstance(run, dict)
    assert run["info"]["status"] == "FINISHED"
    logged = {entry["key"]: entry["value"] for entry in run["data"]["metrics"]}
    assert logged == pytest.approx(metrics)
    assert {"algorithm": "xgboost", "trees": "5", "seed": "7"}.items() <= {
        entry["key"]: entry["value"] for entry in run["data"]["params"]
    }.items()
    tags = {entry["key"]: entry["value"] for entry in run["data"]["tags"]}
    about = json.loads((tmp_path / "package" / "package.json").read_text())
    assert tags["mlflow.source.git.commit"] == "abc123"
    assert tags["data.sha256"] == about["data"]["sha256"]


def test_registering_the_same_again_changes_nothing(
    server: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert cli.main(train(server, tmp_path, "twice", "--version", "1.0.0")) == 0

    assert capsys.readouterr().out == "models:/twice/1\nmodels:/twice/1\n"
    versions = get(server, "mlflow/model-versions/search", filter="name = 'twice'")["model_versions"]
    assert isinstance(versions, list)
    assert len(versions) == 1


def test_a_version_never_changes_its_contents(
    server: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(train(server, tmp_path, "fixed", "--version", "1.0.0")) == 0

    assert cli.main(train(server, tmp_path, "fixed", "--version", "1.0.0", "--seed", "8")) == 2

    assert "fixed 1.0.0 is registered already as models:/fixed/1 with digest sha256:" in capsys.readouterr().err
    assert cli.main(train(server, tmp_path, "fixed", "--version", "1.0.1", "--seed", "8")) == 0
    assert capsys.readouterr().out == "models:/fixed/2\n"


@pytest.mark.parametrize("same", [True, False])
def test_one_of_those_who_register_a_version_at_once_wins(server: str, tmp_path: pathlib.Path, same: bool) -> None:
    (tmp_path / "package.json").write_text("{}")
    name, together = f"race-{same}", threading.Barrier(4)

    def register(number: int) -> registry.Registered | VersionTaken:
        digest = "sha256:" + ("0" if same else str(number)) * 64
        record = registry.Record(parameters={}, metrics={}, tags={})
        together.wait()
        try:
            made = package.Package(folder=tmp_path, digest=digest)
            return registry.register(server, made, name=name, version="1.0.0", record=record)
        except VersionTaken as taken:
            return taken

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(register, range(4)))

    versions = get(server, "mlflow/model-versions/search", filter=f"name = '{name}'")["model_versions"]
    assert [version["version"] for version in versions] == ["1"]
    won = [end for end in ends if isinstance(end, registry.Registered)]
    assert {end.uri for end in won} == {f"models:/{name}/1"}
    assert len(won) == (4 if same else 1)


def test_a_server_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # Bound and not listening: every connection is refused.
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"

        with pytest.raises(RegistryUnavailable, match=f"no MLflow server answered at {address} within 0.1 s"):
            registry.wait_until_up(address, timeout_seconds=0.1)
