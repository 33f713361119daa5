import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit.claims_storage.mlflow_server import ARTIFACTS, FOLDER, MLflowServer, build_package

from claims_storage import address, installation
from claims_storage.errors import (
    DestinationInUse,
    InvalidAddress,
    Mismatch,
    NotFound,
    RegistryUnavailable,
    StorageError,
)
from claims_storage.mlflow import Registry

ROOT = Path(__file__).parents[3]
FILES = {"model.joblib": b"a model" * 1000, "schema.json": b"{}", "model-settings.json": b"{}", "sub/notes": b"hello"}


def install(server: MLflowServer, digest: str, destination: Path) -> bool:
    version = address.parse(f"models:/claim-risk/7?digest={digest}")
    return installation.install(version, Registry(url=server.url, first_retry_seconds=0.01), destination)


def read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_put_in_place_once(tmp_path: Path) -> None:
    files, digest = build_package(FILES)
    with MLflowServer(files) as server:
        assert install(server, digest, tmp_path) is True
        assert read(tmp_path) == files
        asked = server.requests.total()
        assert install(server, digest, tmp_path) is False
        assert server.requests.total() == asked, "what is in place already is not fetched again"
    assert read(tmp_path) == files


def test_passing_trouble_is_waited_out(tmp_path: Path) -> None:
    files, digest = build_package(FILES)
    faults = {
        "/api/2.0/mlflow/model-versions/get": [503, 429],
        ARTIFACTS: [500],
        f"{ARTIFACTS}/{FOLDER}/model.joblib": [0, 0, 502],
    }
    with MLflowServer(files, faults=faults) as server:
        assert install(server, digest, tmp_path) is True
    assert read(tmp_path) == files


def test_what_a_killed_run_left_behind_is_replaced(tmp_path: Path) -> None:
    files, digest = build_package(FILES)
    (tmp_path / ".incoming-abc").mkdir()
    (tmp_path / ".incoming-abc" / "model.joblib").write_bytes(b"half")
    (tmp_path / "model.joblib").write_bytes(b"moved before the end")
    (tmp_path / "sub").mkdir()
    with MLflowServer(files) as server:
        assert install(server, digest, tmp_path) is True
    assert read(tmp_path) == files


def test_files_of_something_else_are_left_alone(tmp_path: Path) -> None:
    files, digest = build_package(FILES)
    (tmp_path / "letters").write_bytes(b"mine")
    with MLflowServer(files) as server, pytest.raises(DestinationInUse, match="letters"):
        install(server, digest, tmp_path)
    assert read(tmp_path) == {"letters": b"mine"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"model.joblib": b"another model"}, "'model.joblib' has sha256:", id="changed-file"),
        pytest.param({"extra.py": b"import os"}, "'extra.py' that its package.json does not list", id="added-file"),
        pytest.param({"schema.json": None}, "lacks the file 'schema.json'", id="removed-file"),
        pytest.param({"package.json": None}, "there is no package.json", id="no-package-file"),
        pytest.param({"package.json": b"{}"}, "no readable list of digests", id="package-file-without-digests"),
        pytest.param({"package.json": b'{"digests": []}'}, "no readable list", id="package-file-of-another-shape"),
    ],
)
def test_a_package_that_was_changed_is_not_put_in_place(
    tmp_path: Path, change: dict[str, bytes | None], message: str
) -> None:
    files, digest = build_package(FILES)
    changed = {path: content for path, content in {**files, **change}.items() if content is not None}
    with MLflowServer(changed) as server, pytest.raises(Mismatch, match=message):
        install(server, digest, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_consistent_package_with_another_digest_is_refused(tmp_path: Path) -> None:
    _, asked_for = build_package(FILES)
    files, found = build_package({**FILES, "model.joblib": b"a forged model"})
    with MLflowServer(files) as server, pytest.raises(Mismatch, match=f"{found}, but {asked_for} is what was asked"):
        install(server, asked_for, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "..", "", "a/b", "..\\evil", "a\nb"])
