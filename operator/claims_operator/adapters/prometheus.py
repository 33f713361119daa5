"""Asks one Prometheus (or Thanos, Mimir: what has its query API), with five queries for all ClaimsModels together."""

import asyncio
import datetime as dt
import json
import math
import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx

from claims_operator.adapters import clock
from claims_operator.core import clocks, queries
from claims_operator.core.credentials import NONE, Credentials, UnusableCredentials
from claims_operator.core.own_metrics import Answer
from claims_operator.core.reading import Series, read_edges, read_gateway, read_outcomes
from claims_operator.core.snapshot import Scope, Snapshot

PATH: Final = "/api/v1/query"
SHOWN_CHARACTERS: Final = 200
"""Of an answer that is not Prometheus's, so many are quoted."""
LARGEST_ANSWER_BYTES: Final = 48 * 1024**2
"""Of one query for many ClaimsModels. The operator's memory holds the answer, and a few times as much to read it."""
LARGEST_OWN_ANSWER_BYTES: Final = 1024**2
"""Of one own metric, which should be one number."""
LARGEST_SECRET_BYTES: Final = 1024**2
"""That is what a Secret of Kubernetes holds at most."""
CONNECTIONS: Final = 8
"""At the same time, so that the own metrics of many rollouts wait for one another and not Prometheus for them."""
REPLICA_LABELS: Final = ("prometheus_replica", "__replica__")


