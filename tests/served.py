"""A small HTTP server on a free port of this machine, for as long as a test needs it."""

import abc
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Served(abc.ABC):
    """A context manager: inside it the server answers at ``url``."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @abc.abstractmethod
    def _handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers requests."""
