"""``kubectl claims explain``: what a ClaimsModel waits for, until when, and what would change that."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from claims_operator.api.outcomes import OUTCOME_METRICS
from claims_operator.api.quantities import to_timedelta
from claims_operator.api.reasons import Reason
from kubectl_claims import pods
from kubectl_claims.objects import Object, clock_time, condition_of, is_current, name_of, parse_time, span
from kubectl_claims.scene import Scene, event_time

RECENT: Final = dt.timedelta(hours=1)
"""Warnings older than this explain nothing about now."""

_BLOCKED: Final[Mapping[str, str]] = {
    Reason.INVALID_SPEC: "Mend the spec as the message says.",
    Reason.NAME_TAKEN: "Delete or rename the other object, or give the ClaimsModel another name.",
    Reason.MODEL_NOT_FOUND: "Register that version, or write one in spec.model that exists; the registry is asked"
    " again by and by.",
    Reason.MODEL_UNUSABLE: "Register the model anew from its package, or mend spec.model.",
}
_HELD: Final[Mapping[str, str]] = {
    Reason.NO_DATA: "Requests through the route would change that; without any, no step passes.",
    Reason.ANALYSIS_ERROR: "Prometheus has to answer before anything is judged.",
    Reason.INCONCLUSIVE: "More requests narrow the intervals; nothing else is needed.",
    Reason.WAITING_FOR_ACCURACY: "More outcomes are needed; they are sent to the feedback service.",
    Reason.WAITING_FOR_GATEWAY: "The gateway's own status and log say why it does not follow, where it does not.",
    Reason.REGISTRY_UNAVAILABLE: "The model registry has to answer; it is asked again by itself.",
}


def explain(scene: Scene, now: dt.datetime) -> str:
    """Return the paragraph."""
    return " ".join(sentence for sentence in _sentences(scene, now) if sentence)


def _sentences(scene: Scene, now: dt.datetime) -> Iterator[str]:
    name, metadata, status = name_of(scene.model), scene.model["metadata"], scene.status
    if "deletionTimestamp" in metadata:
        yield f"{name} is being deleted{_since(metadata['deletionTimestamp'], now)}."
        if metadata.get("finalizers"):
            yield (
                f"It goes when {', '.join(metadata['finalizers'])} is taken off, which the operator does once the"
                " children are cleaned up."
            )
        return
    if not status:
        yield f"{name} has no status yet: the operator has not seen it, or does not run."
        return
    yield _serving(scene)
    if not is_current(scene.model):
        yield (
            f"The operator has not answered to generation {metadata.get('generation')} of the spec yet, only to"
            f" {status.get('observedGeneration')}; that takes seconds while it runs."
        )
    if scene.candidate is not None:
        yield from _under_way(scene, scene.candidate, now)
    else:
        yield from _at_rest(scene, now)
    yield from _troubles(scene)
    yield _last_warning(scene, now)
    if scene.unseen:
        yield f"Not everything could be read: {'; '.join(scene.unseen)}."


def _serving(scene: Scene) -> str:
    name, stable, candidate = name_of(scene.model), scene.stable, scene.candidate
    ready = condition_of(scene.model, "Ready")
    if stable is None:
        return f"{name} serves nothing yet."
    if ready.get("status") != "True":
        return f"{name} should serve {stable['version']}, but is not ready: {_sentence(ready.get('message'))}"
    weight = int((candidate or {}).get("weight") or 0)
    share = f"{100 - weight} % of the requests" if weight else "all requests"
    url = scene.status.get("url")
    return f"{name} serves {stable['version']} to {share}" + (f" at {url}." if url else ".")


# At rest ------------------------------------------------------------------------------------------------------------


def _at_rest(scene: Scene, now: dt.datetime) -> Iterator[str]:
    reason, message = str(scene.status.get("reason")), _sentence(scene.status.get("message"))
    if reason == Reason.ROLLED_BACK:
        yield from _rolled_back(scene, now)
    elif condition_of(scene.model, "Stalled").get("status") == "True":
        yield f"It is blocked ({reason}): {message}"
        yield _BLOCKED.get(reason, "")
    elif reason == Reason.SERVING:
        yield "It waits for nothing. Another spec.model.version with its uri starts a rollout."
    else:
        yield f"It waits ({reason}): {message}"
        yield _HELD.get(reason, "")
    for old in scene.status.get("retiring") or ():
        until = parse_time(old.get("removeAfter"))
        if until is not None and until > now:
            yield f"{old['version']} stays warm until {clock_time(until, now)}, for a return at once."


def _rolled_back(scene: Scene, now: dt.datetime) -> Iterator[str]:
    rejected = next(iter(reversed(scene.status.get("rejected") or ())), None)
    if rejected is None:
        yield _sentence(scene.status.get("message"))
        return
    at = parse_time(rejected.get("at"))
    message = _sentence(str(rejected["message"]).removeprefix(f"{rejected['version']}: "))
    yield (
        f"{rejected['version']}, which the spec asks for, was rolled back"
        + (f" {span(now - at)} ago" if at is not None else "")
        + f" ({rejected['reason']}): {message}"
    )
    yield (
        "Nothing is waited for: it is not tried again until the spec changes. Write the version that serves in"
        " spec.model to settle this, or a mended one to try that."
    )


# Under way ----------------------------------------------------------------------------------------------------------


def _under_way(scene: Scene, candidate: Object, now: dt.datetime) -> Iterator[str]:
    steps = scene.spec.get("rollout", {}).get("steps") or ()
    number, weight = int(candidate.get("step") or 0), int(candidate.get("weight") or 0)
    version, reason = str(candidate["version"]), str(scene.status.get("reason"))
    where = f"on step {number} of {len(steps)}, with {weight} % of the requests" if number else "without requests yet"
    started = parse_time(candidate.get("startedAt"))
    yield f"{version} is tried, {where}" + (f", since {span(now - started)} ago." if started else ".")
    yield f"It waits ({reason}): {_sentence(scene.status.get('message'))}"
    yield from _metrics(scene)
    yield _HELD.get(reason, "")
    if reason in {Reason.WAITING_FOR_DURATION, Reason.STEP_STARTED} and 0 < number <= len(steps):
        begun = parse_time(candidate.get("stepStartedAt"))
        if begun is not None:
            end = begun + to_timedelta(steps[number - 1]["minDuration"])
            yield f"The step may end at {clock_time(end, now)}, if every metric passes by then." if end > now else ""
    yield _next(steps, number, version)
    yield from _deadlines(scene, started, now)


def _metrics(scene: Scene) -> Iterator[str]:
    """Name what does not pass and what its verdict rests on; the message has the rest."""
    message = str(scene.status.get("message"))
    for metric in scene.status.get("analysis") or ():
        if metric.get("verdict") != "Pass" and str(metric.get("message")) not in message:
            yield f"{str(metric['metric']).capitalize()} is {metric.get('verdict')}: {_sentence(metric.get('message'))}"


def _next(steps: Iterable[Object], number: int, version: str) -> str:
    following = list(steps)[number:]
    if not following:
        return f"Once it passes, {version} is promoted and takes all requests."
    start = "Once it is ready" if number == 0 else "Once the step passes"
    return f"{start}, {version} gets {following[0].get('weight')} % of the requests."


def _deadlines(scene: Scene, started: dt.datetime | None, now: dt.datetime) -> Iterator[str]:
    """Say when the operator gives up. What is judged from outcomes has later deadlines of its own."""
    deadline, analysis = scene.spec.get("rollout", {}).get("progressDeadline"), scene.spec.get("analysis", {})
    if started is None:
        return
    if deadline and scene.status.get("reason") != Reason.WAITING_FOR_ACCURACY:
        end = started + to_timedelta(deadline)
        yield f"Without readiness and passing errors and latency it is rolled back at {clock_time(end, now)}."
    for metric in OUTCOME_METRICS:
        if metric in analysis:
            end = started + to_timedelta(analysis[metric]["deadline"])
            yield f"{metric.capitalize()} has until {clock_time(end, now)}."
    yield "A metric that fails takes it back at once."


# What else there is to know -------------------------------------------------------------------------------------------


def _troubles(scene: Scene) -> Iterator[str]:
    found = [trouble for pod in scene.pods if (trouble := pods.trouble(pod)) is not None]
    if found:
        more = f", and {len(found) - 2} more pods" if len(found) > 2 else ""
        yield f"Trouble with pods: {'; '.join(found[:2])}{more}."


def _last_warning(scene: Scene, now: dt.datetime) -> str:
    for event in reversed(scene.events):
        time = event_time(event)
        if event.get("type") == "Warning" and time is not None and now - time < RECENT:
            note = str(event.get("note", ""))
            if note and note not in str(scene.status.get("message")):
                return f"Latest warning, {span(now - time)} ago ({event.get('reason')}): {_sentence(note)}"
            return ""
    return ""


def _since(time: object, now: dt.datetime) -> str:
    parsed = parse_time(time)
    return f" since {span(now - parsed)}" if parsed is not None else ""


def _sentence(text: object) -> str:
    """Return what somebody else said so that a sentence can follow."""
    said = str(text or "").strip()
    return said if said.endswith((".", "!", "?")) else f"{said}."
