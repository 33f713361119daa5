"""``kubectl claims get``: one ClaimsModel as a tree of revisions and pods, with its steps and metrics."""

import datetime as dt
from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from kubectl_claims import metrics, pods
from kubectl_claims.objects import (
    Object,
    age,
    clock_time,
    condition_of,
    created_at,
    is_current,
    name_of,
    parse_time,
    percent,
    span,
)
from kubectl_claims.revisions import Revision, revisions
from kubectl_claims.scene import Scene
from kubectl_claims.tables import plain_table

STATE_COLOURS: Final = {
    "Serving": "green",
    "Ready": "green",
    "Progressing": "cyan",
    "Pending": "yellow",
    "RolledBack": "bold red",
    "Blocked": "bold red",
}
_BRANCH, _LAST, _DOWN, _BLANK = "├── ", "└── ", "│   ", "    "


def tree(scene: Scene, now: dt.datetime, *, wide: bool) -> Iterator[RenderableType]:
    """Yield the parts of the picture, from the most to the least important."""
    yield _head(scene, now)
    yield Text()
    yield _objects(scene, now, wide=wide)
    if scene.candidate is not None and scene.spec.get("rollout", {}).get("steps"):
        yield Text()
        yield _steps(scene, scene.candidate, now)
    analysis = scene.status.get("analysis") or ()
    if analysis:
        yield Text()
        if scene.candidate is None:
            yield Text("What the latest attempt showed:")
        yield from metrics.show_metrics(analysis, wide=wide)
    for sentence in scene.unseen:
        yield Text(f"not shown: {sentence}", style="yellow")


def _head(scene: Scene, now: dt.datetime) -> Table:
    status, model = scene.status, scene.spec.get("model", {})
    head = Table.grid(padding=(0, 2, 0, 0))
    state = str(status.get("state") or "Unknown")
    reason = status.get("reason")
    rows: list[tuple[str, str | Text | None]] = [
        ("Name:", name_of(scene.model)),
        ("Namespace:", str(scene.model["metadata"]["namespace"])),
        ("Asked for:", f"{model.get('version')} ({model.get('uri')})"),
        ("State:", Text(state + (f" ({reason})" if reason and reason != state else ""), STATE_COLOURS.get(state, ""))),
        ("Message:", status.get("message")),
        ("URL:", status.get("url")),
        ("Rejected:", _rejected(scene, now)),
    ]
    if not is_current(scene.model):
        generation = scene.model["metadata"].get("generation")
        rows.append(("Note:", f"the operator has not answered to generation {generation} of the spec yet"))
    for label, value in rows:
        if value:
            head.add_row(label, value)
    return head


def _rejected(scene: Scene, now: dt.datetime) -> str:
    rejected = (scene.status.get("rejected") or ())[-3:]
    return ", ".join(
        f"{old['version']} ({old['reason']}" + (f", {span(now - at)} ago)" if (at := parse_time(old["at"])) else ")")
        for old in reversed(rejected)
    )


def _objects(scene: Scene, now: dt.datetime, *, wide: bool) -> Table:
    table = plain_table("NAME", "KIND", "STATUS", "AGE", "INFO", *(["DETAILS"] if wide else []))
    _row(table, "", scene.model, "ClaimsModel", _model_state(scene), now, "", "", wide=wide)
    known = revisions(scene)
    for place, revision in enumerate(known):
        is_last = place == len(known) - 1
        info, details = _revision_info(revision, now), _digest(revision)
        ready = sum(pods.is_ready(pod) for pod in revision.pods)
        label = Text(f"{_LAST if is_last else _BRANCH}{revision.name}")
        cells: list[str | Text] = [label, "Revision", f"{ready}/{len(revision.pods)} ready", "-", info]
        table.add_row(*cells, *([details] if wide else []))
        below = _BLANK if is_last else _DOWN
        for number, service in enumerate(revision.inference_services):
            ends = number == len(revision.inference_services) - 1
            _row(
                table, below + (_LAST if ends else _BRANCH), service, "InferenceService", _ready(service), now,
                _why_not(service), "", wide=wide,
            )  # fmt: skip
        indent = below + (_BLANK if revision.inference_services else "")
        for number, pod in enumerate(revision.pods):
            branch = _LAST if number == len(revision.pods) - 1 else _BRANCH
            restarts = pods.restarts(pod)
            _row(
                table, indent + branch, pod, "Pod", pods.state(pod), now,
                f"{restarts} restarts" if restarts else "", str(pod.get("spec", {}).get("nodeName", "")), wide=wide,
            )  # fmt: skip
    return table


