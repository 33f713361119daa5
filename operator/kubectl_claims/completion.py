"""Shell completion: of ``kubectl-claims`` by click's own scripts, and of ``kubectl claims`` as kubectl asks plugins."""

from typing import Final

import click
from click.shell_completion import ShellComplete, get_completion_class

VARIABLE: Final = "_KUBECTL_CLAIMS_COMPLETE"
"""By this variable the scripts tell the command to complete instead of running."""
EXECUTABLE: Final = "kubectl-claims"

_NO_FILES, _FILES_TOO = 4, 0
"""What kubectl is told to do beside the candidates, in cobra's numbers."""


def script(group: click.Command, shell: str) -> str:
    """Return what a shell has to source. Raise ValueError for a shell that is not known."""
    found = get_completion_class(shell)
    if found is None:
        raise ValueError(f"there is no completion for {shell}")
    return found(group, {}, EXECUTABLE, VARIABLE).source()


def for_kubectl(group: click.Command, words: list[str]) -> str:
    """Return candidates for the last word as kubectl wants them from ``kubectl_complete-claims``: one line each, with
    a tab before its help, then a number.
    """
    *before, incomplete = words or [""]
    items = ShellComplete(group, {}, EXECUTABLE, VARIABLE).get_completions(before, incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else item.value for item in items if item.type == "plain"]
    wants_files = any(item.type != "plain" for item in items)
    return "\n".join([*lines, f":{_FILES_TOO if wants_files else _NO_FILES}", ""])
