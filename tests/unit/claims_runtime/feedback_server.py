"""A real HTTP server that takes prediction events as the feedback service does."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from served import Served


@dataclass
class FeedbackServer(Served):
    """Keeps the batches it acknowledged."""

    statuses: list[int] = field(default_factory=list)
    """What the next posts are answered with; 200 when it is empty."""
    refuses: Callable[[dict[str, Any]], bool] = lambda _event: False
    """Events that it will not take, nor the batch that holds one."""
    delay_seconds: float = 0.0
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    content_types: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(owner.delay_seconds)
                owner.paths.add(self.path)
                owner.content_types.add(self.headers["Content-Type"])
                status = owner.statuses.pop(0) if owner.statuses else 200
                batch = json.loads(body)
                if any(map(owner.refuses, batch)):
                    status = 400
                if status == 200:
                    owner.batches.append(batch)
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
    """Wait until a condition is true, or fail."""
    end = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