def test_a_listed_name_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    files, digest = build_package(FILES)
    destination = tmp_path / "models"
    with (
        MLflowServer(files, renames={"model.joblib": name}) as server,
        pytest.raises(Mismatch, match="which no package has"),
    ):
        install(server, digest, destination)
    assert list(destination.iterdir()) == []


def test_a_version_without_files_is_not_found(tmp_path: Path) -> None:
    _, digest = build_package(FILES)
    with MLflowServer({}) as server, pytest.raises(NotFound, match="has no files"):
        install(server, digest, tmp_path)


def test_an_unknown_version_is_not_asked_for_again(tmp_path: Path) -> None:
    _, digest = build_package(FILES)
    version = address.parse(f"models:/claim-risk/8?digest={digest}")
    with MLflowServer({}) as server:
        with pytest.raises(NotFound, match="no version 8 of the model 'claim-risk'"):
            installation.install(version, Registry.at(server.url), tmp_path)
        assert server.requests.total() == 1


@pytest.mark.parametrize(
    "source", ["s3://bucket/package", "mlflow-artifacts:/", "mlflow-artifacts:/0/../../secrets", "models:/m-1", ""]
)
def test_files_that_mlflow_does_not_serve_are_refused(tmp_path: Path, source: str) -> None:
    files, digest = build_package(FILES)
    with MLflowServer(files, source=source) as server, pytest.raises(InvalidAddress, match="--serve-artifacts"):
        install(server, digest, tmp_path)


def test_a_refusal_is_not_retried(tmp_path: Path) -> None:
    files, digest = build_package(FILES)
    path = "/api/2.0/mlflow/model-versions/get"
    with MLflowServer(files, faults={path: [403]}) as server:
        with pytest.raises(RegistryUnavailable, match=r"refused .*HTTP 403"):
            install(server, digest, tmp_path)
        assert server.requests[path] == 1


def test_an_mlflow_that_stays_away_is_an_error_after_all_attempts(tmp_path: Path) -> None:
    _, digest = build_package(FILES)
    with MLflowServer({}) as server:
        url = server.url
    version = address.parse(f"models:/claim-risk/7?digest={digest}")
    with pytest.raises(RegistryUnavailable, match=r"in 6 attempts: .*refused"):
        installation.install(version, Registry(url=url, first_retry_seconds=0.01), tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "models:/claim-risk/7",
        "models:/claim-risk@champion",
        "models:/claim-risk/7?digest=sha256:abc",
        "models:/claim-risk/0?digest=sha256:" + "0" * 64,
        "models:/a/b/7?digest=sha256:" + "0" * 64,
        "s3://bucket/package?digest=sha256:" + "0" * 64,
    ],
)
def test_a_uri_that_pins_nothing_is_refused(uri: str) -> None:
    with pytest.raises(InvalidAddress, match=r"write models:/<name>/<version>\?digest=sha256:"):
        address.parse(uri)


def test_a_name_may_be_quoted() -> None:
    assert address.parse("models:/claim%20risk/7?digest=sha256:" + "0" * 64).name == "claim risk"


def test_every_error_is_of_one_family() -> None:
    family = {DestinationInUse, InvalidAddress, Mismatch, NotFound, RegistryUnavailable}
    assert set(StorageError.__subclasses__()) == family


def run(source: str, destination: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as KServe does, without site-packages: the image has none."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "claims_storage", source, str(destination)],
        env={"PYTHONPATH": str(ROOT / "runtimes" / "storage"), "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_program_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    files, digest = build_package(FILES)
    with MLflowServer(files) as server:
        done = run(f"models:/claim-risk/7?digest={digest}", tmp_path, MLFLOW_TRACKING_URI=server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "claim-risk version 7" in done.stdout
    assert read(tmp_path) == files


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "MLFLOW_TRACKING_URI is not set"),
        ({"MLFLOW_TRACKING_URI": "mlflow:5000"}, "must be an address like http://"),
    ],
)
def test_the_program_says_in_one_line_what_is_wrong(tmp_path: Path, environment: dict[str, str], message: str) -> None:
    done = run("models:/claim-risk/7?digest=sha256:" + "0" * 64, tmp_path, **environment)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
