"""``kubectl claims``: the commands, and what is common to all."""

import sys

import click

from kubectl_claims import cluster_commands, file_commands, sending_commands
from kubectl_claims import completion as completions
from kubectl_claims.plan_command import plan

EPILOG = """\b
Exit codes:
  0  it worked
  1  trouble: no answer, a refusal, or a file that lint finds wrong
  2  the command cannot be understood
  3  there is no such object
  4  what was waited for did not come in time
  5  what was waited for will not come unless somebody acts
"""


@click.group(
    name="claims",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def claims() -> None:
    """Show what ClaimsModels do and why, and try their files without a cluster.

    \b
    Examples:
      kubectl claims get claim-risk --watch
      kubectl claims explain claim-risk
    """


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Write what makes a shell complete kubectl-claims.

    \b
    Examples:
      source <(kubectl claims completion bash)
      kubectl claims completion fish > ~/.config/fish/completions/kubectl-claims.fish

    "kubectl claims" itself is completed by kubectl's own completion, which finds kubectl_complete-claims on the PATH.
    """
    click.echo(completions.script(claims, shell))


for command in (
    cluster_commands.get,
    cluster_commands.list_models,
    cluster_commands.explain,
    cluster_commands.show_history,
    cluster_commands.wait,
    file_commands.lint,
    file_commands.render,
    plan,
    sending_commands.predict,
    sending_commands.outcomes,
    completion,
):
    claims.add_command(command)


def main() -> None:
    """Run the command that the shell asks for."""
    claims(prog_name="kubectl claims", complete_var=completions.VARIABLE)


def complete_for_kubectl() -> None:
    """Run as ``kubectl_complete-claims``: write the candidates for the last argument."""
    click.echo(completions.for_kubectl(claims, sys.argv[1:]), nl=False)
