"""``kubectl claims plan``: how long a rollout takes to find out, by the operator's own tests, before it is begun."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubectl_claims import documents, tables
from kubectl_claims.errors import Trouble
from kubectl_claims.objects import span
from kubectl_claims.options import MACHINE_FORMS, Duration, output_option

if TYPE_CHECKING:
    from claims_operator.api.v1alpha1 import ClaimsModelSpec
    from claims_operator.core.planning import Expected, Plan

_SHARE = click.FloatRange(0, 1, min_open=True)
_INNER = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command("plan")
@click.argument("file", type=click.Path(path_type=Path, exists=True, allow_dash=True), required=False)
@click.option("--requests-per-second", type=click.FloatRange(0, min_open=True), required=True, metavar="N")
@click.option("--wrong-share", type=_INNER, required=True, metavar="SHARE", help="Stable's share of wrong decisions.")
@click.option("--margin", type=_INNER, metavar="SHARE", help="Else spec.analysis.accuracy.margin of the file.")
@click.option("--labelled-share", type=_SHARE, default=1.0, metavar="SHARE", show_default=True,
              help="Share of the requests whose outcome becomes known.")  # fmt: skip
@click.option("--label-delay", type=Duration(), default="0", metavar="TIME", help="Mean time until it does, as in 24h.")
@output_option(*MACHINE_FORMS)
def plan(file: Path | None, *, requests_per_second: float, wrong_share: float, margin: float | None,
         labelled_share: float, label_delay: dt.timedelta | None, form: str | None) -> None:  # fmt: skip
    """Tell how long accuracy takes to be shown.

    Steps, confidence and margin are those of a ClaimsModel in a file, or the defaults. The times are near the medians:
    half of the rollouts take longer. Errors and latency are not in it, nor are bursts and faults.

    \b
    Examples:
      kubectl claims plan claim-risk.yaml --requests-per-second 20 --wrong-share 0.12 --labelled-share 0.3
      kubectl claims plan --margin 0.02 --requests-per-second 1 --wrong-share 0.12 --label-delay 24h
    """
    spec = None if file is None else _read(file)
    if margin is None:
        if spec is None or spec.analysis.accuracy is None:
            raise click.UsageError("write --margin, or name a file with spec.analysis.accuracy")
        margin = float(spec.analysis.accuracy.margin)
    delay_seconds = 0.0 if label_delay is None else label_delay.total_seconds()
    found = _plan(spec, margin, wrong_share, requests_per_second, labelled_share, delay_seconds)
    cases = [("as good as stable", found.equal)]
    cases += [(f"worse by {100 * margins * margin:g} points", worse) for margins, worse in found.worse.items()]
    if form is not None:
        tables.dump([_to_json(case, expected) for case, expected in cases], form)
        return
    table = tables.plain_table("CANDIDATE", "ENDS", "AFTER", "CANDIDATE REQUESTS", "OUTCOMES")
    for case, expected in cases:
        after = span(dt.timedelta(seconds=expected.seconds))
        table.add_row(
            case, expected.ending.value, after, f"{expected.candidate_requests:.0f}", f"{expected.outcomes:.0f}"
        )
    tables.show([table])


def _read(file: Path) -> "ClaimsModelSpec":
    from claims_operator.api.v1alpha1 import ClaimsModelSpec
    from kubectl_claims import linting

    found = documents.read_models((file,))
    if len(found) > 1:
        raise Trouble(f"there are {len(found)} ClaimsModels in {file}; a plan is of one")
    problems = linting.lint(found[0].content).problems
    if problems:
        raise Trouble(f"{found[0].source} would be refused: {problems[0]}; `kubectl claims lint {file}` says all")
    return ClaimsModelSpec.model_validate(found[0].content["spec"])


def _plan(
    spec: "ClaimsModelSpec | None",
    margin: float,
    wrong_share: float,
    requests_per_second: float,
    labelled_share: float,
    delay_seconds: float,
) -> "Plan":
    from claims_operator.api.quantities import to_timedelta
    from claims_operator.api.v1alpha1 import Analysis, Rollout
    from claims_operator.core import planning

    rollout, analysis = (Rollout(), Analysis()) if spec is None else (spec.rollout, spec.analysis)
    return planning.plan(
        margin=margin,
        rate=wrong_share,
        workload=planning.Workload(
            requests_per_second=requests_per_second,
            labelled_share=labelled_share,
            label_delay_seconds=delay_seconds,
        ),
        steps=[
            planning.PlannedStep(
                weight=step.weight / 100,
                seconds=to_timedelta(step.min_duration).total_seconds(),
                min_requests=step.min_requests,
            )
            for step in rollout.steps
        ],
        confidence=float(analysis.confidence),
        interval_seconds=to_timedelta(analysis.interval).total_seconds(),
    )


def _to_json(case: str, expected: "Expected") -> dict[str, Any]:
    return {
        "candidate": case,
        "ending": expected.ending.value,
        "seconds": round(expected.seconds),
        "candidateRequests": round(expected.candidate_requests),
        "outcomes": round(expected.outcomes),
    }
