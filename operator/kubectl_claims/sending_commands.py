"""The commands that send something: predict to the route, outcomes to the feedback service."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, TextIO

import click

from kubectl_claims import predicting, scene, tables
from kubectl_claims.connection import Api, Target
from kubectl_claims.errors import Trouble
from kubectl_claims.options import MACHINE_FORMS, cluster_options, model_argument, output_option, run

OUTCOMES: Final = "claims-feedback-outcomes"
"""The feedback service's own command, which loads outcomes."""


@click.command()
@model_argument
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--grpc", is_flag=True, help="Ask by gRPC; else by REST.")
@click.option("--gateway", metavar="URL", help="Where the gateway is, if the route's host does not resolve from here.")
@output_option(*MACHINE_FORMS)
@cluster_options
def predict(name: str, *, file: TextIO, grpc: bool, gateway: str | None, form: str | None,
            target: Target) -> None:  # fmt: skip
    """Send a V2 request in a file through the route.

    It is a request like any other: it counts as evidence in a rollout, and its prediction is stored. The kserve package
    has to be installed (claims-operator[cli,predict]).

    \b
    Examples:
      kubectl claims predict claim-risk claims.json
      kubectl claims predict claim-risk claims.json --grpc --gateway http://127.0.0.1:18080
    """
    request = predicting.read_request(file.read())

    async def work() -> predicting.Answer:
        async with await Api.connect(target) as api:
            model = await scene.find_model(api, name)
        return await predicting.predict(model, request, gateway=gateway, grpc=grpc)

    answer = run(work())
    if form is not None:
        tables.dump(answer.response, form)
        return
    columns, rows = predicting.rows(answer.response)
    table = tables.plain_table(*columns)
    for row in rows:
        table.add_row(*row)
    tables.show([table])
    if answer.variant is not None:
        click.echo(f"answered by revision {answer.variant}", err=True)


@click.group()
def outcomes() -> None:
    """Hand outcomes to the feedback service.

    \b
    Examples:
      kubectl claims outcomes load outcomes.csv
      kubectl claims outcomes load --help
    """


def _delegate(command: str) -> click.Command:
    @click.command(
        command,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
        help=f"Run `{OUTCOMES} {command}`, which has options and exit codes of its own (--help).",
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def delegate(arguments: tuple[str, ...]) -> None:
        # Beside this command first: installed together, they belong together.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        program = shutil.which(OUTCOMES, path=path)
        if program is None:
            raise Trouble(f"there is no {OUTCOMES} here, which loads outcomes; it comes with claims-feedback")
        raise SystemExit(subprocess.run([program, command, *arguments], check=False).returncode)

    return delegate


for name in ("load", "pull"):
    outcomes.add_command(_delegate(name))
