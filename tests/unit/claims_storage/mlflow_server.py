"""A real HTTP server that answers as MLflow's REST API does (compared with MLflow 3.17)."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from served import Served

FOLDER = "0/run-1/artifacts/package"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def digest_of(content: bytes) -> str:
    """Return ``sha256:<hex>`` of a file."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def build_package(files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    """Return the files with their package.json, and the package digest."""
    digests = {path: digest_of(content) for path, content in files.items()}
    lines = sorted(f"{digest.removeprefix('sha256:')}  {path}\n" for path, digest in digests.items())
    digest = digest_of("".join(lines).encode())
    document = {"name": "claim-risk", "version": "1.0.0", "digests": digests, "digest": digest}
    return {**files, "package.json": json.dumps(document).encode()}, digest


@dataclass
class MLflowServer(Served):
    """One registered model, claim-risk, with version 7."""

    files: dict[str, bytes]
    source: str = f"mlflow-artifacts:/{FOLDER}"
    faults: dict[str, list[int]] = field(default_factory=dict)
    """Statuses that a path answers with before it works; 0 breaks the body off."""
    renames: dict[str, str] = field(default_factory=dict)
    """Names that the listing tells instead of the true ones."""
    requests: Counter[str] = field(default_factory=Counter)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        path = unquote(address.path)
        self.requests[path] += 1
        fault = self.faults[path].pop(0) if self.faults.get(path) else None
        if fault:
            return _send(handler, fault, b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')
        status, body = self._find(path, parse_qs(address.query))
        _send(handler, status, body, cut=fault == 0)

    def _find(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        if path == "/api/2.0/mlflow/model-versions/get":
            if (query["name"], query["version"]) != (["claim-risk"], ["7"]):
                return 404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}'
            version = {"name": "claim-risk", "version": "7", "status": "READY", "source": self.source}
            return 200, json.dumps({"model_version": version}).encode()
        if path == ARTIFACTS:
            return 200, json.dumps({"files": self._list(query["path"][0])}).encode()
        content = self.files.get(path.removeprefix(f"{ARTIFACTS}/{FOLDER}/"))
        return (200, content) if content is not None else (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}')

    def _list(self, folder: str) -> list[dict[str, Any]]:
        below = folder.removeprefix(FOLDER).strip("/")
        prefix = below + "/" if below else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, content in self.files.items():
            if path.startswith(prefix):
                name, slash, _ = path.removeprefix(prefix).partition("/")
                shown = self.renames.get(name, name)
                entries[name] = (
                    {"path": shown, "is_dir": True}
                    if slash
                    else {"path": shown, "is_dir": False, "file_size": len(content)}
                )
        return list(entries.values())


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, *, cut: bool = False) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2] if cut else body)
