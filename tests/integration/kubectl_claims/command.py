"""The command as a shell runs it: a process of its own with a kubeconfig."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


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


async def start(kubeconfig: Path, *arguments: str) -> Process:
    """Start ``kubectl claims`` with these arguments."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kubectl_claims", *arguments, env=environment(kubeconfig), stdout=PIPE, stderr=PIPE
    )


async def finish(process: Process) -> Answer:
    output, errors = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, output.decode(), errors.decode())


async def run(kubeconfig: Path, *arguments: str) -> Answer:
    """Run ``kubectl claims`` to its end."""
    return await finish(await start(kubeconfig, *arguments))
