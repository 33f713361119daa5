"""A proxy before a service, which fails as a test tells it."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from unit.claims_feedback.feedback_process import Running


class Shaky:
    """A proxy to the service that first answers as it is told, and then passes on; it keeps what was asked."""

    def __init__(self, service: Running) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.before: Callable[[], object] = lambda: None
        """What happens while a post waits for its answer."""
        self.posted: list[list[dict[str, Any]]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                owner.before()
                owner.posted.append(json.loads(body)["outcomes"])
                if owner.answers:
                    status, content = owner.answers.pop(0)
                    text = json.dumps(content).encode()
                else:
                    passed = service.client.post(
                        self.path,
                        content=body,
                        headers={name: self.headers[name] for name in ("authorization", "content-type")},
                    )
                    status, text = passed.status_code, passed.content
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Shaky":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
