"""The collector against a real HTTP server that answers as Prometheus does."""

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from claims_operator.adapters.prometheus import Prometheus
from claims_operator.core import queries
from claims_operator.core.snapshot import INFINITE_EDGE, Backend, Counter, OutcomeTotal, Snapshot

CLUSTER = "httproute/claims/claim-risk/rule/{rule}/backend/{slot}"
POD = {"instance": "10.1.0.7:19001", "job": "envoy"}
Answer = Callable[[str], tuple[int, str]]


@dataclass
class Server:
    """What one connection after another asked, and what to answer to a query."""

    answer: Answer
    address: str = ""
    requests: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    """Path, headers and query of each request."""
    delay_seconds: float = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            query = urllib.parse.parse_qs(body).get("query", [""])[0]
            self.requests.append((first.split(" ")[1], headers, query))
            if self.delay_seconds:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), self.delay_seconds)  # Ends when the client gives up.
            status, text = self.answer(query)
            content = text.encode()
            writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: {len(content)}\r\n".encode())
            writer.write(b"Content-Type: application/json\r\nConnection: close\r\n\r\n" + content)
            await writer.drain()


@contextlib.asynccontextmanager
async def running(answer: Answer, *, delay_seconds: float = 0.0) -> AsyncIterator[Server]:
    """Serve on a free port; on leaving, wait until every connection is closed."""
    server = Server(answer=answer, delay_seconds=delay_seconds)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await server.serve(reader, writer)
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        server.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server
    await asyncio.gather(*connections, return_exceptions=True)


@contextlib.asynccontextmanager
async def asking(address: str, **options: Any) -> AsyncIterator[Prometheus]:
    prometheus = Prometheus(address, **options)
    try:
        yield prometheus
    finally:
        await prometheus.close()


async def collected(answer: Answer, **options: Any) -> Snapshot:
    async with running(answer) as server, asking(server.address, **options) as prometheus:
        return await prometheus.collect(frozenset({250}))


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> dict[str, Any]:
    result = [{"metric": labels, "values": [list(value) for value in values]} for labels, values in series]
    return {"resultType": "matrix", "result": result}


def vector(*series: tuple[dict[str, str], tuple[float, str]]) -> dict[str, Any]:
    return {"resultType": "vector", "result": [{"metric": labels, "value": list(value)} for labels, value in series]}


def answering(
    *,
    gateway: dict[str, Any] | None = None,
    outcomes: dict[str, Any] | None = None,
    edges: dict[str, Any] | None = None,
) -> Answer:
    """Return a Prometheus with these answers, and nothing else."""

    def answer(query: str) -> tuple[int, str]:
        if query.startswith("group by (le)"):
            data = edges or vector()
        elif query.startswith("claims_outcomes_total"):
            data = outcomes or matrix()
        else:
            data = gateway or matrix()
        return 200, json.dumps({"status": "success", "data": data})

    return answer


def gateway_series(name: str, *, rule: int = 1, slot: int = 0, **labels: str) -> dict[str, str]:
    return {"__name__": name, "envoy_cluster_name": CLUSTER.format(rule=rule, slot=slot), **POD, **labels}


def outcome_series(result: str, **labels: str) -> dict[str, str]:
    own = {"model_namespace": "claims", "model_name": "claim-risk", "revision": "aaa", "attempt": "2", "epoch": "1"}
    return {"__name__": "claims_outcomes_total", **own, "result": result, "instance": "feedback-0", **labels}


def kinds(counters: tuple[Counter, ...]) -> dict[str, tuple[float, float]]:
    return {counter.kind: (counter.value, counter.at) for counter in counters}


