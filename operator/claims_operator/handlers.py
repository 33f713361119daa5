"""What wakes us: watch events of ClaimsModels and of what they own. The only module that knows kopf."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import kopf

from claims_contract import labels
from claims_operator.api import names
from claims_operator.api.names import Kind, ObjectKey

_CHILDREN: Final = (names.INFERENCE_SERVICE, names.HTTP_ROUTE, names.DEPLOYMENT)

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Wake = Callable[[ObjectKey], None]


def build_registry(wake: Wake, kubeconfig: Path | None) -> kopf.OperatorRegistry:
    """Return the handlers; each only wakes the worker, so that nothing is lost when an event is."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        # A watch that the API server forgot without a word is opened again.
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = 330
        settings.networking.request_timeout = 30

    @kopf.on.login(registry=registry)
    async def log_in(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo | None:
        if kubeconfig is None:
            return kopf.login_with_service_account(settings=settings)
        return kopf.login_with_kubeconfig(settings=settings)

    async def wake_owner(namespace: str | None, meta: Mapping[str, Any], **_: Any) -> None:
        wake(ObjectKey(namespace or "", meta["labels"][labels.MODEL]))

    async def wake_model(namespace: str | None, name: str | None, **_: Any) -> None:
        wake(ObjectKey(namespace or "", name or ""))

    _on_event(registry, names.CLAIMS_MODEL)(wake_model)
    for kind in _CHILDREN:
        _on_event(registry, kind, labels={labels.MODEL: kopf.PRESENT})(wake_owner)
    return registry


def _on_event(registry: kopf.OperatorRegistry, kind: Kind, **filters: Any) -> Any:
    return kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, **filters)


async def watch(wake: Wake, kubeconfig: Path | None, stop: asyncio.Event) -> None:
    """Watch all namespaces until ``stop`` is set; a signal to stop sets it."""
    others = asyncio.all_tasks()
    watches = await kopf.spawn_tasks(
        registry=build_registry(wake, kubeconfig),
        standalone=True,
        clusterwide=True,
        stop_flag=stop,
    )
    # kopf took the signals over, and would wait five seconds for tasks of ours that end with `stop`.
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await kopf.run_tasks(watches, ignored=others)
