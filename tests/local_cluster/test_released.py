"""Programs that somebody released are fetched, checked and used; the others are built."""

import functools
import hashlib
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from claims_cluster import parts, released
from claims_cluster.parts import KUBE_NAMES
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure

PROGRAM = b"#!/bin/sh\necho released\n"
SUM = hashlib.sha256(PROGRAM).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a web server serves and the setting names, with an empty cache."""
    shared = tmp_path / "released"
    shared.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(shared))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv(released.VARIABLE, f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("CLAIMS_CACHE", str(tmp_path / "cache"))
    yield shared
    server.shutdown()
    thread.join()
    server.server_close()


def publish(folder: Path, *names: str, digest: str = SUM) -> None:
    for name in names:
        (folder / name).write_bytes(PROGRAM)
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name in names))


def test_a_released_program_is_fetched_and_runs(folder: Path) -> None:
    publish(folder, "helm", *KUBE_NAMES)
    for name in ("helm", "kube"):
        parts.ensure_program(name, Progress())
    for name in ("helm", *KUBE_NAMES):
        assert subprocess.run([parts.program(name)], capture_output=True, check=True).stdout == b"released\n"
    assert not parts.program("kube").exists(), "nothing of it had to be built"


def test_a_program_that_is_not_listed_is_built(folder: Path) -> None:
    publish(folder, "helm")
    parts.ensure_program("pause", Progress())
    assert os.access(parts.program("pause"), os.X_OK)


def test_a_wrong_sum_is_refused_and_leaves_nothing(folder: Path) -> None:
    publish(folder, "helm", digest="0" * 64)
    with pytest.raises(Failure, match=f"helm has the sum {SUM}, and SHA256SUMS beside it says 0000"):
        parts.ensure_program("helm", Progress())
    assert list(parts.program("helm").parent.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "SHA256SUMS does not answer .*404"),
        ("<html>\n", "a line that is not a SHA-256 sum and a name: '<html>'"),
    ],
)
def test_a_list_that_is_none_is_named(folder: Path, text: str | None, message: str) -> None:
    if text is not None:
        (folder / "SHA256SUMS").write_text(text)
    with pytest.raises(Failure, match=message):
        parts.ensure_program("helm", Progress())
    assert not parts.program("helm").exists()