def _row(
    table: Table, prefix: str, item: Object, kind: str, state: str, now: dt.datetime, info: str, details: str,
    *, wide: bool,
) -> None:  # fmt: skip
    colour = STATE_COLOURS.get(state, "yellow")
    cells: list[str | Text] = [Text(prefix + name_of(item)), kind, Text(state, style=colour), age(item, now), info]
    table.add_row(*cells, *([details] if wide else []))


def _model_state(scene: Scene) -> str:
    if "deletionTimestamp" in scene.model["metadata"]:
        return "Deleting"
    return str(scene.status.get("state") or "Unknown")


def _ready(service: Object) -> str:
    if "deletionTimestamp" in service["metadata"]:
        return "Terminating"
    return "Ready" if condition_of(service, "Ready").get("status") == "True" else "NotReady"


def _why_not(service: Object) -> str:
    ready = condition_of(service, "Ready")
    return "" if ready.get("status") == "True" else str(ready.get("message") or ready.get("reason") or "")


def _revision_info(revision: Revision, now: dt.datetime) -> str:
    facts = [revision.role, revision.version]
    if revision.weight_percent is not None:
        facts.append(percent(revision.weight_percent))
    until = parse_time(revision.recorded.get("removeAfter"))
    if until is not None:
        facts.append("may be deleted" if until <= now else f"warm until {clock_time(until, now)}")
    return ", ".join(fact for fact in facts if fact)


def _digest(revision: Revision) -> str:
    recorded = revision.recorded
    return " ".join(str(recorded[name]) for name in ("uri", "digest") if name in recorded)


def _steps(scene: Scene, candidate: Object, now: dt.datetime) -> Table:
    """Return the steps of the rollout; what is over, what is under way, what is to come."""
    table = plain_table("STEP", "WEIGHT", "AT LEAST", "REQUESTS", "STATUS")
    current = int(candidate.get("step") or 0)
    started = parse_time(candidate.get("stepStartedAt"))
    for number, step in enumerate(scene.spec["rollout"]["steps"], start=1):
        state = "done" if number < current else "to come"
        if number == current:
            state = "under way" + (f" for {span(now - started)}" if started else "")
            if not candidate.get("weight") and step.get("weight"):
                state += ", without weight: its pods are not available"
        table.add_row(
            str(number),
            percent(step.get("weight")),
            str(step.get("minDuration", "-")),
            str(step.get("minRequests", "-")),
            Text(state, style="cyan" if number == current else ""),
        )
    return table


def model_row(model: Object, now: dt.datetime) -> dict[str, str]:
    """Return what ``list`` shows of a ClaimsModel, by column."""
    status = model.get("status") or {}
    stable, candidate = status.get("stable") or {}, status.get("candidate") or {}
    created = created_at(model)
    return {
        "NAMESPACE": str(model["metadata"]["namespace"]),
        "NAME": name_of(model),
        "READY": str(condition_of(model, "Ready").get("status", "Unknown")),
        "STABLE": str(stable.get("version", "-")),
        "CANDIDATE": str(candidate.get("version", "-")),
        "WEIGHT": percent(candidate.get("weight")),
        "STATE": str(status.get("state", "Unknown")),
        "REASON": str(status.get("reason", "-")),
        "AGE": span(None if created is None else now - created),
        "URL": str(status.get("url", "-")),
        "MESSAGE": str(status.get("message", "")),
    }
