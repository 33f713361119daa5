"""One pod in a word, and what is wrong with it in a sentence."""

from collections.abc import Iterable
from itertools import chain

from kubectl_claims.objects import Object, condition_of, name_of, status_of

_WAITS_FOR_ITS_TURN = frozenset({"ContainerCreating", "PodInitializing"})


def _containers(pod: Object) -> Iterable[Object]:
    status = status_of(pod)
    return chain(status.get("initContainerStatuses") or (), status.get("containerStatuses") or ())


def is_ready(pod: Object) -> bool:
    """Return whether the pod takes requests."""
    return condition_of(pod, "Ready").get("status") == "True" and "deletionTimestamp" not in pod["metadata"]


def state(pod: Object) -> str:
    """Return the pod's state in the word that people know it by: for example CrashLoopBackOff."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    if is_ready(pod):
        return "Ready"
    for container in _containers(pod):
        of = container.get("state") or {}
        waiting = (of.get("waiting") or {}).get("reason")
        if waiting and waiting not in _WAITS_FOR_ITS_TURN:
            return str(waiting)
        ended = of.get("terminated") or {}
        if ended.get("exitCode"):
            return str(ended.get("reason") or "Error")
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason") or "Unschedulable")
    phase = str(status_of(pod).get("phase") or "Pending")
    return "NotReady" if phase == "Running" else phase


def restarts(pod: Object) -> int:
    """Return how often containers of the pod were started again."""
    return sum(int(container.get("restartCount", 0)) for container in _containers(pod))


def trouble(pod: Object) -> str | None:
    """Return what is wrong with a pod, in the words of Kubernetes; None where nothing is."""
    for container in _containers(pod):
        of = container.get("state") or {}
        waiting = of.get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _WAITS_FOR_ITS_TURN:
            last = ((container.get("lastState") or {}).get("terminated") or {}).get("message")
            said = last or waiting.get("message") or ""
            return f"pod {name_of(pod)}, container {container['name']}: {waiting['reason']}" + _said(said)
        ended = of.get("terminated") or {}
        if ended.get("exitCode"):
            return f"pod {name_of(pod)}, container {container['name']} ended with {ended['exitCode']}" + _said(
                ended.get("message") or ended.get("reason") or ""
            )
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"pod {name_of(pod)} has no node" + _said(scheduled.get("message") or "")
    return None


def _said(text: str) -> str:
    """Return the last line of what was said, as the end of a sentence."""
    lines = text.strip().splitlines()
    return f": {lines[-1].strip()[:300]}" if lines else ""