async def test_counters_come_raw_with_the_time_of_their_scrape_by_backend() -> None:
    rows = matrix(
        (
            gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="2"),
            [(100.5, "10"), (115.5, "14")],
        ),
        (gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="5"), [(115.5, "1")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="250"), [(115.5, "12")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="+Inf"), [(115.5, "15")]),
        (gateway_series("envoy_cluster_grpc_ModelInfer_14", rule=0, slot=1), [(115.5, "3")]),
    )
    snapshot = await collected(answering(gateway=rows))
    assert snapshot.error is None
    rest = Backend(namespace="claims", route="claim-risk", rule=1, slot=0)
    grpc = Backend(namespace="claims", route="claim-risk", rule=0, slot=1)
    assert kinds(snapshot.gateway[rest]) == {
        "http:2": (14, 115.5),
        "http:5": (1, 115.5),
        "le:250": (12, 115.5),
        INFINITE_EDGE: (15, 115.5),
    }
    assert kinds(snapshot.gateway[grpc]) == {"grpc:14": (3, 115.5)}
    instances = {counter.instance for found in snapshot.gateway.values() for counter in found}
    assert len(instances) == 1, "all of them are one gateway pod's"


async def test_the_two_spellings_of_a_bucket_edge_are_one() -> None:
    rows = matrix((gateway_series(queries.REQUEST_TIME_BUCKET, le="250.0"), [(1, "12")]))
    edges = vector(({"le": "0.5"}, (1, "1")), ({"le": "250.0"}, (1, "1")), ({"le": "+Inf"}, (1, "1")))
    snapshot = await collected(answering(gateway=rows, edges=edges))
    assert [counter.kind for found in snapshot.gateway.values() for counter in found] == ["le:250"]
    assert snapshot.latency_edges == (0.5, 250.0)


async def test_statuses_of_several_grpc_methods_are_summed_and_gateway_pods_are_kept_apart() -> None:
    rows = matrix(
        (gateway_series("envoy_cluster_grpc_ModelInfer_0", rule=0, envoy_grpc_bridge_service="inference"), [(10, "5")]),
        (gateway_series("envoy_cluster_grpc_ServerReady_0", rule=0), [(10, "1")]),
        (gateway_series("envoy_cluster_grpc_0", rule=0, envoy_grpc_bridge_method="Check"), [(10, "1")]),
        ({**gateway_series("envoy_cluster_grpc_ModelInfer_0", rule=0), "instance": "10.1.0.8:19001"}, [(11, "100")]),
    )
    (found,) = (await collected(answering(gateway=rows))).gateway.values()
    assert sorted(counter.value for counter in found) == [7, 100]
    assert len({counter.instance for counter in found}) == 2


async def test_nan_and_foreign_series_are_no_values() -> None:
    rows = matrix(
        (gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="2"), [(1, "NaN")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="+Inf"), [(1, "+Inf")]),
        ({"__name__": queries.HTTP_ANSWERS, "envoy_cluster_name": "prometheus_stats"}, [(1, "5")]),
        (gateway_series("envoy_cluster_grpc_ModelInfer_total"), [(1, "5")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="wide"), [(1, "5")]),
    )
    outcomes = matrix(
        (outcome_series("tp"), [(1, "NaN")]),
        (outcome_series("unknown"), [(1, "5")]),
        (outcome_series("tp", epoch="first"), [(1, "5")]),
    )
    snapshot = await collected(answering(gateway=rows, outcomes=outcomes))
    assert (snapshot.error, snapshot.gateway, snapshot.outcomes) == (None, {}, {})


async def test_replicas_of_the_feedback_service_count_once() -> None:
    outcomes = matrix(
        (outcome_series("tp"), [(10, "40")]),
        (outcome_series("tp", instance="feedback-1"), [(12, "41")]),
        (outcome_series("fn"), [(10, "3")]),
    )
    snapshot = await collected(answering(outcomes=outcomes))
    assert snapshot.outcomes == {
        ("claims", "claim-risk"): (
            OutcomeTotal(revision="aaa", attempt=2, epoch=1, result="tp", value=41, at=12),
            OutcomeTotal(revision="aaa", attempt=2, epoch=1, result="fn", value=3, at=10),
        )
    }


async def test_an_empty_prometheus_is_an_empty_snapshot_and_no_error() -> None:
    snapshot = await collected(answering())
    assert (snapshot.error, snapshot.gateway, snapshot.outcomes, snapshot.latency_edges) == (None, {}, {}, ())


