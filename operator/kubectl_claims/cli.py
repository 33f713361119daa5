"""``kubectl claims``: the commands, and what is common to all."""

import click

from kubectl_claims import cluster_commands, file_commands

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


for command in (
    cluster_commands.get,
    cluster_commands.list_models,
    cluster_commands.explain,
    cluster_commands.show_history,
    cluster_commands.wait,
    file_commands.lint,
):
    claims.add_command(command)


def main() -> None:
    """Run the command that the shell asks for."""
    claims(prog_name="kubectl claims")
