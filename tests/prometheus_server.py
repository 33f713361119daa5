"""A real HTTP server that answers as Prometheus does, with what a test says."""

import asyncio
import contextlib
import json
import ssl
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

CLUSTER = "httproute/claims/claim-risk/rule/{rule}/backend/{slot}"
POD = {"instance": "10.1.0.7:19001", "job": "envoy"}
Answer = Callable[[str], tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class Request:
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    form: dict[str, str]

    @property
    def query(self) -> str:
        return self.form.get("query", "")


@dataclass
class Server:
    """What one connection after another asked, and what to answer to a query."""

    answer: Answer
    address: str = ""
    requests: list[Request] = field(default_factory=list)
    delay_seconds: float = 0.0
    headers: str = ""
    """More lines of the answer's head, each with its line end."""

    @property
    def queries(self) -> list[str]:
        return [request.query for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            form = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
            request = Request(path=first.split(" ")[1], headers=headers, form=form)
            self.requests.append(request)
            if self.delay_seconds:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), self.delay_seconds)  # Ends when the client gives up.
            status, text = self.answer(request.query)
            content = text.encode()
            writer.write(f"HTTP/1.1 {status} Said\r\n{self.headers}Content-Length: {len(content)}\r\n".encode())
            writer.write(b"Content-Type: application/json\r\nConnection: close\r\n\r\n" + content)
            await writer.drain()


@contextlib.asynccontextmanager
async def running(
    answer: Answer, *, delay_seconds: float = 0.0, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Server]:
    """Serve on a port, 0 for a free one; on leaving, wait until every connection is closed."""
    server = Server(answer=answer, delay_seconds=delay_seconds)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await server.serve(reader, writer)
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls) as listening:
        scheme = "http" if tls is None else "https"
        server.address = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server
    await asyncio.gather(*connections, return_exceptions=True)


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> dict[str, Any]:
    result = [{"metric": labels, "values": [list(value) for value in values]} for labels, values in series]
    return {"resultType": "matrix", "result": result}


def vector(*series: tuple[dict[str, str], tuple[float, str]]) -> dict[str, Any]:
    return {"resultType": "vector", "result": [{"metric": labels, "value": list(value)} for labels, value in series]}


def scalar(value: float) -> dict[str, Any]:
    return {"resultType": "scalar", "result": [value, str(value)]}


def success(data: dict[str, Any], **more: Any) -> tuple[int, str]:
    return 200, json.dumps({"status": "success", "data": data, **more})


def answering(
    *,
    gateway: dict[str, Any] | None = None,
    grpc: dict[str, Any] | None = None,
    outcomes: dict[str, Any] | None = None,
    edges: dict[str, Any] | None = None,
    clock: Callable[[], float] = time.time,
) -> Answer:
    """Return a Prometheus with these answers, and nothing else."""

    def answer(query: str) -> tuple[int, str]:
        if query == "time()":
            return success(scalar(clock()))
        if query.startswith("group by (le)"):
            return success(edges or vector())
        if query.startswith('{__name__=~"claims_outcomes_total|'):
            return success(outcomes or matrix())
        if query.startswith("sum without"):
            return success(grpc or vector())
        return success(gateway or matrix())

    return answer


def gateway_series(name: str, *, rule: int = 1, slot: int = 0, **labels: str) -> dict[str, str]:
    return {"__name__": name, "envoy_cluster_name": CLUSTER.format(rule=rule, slot=slot), **POD, **labels}


def outcome_series(result: str, **labels: str) -> dict[str, str]:
    own = {"model_namespace": "claims", "model_name": "claim-risk", "revision": "aaa", "attempt": "2", "epoch": "1"}
    return {"__name__": "claims_outcomes_total", **own, "result": result, "instance": "feedback-0", **labels}
