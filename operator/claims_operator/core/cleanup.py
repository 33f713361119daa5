"""The order in which a deleted ClaimsModel's children go: the route, then, once the gateway forgot it, the rest."""

import datetime as dt
from enum import Enum, auto

from claims_operator.api import names


class CleanupStep(Enum):
    """What to do next for a ClaimsModel that is being deleted."""

    DELETE_ROUTE = auto()
    WAIT = auto()
    RELEASE = auto()
    """Take the finalizer off; Kubernetes then deletes the other children, which the ClaimsModel owns."""
    NOTHING = auto()


def next_step(
    *,
    finalizers: tuple[str, ...],
    route_exists: bool,
    deleted_at: dt.datetime,
    drain: dt.timedelta,
    now: dt.datetime,
) -> CleanupStep:
    """Return the next step. With ``kubectl delete --cascade=orphan`` the children are to stay: nothing is deleted."""
    if names.FINALIZER not in finalizers:
        return CleanupStep.NOTHING
    if "orphan" in finalizers:
        return CleanupStep.RELEASE
    if route_exists:
        return CleanupStep.DELETE_ROUTE
    return CleanupStep.RELEASE if now >= deleted_at + drain else CleanupStep.WAIT
