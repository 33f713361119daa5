"""The commands that read a cluster: get, list, explain, history, wait."""

import datetime as dt
from typing import Any

import click

from claims_contract import labels
from claims_operator.api import names
from kubectl_claims import explaining, history, live, scene, tables, tree, waiting
from kubectl_claims.connection import Api, Target
from kubectl_claims.objects import Object
from kubectl_claims.options import MACHINE_FORMS, Duration, cluster_options, model_argument, output_option, run, utc_now


@click.command()
@model_argument
@click.option("-w", "--watch", is_flag=True, help="Show every change, until Ctrl-C.")
@output_option("wide", *MACHINE_FORMS)
@cluster_options
def get(name: str, *, watch: bool, form: str | None, target: Target) -> None:
    """Show a ClaimsModel: revisions, pods, steps, metrics.

    \b
    Examples:
      kubectl claims get claim-risk
      kubectl claims get claim-risk --watch
      kubectl claims get claim-risk -o json | jq .claimsModel.status.analysis
    """
    if watch and form in MACHINE_FORMS:
        raise click.UsageError(f"--watch shows pictures; for {form}, write `kubectl get clm {name} -o {form} --watch`")

    def render(seen: scene.Scene) -> Any:
        return tree.tree(seen, utc_now(), wide=form == "wide")

    async def work() -> None:
        async with await Api.connect(target) as api:
            if watch:
                await live.watch(api, name, render)
                return
            seen = await scene.read(api, name)
        if form in MACHINE_FORMS:
            tables.dump(seen.to_json(), form)
        else:
            tables.show(render(seen))

    try:
        run(work())
    except SystemExit:
        if not watch:
            raise


@click.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@output_option("wide", *MACHINE_FORMS)
@cluster_options
def list_models(*, all_namespaces: bool, form: str | None, target: Target) -> None:
    """List ClaimsModels with what serves and what is tried.

    \b
    Examples:
      kubectl claims list -A
      kubectl claims list -n claims -o wide
    """

    async def work() -> tuple[tuple[Object, ...], str]:
        async with await Api.connect(target) as api:
            return await api.find_all(names.CLAIMS_MODEL, all_namespaces=all_namespaces), api.namespace

    models, namespace = run(work())
    if form in MACHINE_FORMS:
        tables.dump({"apiVersion": "v1", "kind": "List", "items": list(models)}, form)
        return
    if not models:
        click.echo("there are no ClaimsModels" + ("" if all_namespaces else f" in namespace {namespace}"), err=True)
        return
    now = utc_now()
    rows = [tree.model_row(model, now) for model in models]
    hidden = {"URL", "MESSAGE"} - ({"URL", "MESSAGE"} if form == "wide" else set())
    hidden |= set() if all_namespaces else {"NAMESPACE"}
    columns = [column for column in rows[0] if column not in hidden]
    table = tables.plain_table(*columns)
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    tables.show([table])


@click.command()
@model_argument
@output_option(*MACHINE_FORMS)
@cluster_options
def explain(name: str, *, form: str | None, target: Target) -> None:
    """Say what a ClaimsModel waits for, and what would change that.

    \b
    Example:
      kubectl claims explain claim-risk
    """

    async def work() -> scene.Scene:
        async with await Api.connect(target) as api:
            return await scene.read(api, name)

    seen = run(work())
    text = explaining.explain(seen, utc_now())
    if form in MACHINE_FORMS:
        about = {key: seen.status.get(key) for key in ("state", "reason", "message")}
        tables.dump({"name": name, "explanation": text, **about}, form)
    else:
        tables.show([text])


@click.command("history")
@model_argument
@click.argument("attempt", type=click.IntRange(min=1), required=False)
@output_option("wide", *MACHINE_FORMS)
@cluster_options
def show_history(name: str, *, attempt: int | None, form: str | None, target: Target) -> None:
    """List the attempts at new versions, or show one by steps.

    \b
    Examples:
      kubectl claims history claim-risk
      kubectl claims history claim-risk 3
    """

    async def work() -> tuple[Object, ...]:
        async with await Api.connect(target) as api:
            found = await api.find_all(names.CLAIMS_ROLLOUT, labels=f"{labels.MODEL}={name}")
            if not found:
                await scene.find_model(api, name)
            return scene.by_attempt(found)

    rollouts, now = run(work()), utc_now()
    if attempt is not None:
        rollout = history.find_attempt(rollouts, attempt, name)
        if form in MACHINE_FORMS:
            tables.dump(rollout, form)
        else:
            tables.show(history.attempt_details(rollout, now, wide=form == "wide"))
    elif form in MACHINE_FORMS:
        tables.dump({"apiVersion": "v1", "kind": "List", "items": list(rollouts)}, form)
    elif rollouts:
        tables.show([history.attempts_table(rollouts, now, wide=form == "wide")])
    else:
        click.echo(f"{name} has no attempt on record", err=True)


class GoalType(click.ParamType[waiting.Goal]):
    """What ``--for`` takes."""

    name = "goal"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> waiting.Goal:
        """Read what was written."""
        if isinstance(value, waiting.Goal):
            return value
        try:
            return waiting.parse_goal(str(value))
        except ValueError as error:
            self.fail(str(error), parameter, context)


@click.command()
@model_argument
@click.option(
    "--for",
    "goal",
    type=GoalType(),
    required=True,
    metavar="GOAL",
    help="promoted, rolledback, ready, or condition=TYPE[=STATUS].",
)
@click.option(
    "--timeout",
    type=Duration(),
    default="0",
    metavar="TIME",
    help="For example 1h30m; 0, the default: no limit.",
)
@cluster_options
def wait(name: str, *, goal: waiting.Goal, timeout: dt.timedelta | None, target: Target) -> None:
    """Wait until a ClaimsModel is promoted, rolled back or ready.

    \b
    Examples:
      kubectl apply -f claim-risk.yaml && kubectl claims wait claim-risk --for=promoted --timeout=1h
      kubectl claims wait claim-risk --for=condition=Analysed=True --timeout=10m

    What counts is the spec as it is now. It ends as soon as that can no longer come by itself: with exit code 5 and
    the reason where a version was rolled back that was to be promoted. 4: it did not come in time. 3: there is no
    such ClaimsModel.
    """

    async def work() -> str:
        async with await Api.connect(target) as api:
            return await waiting.wait_for(api, name, goal, timeout)

    click.echo(run(work()))
