"""``kubectl claims wait``: what is waited for, and whether it has come, may come, or will not come by itself."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from claims_operator.api import names
from claims_operator.api.reasons import Reason
from kubectl_claims.connection import Api
from kubectl_claims.errors import NotComing, NotFound, TimedOut, Unreachable
from kubectl_claims.objects import Object, condition_of, is_current, name_of, status_of
from kubectl_claims.scene import find_model

ASK_AGAIN_SECONDS: Final = 2.0
"""Time until an API server is asked again that did not answer, or ended a watch."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is waited for."""

    name: str
    reached: Callable[[Object], str | None]
    """Return a sentence about it once it has come, else None."""
    hopeless: Callable[[Object], str | None]
    """Return why it will not come unless somebody acts, else None."""


def parse_goal(text: str) -> Goal:
    """Read promoted, rolledback, ready or condition=TYPE[=STATUS]; raise ValueError on anything else."""
    kind, _, rest = text.partition("=")
    match kind.lower():
        case "promoted" if not rest:
            return Goal(name="promoted", reached=_promoted, hopeless=_stalled)
        case "rolledback" if not rest:
            return Goal(name="rolled back", reached=_rolled_back, hopeless=_not_rolled_back)
        case "ready" if not rest:
            return _condition_goal("Ready", "True")
        case "condition" if rest:
            type_, _, status = rest.partition("=")
            return _condition_goal(type_, status.capitalize() or "True")
    raise ValueError(
        f"{text!r}: write promoted, rolledback, ready or condition=TYPE[=STATUS], as in condition=Analysed"
    )


def _condition_goal(type_: str, status: str) -> Goal:
    def reached(model: Object) -> str | None:
        condition = condition_of(model, type_)
        seen = condition.get("observedGeneration", status_of(model).get("observedGeneration"))
        if condition.get("status") != status or seen != model["metadata"].get("generation"):
            return None
        return f"{type_} is {status}: {condition.get('message', '')}"

    return Goal(name=f"{type_}={status}", reached=reached, hopeless=lambda _: None)


def _promoted(model: Object) -> str | None:
    """The spec as it is now is served; no attempt is under way, and the route takes requests."""
    status = status_of(model)
    stable = status.get("stable")
    reconciling, stalled = (condition_of(model, type_).get("status") for type_ in ("Reconciling", "Stalled"))
    if not is_current(model) or stable is None or status.get("candidate") is not None:
        return None
    if reconciling != "False" or stalled != "False" or condition_of(model, "Ready").get("status") != "True":
        return None
    return f"{stable['version']} is stable"


def _stalled(model: Object) -> str | None:
    stalled = condition_of(model, "Stalled")
    if not is_current(model) or stalled.get("status") != "True":
        return None
    return f"{stalled.get('reason')}: {stalled.get('message')}"


def _rolled_back(model: Object) -> str | None:
    stalled = condition_of(model, "Stalled")
    if stalled.get("reason") != Reason.ROLLED_BACK or _stalled(model) is None:
        return None
    return str(stalled.get("message"))


def _not_rolled_back(model: Object) -> str | None:
    return _promoted(model) or (None if _rolled_back(model) else _stalled(model))


async def wait_for(api: Api, name: str, goal: Goal, within: dt.timedelta | None) -> str:
    """Wait; return the sentence about what came.

    Raises:
        NotFound: there is no such ClaimsModel, or it was deleted meanwhile.
        NotComing: it will not come unless somebody acts.
        TimedOut: it did not come ``within`` this (None: no limit); says how things stand.
    """
    latest: Object | None = None
    try:
        async with asyncio.timeout(None if within is None else within.total_seconds()):
            async with contextlib.aclosing(_versions(api, name)) as versions:
                async for model in versions:
                    latest = model
                    if (came := goal.reached(model)) is not None:
                        return came
                    if "deletionTimestamp" in model["metadata"]:
                        raise NotComing(f"{name} will not be {goal.name}: it is being deleted")
                    if (why_not := goal.hopeless(model)) is not None:
                        raise NotComing(f"{name} will not be {goal.name} by itself: {why_not}")
    except TimeoutError as error:
        stands = "it was not seen" if latest is None else _stands(latest)
        raise TimedOut(f"{name} was not {goal.name} in time: {stands}") from error
    raise AssertionError("versions end only by an exception")


def _stands(model: Object) -> str:
    status = status_of(model)
    return f"{status.get('state', 'Unknown')} ({status.get('reason', '-')}): {status.get('message', 'no status yet')}"


async def _versions(api: Api, name: str) -> AsyncGenerator[Object, None]:
    """Yield the ClaimsModel as it is and at each change, for ever; an API server that goes away is asked again."""
    first = await find_model(api, name)
    while True:
        try:
            # Read before each watch: what was deleted while none was open, no watch shows.
            yield _the_same(await api.get(names.CLAIMS_MODEL, name), first)
            async with contextlib.aclosing(api.changes(names.CLAIMS_MODEL, fields=f"metadata.name={name}")) as changes:
                async for change in changes:
                    if change.is_gone:
                        raise NotFound(f"ClaimsModel {name} was deleted while it was waited for")
                    yield _the_same(change.item, first)
        except Unreachable:
            pass
        await asyncio.sleep(ASK_AGAIN_SECONDS)


def _the_same(model: Object, first: Object) -> Object:
    """Return the ClaimsModel; raise NotFound where it is another one of the same name."""
    if model["metadata"]["uid"] != first["metadata"]["uid"]:
        raise NotFound(f"ClaimsModel {name_of(model)} was deleted and made again while it was waited for")
    return model
