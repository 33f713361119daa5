"""The commands that need no cluster: lint and render. What they import takes a second, which others need not spend."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubectl_claims import documents, tables
from kubectl_claims.documents import Document
from kubectl_claims.errors import Trouble
from kubectl_claims.objects import name_of
from kubectl_claims.options import MACHINE_FORMS, output_option

if TYPE_CHECKING:
    from kubectl_claims.linting import Verdict

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
    from kubectl_claims import linting

    before = {} if old is None else {_identity(document): document for document in documents.read_models((old,))}
    found = documents.read_models(files)
    verdicts = []
    for document in found:
        earlier = before.get(_identity(document))
        verdicts.append((document, linting.lint(document.content, None if earlier is None else earlier.content)))
    if form is not None:
        tables.dump([_to_json(document, verdict) for document, verdict in verdicts], form)
    else:
        for document, verdict in verdicts:
            _say(document, verdict)
    wrong = sum(bool(verdict.problems) for _, verdict in verdicts)
    if wrong:
        raise Trouble(f"{wrong} of {len(found)} ClaimsModels would be refused")


def _identity(document: Document) -> tuple[str, str]:
    metadata = document.content.get("metadata")
    if not isinstance(metadata, dict):
        return "", ""
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _title(document: Document) -> str:
    try:
        return f"{document.source}: {name_of(document.content)}"
    except (KeyError, TypeError):
        return f"{document.source}: a ClaimsModel without a name"


def _say(document: Document, verdict: "Verdict") -> None:
    if not verdict.problems:
        click.echo(f"{_title(document)} is fine")
        return
    click.echo(_title(document))
    for problem in verdict.problems:
        click.echo(f"  {problem}" + (f" ({problem.hint})" if problem.hint else ""))
    if not verdict.rules_were_checked:
        click.echo("  some rules were not checked; they are once this is mended")


def _to_json(document: Document, verdict: "Verdict") -> dict[str, object]:
    return {
        "source": document.source,
        "name": _identity(document)[1],
        "valid": not verdict.problems,
        "rulesChecked": verdict.rules_were_checked,
        "problems": [
            {"path": problem.path, "message": str(problem), "hint": problem.hint} for problem in verdict.problems
        ],
    }


@click.command()
@click.argument("file", type=_FILE)
@click.option("-n", "--namespace", metavar="NAME", help="Namespace; else that in the file, else default.")
@click.option("--digest", metavar="sha256:HEX", help="Digest of the model package; else it is shown as zeros.")
@output_option(*MACHINE_FORMS)
def render(file: Path, *, namespace: str | None, digest: str | None, form: str | None) -> None:
    """Show the InferenceService and HTTPRoute that would be made.

    They are those of a ClaimsModel at rest, made by the operator's own code. The platform's settings are read from the
    operator's environment variables (CLAIMS_GATEWAY_NAME, CLAIMS_ROUTE_DOMAIN, ...), with its defaults. What only the
    registry and the API server know, digest and uid, is zeros, and with them the revision in the names is another.

    \b
    Examples:
      kubectl claims render claim-risk.yaml
      CLAIMS_ROUTE_DOMAIN=models.example.com kubectl claims render claim-risk.yaml -o json
    """
    from kubectl_claims import linting, rendering

    if digest is not None and not rendering.DIGEST.fullmatch(digest):
        raise click.BadParameter(f"{digest!r}: write sha256: and 64 hex digits", param_hint="--digest")
    children: list[dict[str, Any]] = []
    for document in documents.read_models((file,)):
        verdict = linting.lint(document.content)
        if verdict.problems:
            _say(document, verdict)
            raise Trouble(f"{_title(document)} would be refused, so nothing would be made")
        children += rendering.render(document.content, namespace, digest or rendering.UNKNOWN_DIGEST)
    if form == "json":
        tables.dump({"apiVersion": "v1", "kind": "List", "items": children}, form)
    else:
        tables.dump_documents(children)
