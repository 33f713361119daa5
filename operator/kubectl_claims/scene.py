"""What is read of one ClaimsModel: the object, its children, their pods, and the latest events."""

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from claims_contract import labels
from claims_operator.api import names
from claims_operator.api.names import Kind
from kubectl_claims.connection import Api, Target
from kubectl_claims.errors import NotFound, Trouble, Unreachable
from kubectl_claims.objects import Object, created_at, name_of, parse_time, status_of

POD: Final = Kind("", "v1", "pods", "Pod")

CHILDREN: Final = (names.INFERENCE_SERVICE, POD, names.CLAIMS_ROLLOUT)
"""Kinds that are shown below a ClaimsModel, all with its label."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One ClaimsModel and what belongs to it, at one time."""

    model: Object
    inference_services: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    rollouts: tuple[Object, ...] = ()
    """By attempt, the latest last."""
    events: tuple[Object, ...] = ()
    """About the ClaimsModel, the latest last."""
    unseen: tuple[str, ...] = ()
    """What could not be read, as sentences: whoever asks may not be allowed to see all of it."""

    @property
    def spec(self) -> Object:
        """The spec, with the API server's defaults."""
        spec: Object = self.model.get("spec", {})
        return spec

    @property
    def status(self) -> Object:
        """The status; empty before the operator wrote one."""
        return status_of(self.model)

    @property
    def candidate(self) -> Object | None:
        """The revision that is tried."""
        return self.status.get("candidate")

    @property
    def stable(self) -> Object | None:
        """The revision that serves."""
        return self.status.get("stable")

    def to_json(self) -> dict[str, Any]:
        """Return everything that was read; evidence is left to ``history``."""
        return {
            "claimsModel": self.model,
            "inferenceServices": list(self.inference_services),
            "pods": list(self.pods),
            "events": list(self.events),
            "unseen": list(self.unseen),
        }


async def find_model(api: Api, name: str) -> Object:
    """Return a ClaimsModel; raise NotFound with what to do where there is none."""
    try:
        return await api.get(names.CLAIMS_MODEL, name)
    except NotFound as error:
        # Where the kind itself is missing, this says so instead.
        await api.find_all(names.CLAIMS_MODEL, fields=f"metadata.name={name}")
        raise NotFound(
            f"there is no ClaimsModel {name} in namespace {api.namespace}; `kubectl claims list -A` shows all"
        ) from error


async def read(api: Api, name: str) -> Scene:
    """Read a ClaimsModel and everything about it, at the same time."""
    model = await find_model(api, name)
    about = f"regarding.kind={names.CLAIMS_MODEL.kind},regarding.name={name}"
    read = await asyncio.gather(
        *(_try(api, kind, labels_=f"{labels.MODEL}={name}") for kind in CHILDREN),
        _try(api, names.EVENT, fields=about),
    )
    services, pods, rollouts, events = (found for found, _ in read)
    return Scene(
        model=model,
        inference_services=tuple(sorted(services, key=_made)),
        pods=tuple(sorted(pods, key=_made)),
        rollouts=by_attempt(rollouts),
        events=tuple(sorted(events, key=lambda item: (str(event_time(item)), item["metadata"]["name"]))),
        unseen=tuple(trouble for _, trouble in read if trouble),
    )


async def list_names(target: Target) -> tuple[str, ...]:
    """Return the names of all ClaimsModels of the namespace."""
    async with await Api.connect(target) as api:
        return tuple(name_of(item) for item in await api.find_all(names.CLAIMS_MODEL))


def by_attempt(rollouts: tuple[Object, ...]) -> tuple[Object, ...]:
    """Return ClaimsRollouts in the order of their attempts."""
    return tuple(sorted(rollouts, key=lambda item: int(item["spec"]["attempt"])))


async def _try(api: Api, kind: Kind, *, labels_: str = "", fields: str = "") -> tuple[tuple[Object, ...], str]:
    """Return what was found, and what was wrong; only an API server that does not answer ends the command."""
    try:
        return await api.find_all(kind, labels=labels_, fields=fields), ""
    except Unreachable:
        raise
    except Trouble as trouble:
        return (), trouble.message


def _made(item: Object) -> tuple[str, str]:
    return str(created_at(item)), str(item["metadata"]["name"])


def event_time(event: Object) -> dt.datetime | None:
    """Return when an event last happened; None where it does not say."""
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("eventTime"),
        event.get("deprecatedLastTimestamp"),
        event["metadata"].get("creationTimestamp"),
    )
    return next((time for time in map(parse_time, times) if time is not None), None)
