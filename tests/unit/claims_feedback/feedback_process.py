"""A real feedback service in a process of its own, and the bodies that are sent to it."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from claims_contract import events, tensors

TOKEN = "a-token-of-the-tests"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
BATCH = {"content-type": events.BATCH_CONTENT_TYPE}
ROOT = Path(__file__).parents[3]
START_SECONDS = 20.0


class Running:
    """A service that was started; `client` speaks to it."""

    def __init__(self, process: "subprocess.Popen[bytes]", client: httpx.Client, log: Path) -> None:
        self.process = process
        self.client = client
        self.log = log

    def post_events(self, batch: list[dict[str, Any]]) -> httpx.Response:
        return self.client.post(events.EVENTS_PATH, json=batch, headers=BATCH)

    def post_outcomes(self, outcomes: list[dict[str, Any]], **headers: str) -> httpx.Response:
        return self.client.post(events.OUTCOMES_PATH, json={"outcomes": outcomes}, headers=AUTHORIZED | headers)

    def totals(self, **query: str) -> list[dict[str, Any]]:
        response = self.client.get("/v1/totals", params=query)
        assert response.status_code == 200, response.text
        totals: list[dict[str, Any]] = response.json()["totals"]
        return totals

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can tell."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """End it as the kubelet does; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=START_SECONDS)


@contextmanager
def running(folder: Path, *, file_max_bytes: int | None = None, **settings: str) -> Iterator[Running]:
    """Run the service over the database in a folder.

    ``file_max_bytes``: the kernel refuses to let a file of it grow beyond this. ``settings``: by field name.
    """
    port = free_port()
    log = folder / "service.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "claims_feedback"],
            env=environment(folder, listen_port=str(port), **settings),
            stdout=output,
            stderr=output,
            preexec_fn=_limit_files(file_max_bytes),
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            _wait_until_ready(process, client, log)
            yield Running(process, client, log)
    finally:
        process.kill()
        process.wait()


def environment(folder: Path, **settings: str) -> Mapping[str, str]:
    """Return the environment of a service over the database in a folder, with a token file made in it."""
    token_file = folder / "token"
    token_file.write_text(f"an-older-token-of-the-tests\n{TOKEN}\n")
    defaults = {"database": str(folder / "feedback.db"), "token_file": str(token_file), "listen_host": "127.0.0.1"}
    paths = (ROOT / "runtimes" / "feedback", ROOT / "runtimes" / "contract")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        **{f"CLAIMS_FEEDBACK_{field.upper()}": value for field, value in (defaults | settings).items()},
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def event(request_id: str, row: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a valid event; the changes are of its data, and its source and id follow them."""
    data: dict[str, Any] = {
        "namespace": "claims",
        "model": "claim-risk",
        "revision": "a1",
        "requestId": request_id,
        "row": row,
        "claimId": None,
        "attempt": 1,
        "epoch": 1,
        "decision": tensors.REFER,
        "score": 0.9,
    } | changes
    return {
        "specversion": "1.0",
        "type": events.PREDICTION_TYPE,
        "source": events.prediction_source(data["namespace"], data["model"], data["revision"]),
        "id": events.prediction_id(data["requestId"], data["row"]),
        "time": "2025-11-01T10:00:00Z",
        "datacontenttype": "application/json",
        "data": data,
    }


def outcome(value: str, **changes: Any) -> dict[str, Any]:
    """Return a valid outcome but for whom it is about, which the changes name."""
    return {
        "namespace": "claims",
        "model": "claim-risk",
        "outcome": value,
        "observedAt": "2025-11-20T10:00:00+01:00",
    } | changes


def _limit_files(file_max_bytes: int | None) -> Callable[[], None] | None:
    if file_max_bytes is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_max_bytes, resource.RLIM_INFINITY))


def _wait_until_ready(process: "subprocess.Popen[bytes]", client: httpx.Client, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(log.read_text())
