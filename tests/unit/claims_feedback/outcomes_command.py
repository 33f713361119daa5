"""The outcomes command against a service that is running."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unit.claims_feedback.feedback_process import ROOT, TOKEN, Running, event

from claims_feedback.outcomes import cli

COMMAND = [sys.executable, "-m", "claims_feedback.outcomes"]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run of the command ended."""

    status: int
    said: str
    counts: dict[str, int]
    """What it printed at the end; empty when it printed nothing."""


def environment(url: str, **variables: str) -> dict[str, str]:
    paths = (ROOT / "runtimes" / "feedback", ROOT / "runtimes" / "contract")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "CLAIMS_FEEDBACK_URL": url,
        "CLAIMS_FEEDBACK_TOKEN": TOKEN,
        **variables,
    }


def run(service: Running | str, *arguments: str | Path, **variables: str) -> Ended:
    """Run the command in this process, which starts sooner."""
    url = service if isinstance(service, str) else str(service.client.base_url)
    out, err = io.StringIO(), io.StringIO()
    with _set(environment(url, **variables)), redirect_stdout(out), redirect_stderr(err):
        status = cli.run([*map(str, arguments)])
    return _ended(status, out.getvalue(), err.getvalue())


def spawn(service: Running | str, *arguments: str | Path, **variables: str) -> Ended:
    """Run the command in a process of its own."""
    url = service if isinstance(service, str) else str(service.client.base_url)
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], env=environment(url, **variables), capture_output=True, text=True, check=False
    )
    return _ended(done.returncode, done.stdout, done.stderr)


def _ended(status: int, out: str, err: str) -> Ended:
    lines = out.splitlines()
    return Ended(status=status, said=err, counts=json.loads(lines[-1]) if lines else {})


@contextmanager
def _set(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def predicted(service: Running, model: str, *claim_ids: str) -> None:
    """Have the service know one prediction, to refer, of each claim."""
    batch = [event(f"{model}-{claim_id}", model=model, claimId=claim_id) for claim_id in claim_ids]
    assert service.post_events(batch).status_code == 200


def results(service: Running, model: str) -> dict[str, Any]:
    """Return the outcomes of the only stratum of a model."""
    (stratum,) = service.totals(namespace="claims", model=model)
    outcomes: dict[str, Any] = stratum["outcomes"]
    return outcomes
