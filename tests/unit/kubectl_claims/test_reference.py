"""The reference names every command, every option and every exit code."""

from pathlib import Path

import click
import pytest

from kubectl_claims import errors
from kubectl_claims.cli import claims

REFERENCE = (Path(__file__).parents[3] / "docs/reference/kubectl-claims.md").read_text(encoding="utf-8")

COMMANDS = REFERENCE.partition("## Goals")[0]


@pytest.mark.parametrize("name", sorted(claims.commands))
def test_the_reference_has_the_command_with_its_options(name: str) -> None:
    [row] = [line for line in COMMANDS.splitlines() if line.startswith((f"| `{name}`", f"| `{name} "))]
    options = [
        max(option.opts, key=len)
        for option in claims.commands[name].params
        if isinstance(option, click.Option) and option.name not in {"context", "kubeconfig", "namespace"}
    ]

    assert [option for option in options if option not in row] == []


def test_the_reference_and_the_help_have_the_exit_codes() -> None:
    raised = (errors.Trouble, errors.NotFound, errors.TimedOut, errors.NotComing, click.UsageError)
    codes = {kind.exit_code for kind in raised}
    assert claims.epilog is not None

    for code in codes:
        assert f"\n| {code} | " in REFERENCE
        assert f"\n  {code}  " in claims.epilog
