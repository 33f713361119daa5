"""MLServer as one process that serves one package and ends without losing a request."""

import asyncio
import logging
import signal
from typing import Final

from mlserver import MLServer, Settings
from mlserver.handlers import ModelRepositoryHandlers
from mlserver.repository.load import load_model_settings
from mlserver.rest.responses import Response
from starlette.requests import Request

from claims_contract import tensors
from claims_runtime.errors import FixedRepository, InvalidPackage, InvalidRequest, InvalidSettings
from claims_runtime.settings import ServerSettings

_logger = logging.getLogger("mlserver.claims")

END_SECONDS: Final = 6
"""How long requests in flight are waited for after the drain."""

KEEP_ALIVE_SECONDS: Final = 4000
"""How long an idle HTTP connection stays open: longer than a gateway keeps one (Envoy: an hour), so that it is the
gateway that closes it. A server that closes first can meet a request on its way, which then fails."""


class ClaimsServer(MLServer):
    """MLServer without a signal handler and without loading and unloading by callers."""

    def _add_signal_handlers(self) -> None:
        """Leave signals to the main thread, see `serve`."""

    def _create_servers(self) -> None:
        self._model_repository_handlers = _FixedRepositoryHandlers(self._model_repository, self._model_registry)
        super()._create_servers()  # type: ignore[no-untyped-call]
        self._rest_server._app.add_exception_handler(InvalidRequest, _answer_invalid_request)

    async def unload_models(self) -> None:
        """Unload every model, which sends the prediction events that still wait."""
        for model in await self._model_registry.get_models():
            await model.unload()


class _FixedRepositoryHandlers(ModelRepositoryHandlers):
    async def load(self, name: str) -> bool:  # noqa: ARG002
        raise FixedRepository

    async def unload(self, name: str) -> bool:  # noqa: ARG002
        raise FixedRepository


async def serve(settings: ServerSettings, stop_requested: asyncio.Event) -> bool:
    """Serve until ``stop_requested`` is set; return whether the server ended because of it.

    After the request to stop, requests are answered for the drain time as before: the pod is taken out of the load
    balancers meanwhile, and those still send. Only then are the listeners closed and the requests in flight awaited.
    """
    mlserver_settings = _mlserver_settings()
    model_settings = load_model_settings(str(_model_settings_file(settings)))
    server = ClaimsServer(mlserver_settings)
    _quieten_logs()
    serving = asyncio.create_task(server.start([model_settings]))
    stopping = asyncio.create_task(stop_requested.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        stopping.cancel()
        await serving
        return False
    _logger.info("Stopping: requests are still answered for %g s", settings.drain_seconds)
    await asyncio.wait({serving}, timeout=settings.drain_seconds)
    await server.stop(signal.SIGTERM)
    await asyncio.wait({serving}, timeout=END_SECONDS)
    await server.unload_models()
    return True


def _mlserver_settings() -> Settings:
    settings = Settings()
    if settings.parallel_workers:
        raise InvalidSettings(
            f"MLSERVER_PARALLEL_WORKERS is {settings.parallel_workers}; it must be 0: one process serves one model, "
            "and replicas share the load"
        )
    settings._custom_rest_server_settings = {
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": END_SECONDS - 1,
        "log_level": "warning",
    }
    settings._custom_metrics_server_settings = {"timeout_graceful_shutdown": 1, "log_level": "warning"}
    return settings


def _model_settings_file(settings: ServerSettings) -> str:
    path = settings.models_dir / tensors.MODEL_SETTINGS_FILE
    if not path.is_file():
        raise InvalidPackage(f"there is no {tensors.MODEL_SETTINGS_FILE} in {settings.models_dir}")
    return str(path)


def _answer_invalid_request(_request: Request, error: Exception) -> Response:
    """Answer an `InvalidRequest`; MLServer's own handler would leave its problems out."""
    problems = error.as_json() if isinstance(error, InvalidRequest) else {"error": str(error)}
    return Response(problems, status_code=400)


def _quieten_logs() -> None:
    """Keep what a caller did wrong out of the log: MLServer logs a traceback for each."""
    logging.getLogger("mlserver.grpc").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], InvalidRequest))
