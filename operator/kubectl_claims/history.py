"""``kubectl claims history``: the attempts of a ClaimsModel, how each ended, and what was seen at each step."""

import datetime as dt
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from kubectl_claims import metrics
from kubectl_claims.errors import NotFound
from kubectl_claims.objects import Object, parse_time, percent, span, status_of
from kubectl_claims.tables import plain_table

COLOURS = {"Promoted": "green", "RolledBack": "bold red", "Running": "cyan", "Withdrawn": "yellow"}
_MARKS = {"Pass": "passed", "Fail": "failed", "Inconclusive": "inconclusive", "NoData": "no data", "Error": "error"}


def attempts_table(rollouts: tuple[Object, ...], now: dt.datetime, *, wide: bool) -> Table:
    """Return one row per attempt, the latest last."""
    columns = ["ATTEMPT", "FROM", "TO", "RESULT", "REASON", "STARTED", "DURATION", "EVIDENCE"]
    table = plain_table(*columns, *(["MESSAGE"] if wide else []))
    for rollout in rollouts:
        spec, status = rollout["spec"], status_of(rollout)
        result = str(status.get("result", "Running"))
        table.add_row(
            str(spec["attempt"]),
            str((spec.get("stable") or {}).get("version", "-")),
            str(spec["candidate"]["version"]),
            Text(result, style=COLOURS.get(result, "")),
            str(status.get("reason", "-")),
            str(status.get("startedAt", "-")),
            span(duration(rollout, now)),
            evidence(status),
            *([str(status.get("message", ""))] if wide else []),
        )
    return table


def duration(rollout: Object, now: dt.datetime) -> dt.timedelta | None:
    """Return how long an attempt took, or takes."""
    status = status_of(rollout)
    started, finished = parse_time(status.get("startedAt")), parse_time(status.get("finishedAt"))
    return None if started is None else (finished or now) - started


def evidence(status: Object) -> str:
    """Return what the last look at the metrics showed, in a few words."""
    looks = [step["analysis"] for step in status.get("steps") or () if step.get("analysis")]
    if not looks:
        return "nothing was measured"
    return ", ".join(
        f"{metric['metric']} {_MARKS.get(metric['verdict'], metric['verdict'])} ({metric.get('candidateSamples', 0)})"
        for metric in looks[-1]
    )


def find_attempt(rollouts: tuple[Object, ...], attempt: int, name: str) -> Object:
    """Return one attempt; raise NotFound with those that there are."""
    for rollout in rollouts:
        if rollout["spec"]["attempt"] == attempt:
            return rollout
    known = ", ".join(str(rollout["spec"]["attempt"]) for rollout in rollouts) or "none"
    raise NotFound(f"{name} has no attempt {attempt} on record; there are: {known}")


def attempt_details(rollout: Object, now: dt.datetime, *, wide: bool) -> Iterator[RenderableType]:
    """Yield how an attempt went, step by step."""
    spec, status = rollout["spec"], status_of(rollout)
    head = Table.grid(padding=(0, 2, 0, 0))
    before = spec.get("stable") or {}
    result = str(status.get("result", "Running"))
    rows: tuple[tuple[str, str | Text | None], ...] = (
        ("Attempt:", f"{spec['attempt']} of {spec['model']}"),
        ("From:", f"{before['version']} (revision {before['revision']})" if before else "nothing: the first version"),
        ("To:", f"{spec['candidate']['version']} (revision {spec['candidate']['revision']})"),
        ("Result:", Text(f"{result} ({status.get('reason', '-')})", style=COLOURS.get(result, ""))),
        ("Message:", status.get("message")),
        ("Started:", status.get("startedAt")),
        ("Finished:", status.get("finishedAt")),
        ("Duration:", span(duration(rollout, now))),
    )
    for label, value in rows:
        if value:
            head.add_row(label, value)
    yield head
    for step in status.get("steps") or ():
        yield Text()
        yield Text(_step_title(step, now), style="bold")
        if step.get("analysis"):
            yield from metrics.show_metrics(step["analysis"], wide=wide)
        else:
            yield Text("nothing was measured")


def _step_title(step: Object, now: dt.datetime) -> str:
    started, finished = parse_time(step.get("startedAt")), parse_time(step.get("finishedAt"))
    lasted = span(None if started is None else (finished or now) - started)
    under_way = "" if finished is not None else ", under way"
    return f"Step {step['step']}, {percent(step['weight'])}, from {step.get('startedAt', '-')} for {lasted}{under_way}"
