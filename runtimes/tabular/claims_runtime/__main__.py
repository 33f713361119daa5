"""Serve the package in $MLSERVER_MODELS_DIR until SIGTERM: ``python3 -m claims_runtime``."""

import asyncio
import os
import signal
import sys
import threading
from types import FrameType

import uvloop

from claims_runtime import server
from claims_runtime.errors import ClaimsRuntimeError
from claims_runtime.settings import ServerSettings


def main() -> int:
    """Serve; return 0 after a requested stop, 1 where nothing can be served."""
    try:
        settings = ServerSettings.from_environment(os.environ)
    except ClaimsRuntimeError as error:
        sys.stderr.write(f"claims-runtime: {error}\n")
        return 1
    thread = _ServerThread(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, thread.stop)
    thread.start()
    thread.join()
    return thread.exit_code


class _ServerThread(threading.Thread):
    """Runs the servers beside the main thread, which keeps the signals.

    uvicorn takes SIGTERM over wherever it runs in the main thread, and closes at once.
    """

    def __init__(self, settings: ServerSettings) -> None:
        super().__init__(name="server")
        self._settings = settings
        self._loop = uvloop.new_event_loop()
        self._stop_requested = asyncio.Event()
        self.exit_code = 1

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Ask the server to drain and end."""
        self._loop.call_soon_threadsafe(self._stop_requested.set)

    def run(self) -> None:
        """Serve until the end."""
        asyncio.set_event_loop(self._loop)
        try:
            stopped = self._loop.run_until_complete(server.serve(self._settings, self._stop_requested))
        except ClaimsRuntimeError as error:
            sys.stderr.write(f"claims-runtime: {error}\n")
            return
        self.exit_code = 0 if stopped else 1


if __name__ == "__main__":
    sys.exit(main())
