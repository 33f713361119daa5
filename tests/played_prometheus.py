"""A Prometheus over HTTP that has scraped the played traffic just now, and that breaks when a test says so."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from played_cluster import EDGES, PlayedTraffic
from prometheus_server import Server, running, scalar, success, vector

from claims_contract import metrics
from claims_operator.core import queries

EMPTY: dict[str, Any] = {"resultType": "vector", "result": []}
Values = Callable[[str], list[float]]
"""What an own query comes to, series by series."""


@dataclass
class PlayedPrometheus:
    """Answers the platform's own queries from the traffic, and the users' from ``own``."""

    traffic: PlayedTraffic
    own: dict[str, Values] = field(default_factory=dict)
    """By the beginning of the query."""
    ahead_seconds: float = 0.0
    """By which its clock is ahead; its samples are dated by the same clock."""
    wrong: Callable[[str], tuple[int, str] | None] = lambda _: None
    """Answers instead, where it returns something."""
    server: Server | None = None
    _serving: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[Server]:
        """Serve; yield the server, whose address is its own after a stop too."""
        await self.start()
        try:
            assert self.server is not None
            yield self.server
        finally:
            await self.stop()

    async def start(self) -> None:
        port = 0 if self.server is None else int(self.server.address.rpartition(":")[2])
        self.server = await self._serving.enter_async_context(running(self.answer, port=port))

    async def stop(self) -> None:
        """Do not listen any more."""
        await self._serving.aclose()

    def answer(self, query: str) -> tuple[int, str]:
        instead = self.wrong(query)
        if instead is not None:
            return instead
        now = self.traffic.clock.now().timestamp() + self.ahead_seconds
        if query == queries.CLOCK:
            return success(scalar(now))
        if query == queries.latency_edges():
            return success(vector(*(({"le": f"{edge:g}"}, (now, "1")) for edge in EDGES)))
        if query.startswith(f'{{__name__=~"{metrics.OUTCOMES_TOTAL}|'):
            return success(self._matrix([(self._outcome(*key), value) for key, value in self.traffic.outcomes.items()]))
        if query.startswith("{__name__=~"):
            found = [(self._series(*key), value) for key, value in self.traffic.counted.items()]
            return success(self._matrix(found))
        if query.startswith("sum without"):
            return success(EMPTY)
        values = next((values for begin, values in self.own.items() if query.startswith(begin)), None)
        if values is None:
            raise AssertionError(f"nobody said what {query} comes to")
        return success(
            vector(*(({"series": str(number)}, (now, str(value))) for number, value in enumerate(values(query))))
        )

    def _matrix(self, found: list[tuple[dict[str, str], float]]) -> dict[str, Any]:
        now = self.traffic.clock.now().timestamp() + self.ahead_seconds
        result = [{"metric": labels, "values": [[now, str(int(value))]]} for labels, value in found]
        return {"resultType": "matrix", "result": result}

    def _series(self, slot: int, kind: str) -> dict[str, str]:
        what, _, which = kind.partition(":")
        cluster = f"httproute/{self.traffic.namespace}/{self.traffic.name}/rule/1/backend/{slot}"
        labels = {queries.CLUSTER_LABEL: cluster, "instance": "10.1.0.7:19001", "pod": "envoy-1"}
        if what == "http":
            return {**labels, "__name__": queries.HTTP_ANSWERS, queries.RESPONSE_CLASS_LABEL: which}
        return {**labels, "__name__": queries.REQUEST_TIME_BUCKET, "le": "+Inf" if which == "inf" else which}

    def _outcome(self, revision: str, attempt: int, epoch: int, result: str) -> dict[str, str]:
        stratum = (self.traffic.namespace, self.traffic.name, revision, str(attempt), str(epoch))
        return {**dict(zip(metrics.STRATUM_LABELS, stratum, strict=True)), "result": result}
