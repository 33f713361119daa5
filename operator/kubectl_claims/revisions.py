"""The revisions of a ClaimsModel: what each is for, how many requests it takes, what it consists of."""

from dataclasses import dataclass

from kubectl_claims.objects import Object, revision_of
from kubectl_claims.scene import Scene


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One revision and its objects."""

    name: str
    role: str
    """stable, candidate, retiring, or leaving where the status no longer knows it."""
    version: str
    weight_percent: int | None
    """Percent of requests; None where it is not in the route."""
    recorded: Object
    """What the status says about it."""
    inference_services: tuple[Object, ...]
    pods: tuple[Object, ...]


def revisions(scene: Scene) -> tuple[Revision, ...]:
    """Return the revisions, the most important first, and those last that the status does not know (any more)."""
    found: dict[str, tuple[str, Object, int | None]] = {}
    candidate, stable = scene.candidate, scene.stable
    tried_percent = int((candidate or {}).get("weight") or 0)
    if stable is not None:
        found[str(stable["revision"])] = ("stable", stable, 100 - tried_percent)
    if candidate is not None:
        found[str(candidate["revision"])] = ("candidate", candidate, tried_percent)
    for old in scene.status.get("retiring") or ():
        found.setdefault(str(old["revision"]), ("retiring", old, None))
    for child in (*scene.inference_services, *scene.pods):
        if revision_of(child):
            found.setdefault(revision_of(child), ("leaving", {}, None))
    return tuple(
        Revision(
            name=name,
            role=role,
            version=str(recorded.get("version", "")),
            weight_percent=weight,
            recorded=recorded,
            inference_services=tuple(item for item in scene.inference_services if revision_of(item) == name),
            pods=tuple(item for item in scene.pods if revision_of(item) == name),
        )
        for name, (role, recorded, weight) in found.items()
    )