async def test_a_look_is_three_queries_however_many_models_there_are() -> None:
    series: list[tuple[dict[str, str], list[tuple[float, str]]]] = [
        (
            {
                "__name__": queries.HTTP_ANSWERS,
                "envoy_cluster_name": f"httproute/claims/model-{number}/rule/1/backend/0",
                "envoy_response_code_class": "2",
            },
            [(1, "5")],
        )
        for number in range(1_000)
    ]
    rows = matrix(*series)
    async with running(answering(gateway=rows)) as server, asking(server.address + "/prefix/") as prometheus:
        snapshot = await prometheus.collect(frozenset({500, 100}))
        assert len(snapshot.gateway) == 1_000
        assert [path for path, _, _ in server.requests] == ["/prefix/api/v1/query"] * 3
        gateway = next(query for _, _, query in server.requests if query.startswith("{"))
        assert r'le=~"|100(\\.0)?|500(\\.0)?|\\+Inf"' in gateway
        assert gateway.endswith("[60s]"), "nothing older than the staleness limit is returned"


async def test_headers_are_sent() -> None:
    async with (
        running(answering()) as server,
        asking(server.address, headers={"X-Scope-OrgID": "claims"}) as prometheus,
    ):
        await prometheus.collect(frozenset())
        assert {headers["x-scope-orgid"] for _, headers, _ in server.requests} == {"claims"}


# Trouble ------------------------------------------------------------------------------------------------------------


def refusing(_query: str) -> tuple[int, str]:
    return 400, json.dumps({"status": "error", "errorType": "bad_data", "error": "unexpected end of input"})


WRONG_ANSWERS: dict[str, tuple[Answer, str]] = {
    "a refused query": (refusing, "refused the query"),
    "a web page": (lambda _: (200, "<html>Sign in</html>"), "did not answer as Prometheus does: HTTP 200 <html>"),
    "a proxy's error": (lambda _: (502, "bad gateway"), "did not answer as Prometheus does: HTTP 502 bad gateway"),
    "a redirect": (lambda _: (302, "{}"), "refused the query"),
    "other JSON": (lambda _: (200, '{"status": "success"}'), "did not answer as Prometheus does"),
    "a list": (lambda _: (200, "[1]"), "refused the query"),
    "a broken series": (
        lambda _: (200, '{"status": "success", "data": {"result": [{"metric": {}, "values": []}]}}'),
        "did not answer as Prometheus does",
    ),
    "a number": (lambda _: (200, '{"status": "success", "data": {"result": 7}}'), "did not answer as Prometheus does"),
}


@pytest.mark.parametrize(("answer", "words"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS.keys())
async def test_a_wrong_answer_is_an_error_that_quotes_it(answer: Answer, words: str) -> None:
    snapshot = await collected(answer)
    assert snapshot.error is not None
    assert snapshot.error.startswith("Prometheus at http://127.0.0.1:")
    assert words in snapshot.error
    assert snapshot.gateway == {}


async def test_the_words_of_prometheus_are_passed_on() -> None:
    assert "unexpected end of input" in str((await collected(refusing)).error)


async def test_a_prometheus_that_does_not_listen_is_an_error() -> None:
    async with running(answering()) as server:
        address = server.address
    async with asking(address) as prometheus:
        assert f"Prometheus at {address} cannot be reached" in str((await prometheus.collect(frozenset())).error)


async def test_a_slow_prometheus_is_an_error_after_the_time_limit() -> None:
    async with (
        running(answering(), delay_seconds=60) as server,
        asking(server.address, timeout_seconds=0.2) as prometheus,
        asyncio.timeout(30),
    ):
        assert "did not answer within 0.2 s" in str((await prometheus.collect(frozenset())).error)


@pytest.mark.parametrize("address", ["http://[bad", "prometheus:9090", "ftp://prometheus", ""])
async def test_a_wrong_address_is_an_error(address: str) -> None:
    async with asking(address) as prometheus:
        assert (await prometheus.collect(frozenset())).error is not None


async def test_a_prometheus_that_comes_back_is_believed_again() -> None:
    async with running(refusing) as server, asking(server.address) as prometheus:
        assert (await prometheus.collect(frozenset())).error is not None
        server.answer = answering()
        assert (await prometheus.collect(frozenset())).error is None
