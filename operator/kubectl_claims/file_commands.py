"""The commands that need no cluster: lint, render."""

from pathlib import Path

import click

from kubectl_claims import documents, tables
from kubectl_claims.documents import Document
from kubectl_claims.errors import Trouble
from kubectl_claims.linting import NOT_ALL_CHECKED, Verdict
from kubectl_claims.linting import lint as judge
from kubectl_claims.objects import name_of
from kubectl_claims.options import MACHINE_FORMS, output_option

_FILE = click.Path(path_type=Path, exists=True, allow_dash=True)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--old", type=_FILE, help="The object as it is now: judge the change from it as well.")
@output_option(*MACHINE_FORMS)
def lint(files: tuple[Path, ...], *, old: Path | None, form: str | None) -> None:
    """Find what is wrong with ClaimsModels in files.

    It applies the schema and the rules of the CRD that this version comes with, in the API server's own sentences, and
    what the operator checks besides. Other objects in the files are passed over. It asks no cluster: whether the
    registry has the model, and whether a Prometheus address is allowed, only a cluster can tell.

    \b
    Examples:
      kubectl claims lint claim-risk.yaml
      kustomize build overlays/production | kubectl claims lint -
      kubectl claims lint claim-risk.yaml --old <(git show main:claim-risk.yaml)
    """
    before = {} if old is None else {_identity(document): document for document in documents.read_models((old,))}
    found = documents.read_models(files)
    verdicts = []
    for document in found:
        earlier = before.get(_identity(document))
        verdicts.append((document, judge(document.content, None if earlier is None else earlier.content)))
    if form is not None:
        tables.dump([_to_json(document, verdict) for document, verdict in verdicts], form)
    else:
        for document, verdict in verdicts:
            _say(document, verdict)
    wrong = sum(bool(verdict.problems) for _, verdict in verdicts)
    if wrong:
        raise Trouble(f"{wrong} of {len(found)} ClaimsModels would be refused")


def _identity(document: Document) -> tuple[str, str]:
    metadata = document.content.get("metadata") or {}
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _title(document: Document) -> str:
    try:
        return f"{document.source}: {name_of(document.content)}"
    except (KeyError, TypeError):
        return f"{document.source}: a ClaimsModel without a name"


def _say(document: Document, verdict: Verdict) -> None:
    if not verdict.problems:
        click.echo(f"{_title(document)} is fine")
        return
    click.echo(_title(document))
    for problem in verdict.problems:
        click.echo(f"  {problem}" + (f" ({problem.hint})" if problem.hint else ""))
    if not verdict.rules_were_checked:
        click.echo(f"  {NOT_ALL_CHECKED}")


def _to_json(document: Document, verdict: Verdict) -> dict[str, object]:
    return {
        "source": document.source,
        "name": _identity(document)[1],
        "valid": not verdict.problems,
        "rulesChecked": verdict.rules_were_checked,
        "problems": [
            {"path": problem.path, "message": str(problem), "hint": problem.hint} for problem in verdict.problems
        ],
    }
