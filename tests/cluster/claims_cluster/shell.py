"""Run other programs, and say what they said when they fail."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Failure(Exception):
    """Something a person has to know or mend; the message is a whole sentence that names the remedy."""


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdin: str | bytes | None = None,
    timeout_seconds: float = 3600.0,
) -> str:
    """Run a program and return its standard output, decoded.

    With ``log`` both its outputs go to that file instead and the answer is empty.

    Raises:
        Failure: it ended with another code than 0, was not there or took too long; holds the last lines it printed.
    """
    words = [str(word) for word in command]
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        if log:
            with log.open("ab") as out:
                done = subprocess.run(
                    words,
                    cwd=cwd,
                    env=env,
                    input=data,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_seconds,
                    check=False,
                )
            said = tail(log, 15) if done.returncode else ""
            output = b""
        else:
            done = subprocess.run(
                words,
                cwd=cwd,
                env=env,
                input=data,
                capture_output=True,
                timeout=timeout_seconds,
                check=False,
            )
            output = done.stdout
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
    except FileNotFoundError as missing:
        raise Failure(f"The program {words[0]} is not there.") from missing
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{shown(words)} took more than {timeout_seconds:.0f} s.") from late
    if done.returncode:
        raise Failure(f"{shown(words)} ended with code {done.returncode}:\n{said[-3000:]}")
    return output.decode(errors="replace")


def succeeds(*command: str | Path) -> bool:
    """Tell whether a program ends with code 0; its output is thrown away."""
    return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0


def shown(words: Sequence[str]) -> str:
    """Return a command line short enough for a message."""
    text = " ".join(words)
    return text if len(text) <= 160 else text[:157] + "..."


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a text file."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 200 * lines))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
