"""The command as a shell runs it: a process of its own with a kubeconfig."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
FINISH_SECONDS = 180.0


@dataclass(frozen=True)
class Answer:
    code: int
    output: str
    errors: str


def environment(kubeconfig: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'runtimes/contract'}",
        "PYTHONUNBUFFERED": "1",
        "KUBECONFIG": str(kubeconfig),
    }


def hear_ctrl_c() -> None:
    """Let a process hear Ctrl-C, though the tests run in the background of a shell, which has turned it off."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def start(kubeconfig: Path, *arguments: str) -> Process:
    """Start ``kubectl claims`` with these arguments."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kubectl_claims", *arguments),
        env=environment(kubeconfig),
        stdout=PIPE,
        stderr=PIPE,
        preexec_fn=hear_ctrl_c,
    )


async def finish(process: Process) -> Answer:
    """Wait for its end, and end it where that does not come."""
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout=FINISH_SECONDS)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Answer(process.returncode, output.decode(), errors.decode())


async def run(kubeconfig: Path, *arguments: str) -> Answer:
    """Run ``kubectl claims`` to its end."""
    return await finish(await start(kubeconfig, *arguments))