class Unanswered(Exception):
    """Prometheus gave no usable answer; the message is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class _Result:
    """What a query came to."""

    type: str
    """scalar, vector, matrix or string."""
    entries: list[Any]


class Prometheus:
    """One Prometheus, by address and credentials.

    The credentials go to that address only: redirects are errors, and no proxy of the environment is used.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: Credentials = NONE,
        timeout_seconds: float = 10.0,
        window_seconds: int = 60,
        replica_labels: tuple[str, ...] = REPLICA_LABELS,
        match_labels: queries.MatchLabels = (),
        now: Callable[[], dt.datetime] = clock.now,
    ) -> None:
        """Prepare to ask; nothing is sent yet. Raise UnusableCredentials for certificates that cannot be used.

        ``address``: base URL, for example ``http://prometheus.claims-system:9090``; a path is kept.
        ``timeout_seconds``: for one look, all queries together, and for one own metric.
        ``window_seconds``: older samples are not used; at least two scrape intervals.
        ``replica_labels``: labels by which replicas of one Prometheus differ.
        ``match_labels``: labels that the platform's series must have to count; own metrics say themselves.
        """
        self._address = address.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._window_seconds = window_seconds
        self._replica_labels = frozenset(replica_labels)
        self._match_labels = match_labels
        self._now = now
        self._offset_seconds = 0.0
        self._secrets = credentials.secrets
        self._client = httpx.AsyncClient(
            headers=credentials.headers,
            verify=_tls(credentials) if credentials.needs_tls else True,
            timeout=timeout_seconds,
            limits=httpx.Limits(max_connections=CONNECTIONS),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def collect(self, scope: Scope) -> Snapshot:
        """Return the counters of many ClaimsModels; trouble is the snapshot's ``error``, never an exception."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._look(scope)
        except TimeoutError:
            return self._failed(self._too_slow())
        except Unanswered as problem:
            return self._failed(str(problem))

    async def ask(self, query: str) -> Answer:
        """Return the values that a query comes to, one per series; trouble is the answer's ``error``."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                result = await self._query(query, largest_bytes=LARGEST_OWN_ANSWER_BYTES)
                if result.type not in {"scalar", "vector"}:
                    raise Unanswered(f"answers the query {query} with a {result.type}; it has to be one number now")
                return Answer(values=tuple(value for _, value in _points(result)))
        except TimeoutError:
            return Answer(error=self._sentence(self._too_slow()))
        except Unanswered as problem:
            return Answer(error=self._sentence(str(problem)))

    async def _look(self, scope: Scope) -> Snapshot:
        """Ask everything for one instant of Prometheus' own clock."""
        asked_at = self._now()
        theirs = next((at for at, _ in _points(await self._query(queries.CLOCK))), math.nan)
        if not math.isfinite(theirs):
            raise Unanswered("does not tell its time")
        self._offset_seconds = clocks.offset_seconds(theirs, asked_at, self._now(), self._offset_seconds)
        wrong = clocks.complaint(self._offset_seconds)
        if wrong is not None:
            raise Unanswered(wrong)
        selected: Any = {"window_seconds": self._window_seconds, "match_labels": self._match_labels}
        edges = read_edges(await self._series(queries.latency_edges(self._match_labels), theirs))
        wanted = [edge for edge in edges if scope.reads(edge)]
        # Answers by gRPC status come after the others: their time is that of the others' scrapes, or a little later, so
        # that nothing from before the end of the settle time passes for younger.
        counters = await self._series(queries.gateway_counters(scope, wanted, **selected), theirs)
        grpc = await self._series(queries.grpc_answers(scope, **selected), theirs)
        outcomes = await self._series(queries.outcome_totals(scope, **selected), theirs)
        return Snapshot(
            collected_at=self._now(),
            gateway=read_gateway(counters, grpc, self._replica_labels),
            outcomes=read_outcomes(outcomes),
            latency_edges=edges,
        )

    async def _series(self, query: str, at: float) -> tuple[Series, ...]:
        result = await self._query(query, at=at)
        try:
            return tuple(_read_series(result.entries, self._offset_seconds))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
            raise Unanswered(f"did not answer {query} with series") from problem

    async def _query(
        self, query: str, *, at: float | None = None, largest_bytes: int = LARGEST_ANSWER_BYTES
    ) -> _Result:
        # Thanos: rather no answer than one without the stores that are down. Others do not know the word.
        form = {"query": query, "timeout": f"{self._timeout_seconds:g}", "partial_response": "false"}
        if at is not None:
            form["time"] = repr(at)
        status, body = await self._post(form, largest_bytes)
        if 300 <= status < 400:
            raise Unanswered(f"answers HTTP {status}, a redirect, which is not followed; name the address itself")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as problem:
            raise Unanswered(f"did not answer as Prometheus does: {self._quote(status, body)}") from problem
        if not isinstance(answer, dict) or answer.get("status") != "success" or status != httpx.codes.OK:
            why = answer.get("error") if isinstance(answer, dict) else None
            raise Unanswered(f"refused the query {query}: {self._cut(str(why)) if why else self._quote(status, body)}")
        if answer.get("warnings"):
            raise Unanswered(f"warns that data may be missing or wrong: {self._cut(str(answer['warnings']))}")
        try:
            return _Result(type=answer["data"]["resultType"], entries=list(answer["data"]["result"]))
        except (KeyError, TypeError) as problem:
            raise Unanswered(f"did not answer as Prometheus does: {self._quote(status, body)}") from problem

    async def _post(self, form: dict[str, str], largest_bytes: int) -> tuple[int, bytes]:
        """Return status and body; raise Unanswered where there is none, or no end to it."""
        body = bytearray()
        try:
            async with self._client.stream("POST", self._address + PATH, data=form) as response:
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > largest_bytes:
                        raise Unanswered(
                            f"answers {form['query']} with more than {largest_bytes / 1024**2:g} MiB; ask it for less"
                        )
                return response.status_code, bytes(body)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as problem:
            raise Unanswered(f"cannot be asked, its address is wrong: {problem}") from problem
        except httpx.TimeoutException as problem:
            raise Unanswered(self._too_slow()) from problem
        except (httpx.HTTPError, OSError) as problem:  # What TLS says after its handshake comes as it is.
            raise Unanswered(f"cannot be reached: {str(problem) or type(problem).__name__}") from problem

    def _too_slow(self) -> str:
        return f"did not answer within {self._timeout_seconds:g} s"

    def _failed(self, why: str) -> Snapshot:
        return Snapshot(collected_at=self._now(), error=self._sentence(why))

    def _sentence(self, why: str) -> str:
        return f"Prometheus at {self._address} {why}"

    def _quote(self, status: int, body: bytes) -> str:
        return f"HTTP {status} {self._cut(body[:LARGEST_SECRET_BYTES].decode(errors='replace'))}".strip()

    def _cut(self, said: str) -> str:
        """Return the beginning of what a server said, without our own credentials: statuses are read by many."""
        for secret in self._secrets:
            said = said.replace(secret, "[hidden]")
        return said[:SHOWN_CHARACTERS].strip()


def _tls(credentials: Credentials) -> ssl.SSLContext:
    try:
        own_authority = credentials.authority is not None
        context = ssl.create_default_context(cadata=credentials.authority) if own_authority else _public_tls()
    except (ssl.SSLError, ValueError, TypeError) as problem:
        raise UnusableCredentials("ca.crt holds no certificates in PEM") from problem
    if credentials.certificate is not None:
        # Python reads certificates from files only; this one has no place on any disk.
        held = os.memfd_create("client-certificate")
        try:
            os.write(held, f"{credentials.certificate}\n{credentials.private_key}\n".encode())
            context.load_cert_chain(f"/proc/self/fd/{held}", password="")
        except ssl.SSLError as problem:
            raise UnusableCredentials(
                "tls.crt and tls.key must be a certificate and its private key in PEM, the key without a password"
            ) from problem
        finally:
            os.close(held)
    return context


def _public_tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _points(result: _Result) -> list[tuple[float, float]]:
    """Return time and value of a scalar, or of each series of a vector, NaN included."""
    try:
        pairs = [result.entries] if result.type == "scalar" else [entry["value"] for entry in result.entries]
        return [(float(at), float(value)) for at, value in pairs]
    except (KeyError, TypeError, ValueError) as problem:
        raise Unanswered("did not answer as Prometheus does: there is no number in its result") from problem


def _read_series(entries: list[Any], offset_seconds: float) -> Iterator[Series]:
    """Yield the newest sample of each series by our own clock, leaving out NaN and infinity: no value is known then."""
    for entry in entries:
        at, text = entry["values"][-1] if "values" in entry else entry["value"]
        value = float(text)
        if math.isfinite(value):
            labels = {str(name): str(label) for name, label in entry["metric"].items()}
            yield Series(labels=labels, value=value, at=float(at) - offset_seconds)
