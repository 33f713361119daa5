"""Which Prometheus is asked for whom: one collector for each address and credentials, and no credentials elsewhere."""

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from claims_operator.api.v1alpha1 import PrometheusReference
from claims_operator.core import credentials
from claims_operator.core.credentials import Credentials, UnusableCredentials
from claims_operator.core.own_metrics import Answer
from claims_operator.core.snapshot import Scope, Snapshot
from claims_operator.errors import ClusterUnavailable, OperatorError, Refused
from claims_operator.sources import IDLE_SECONDS, Sources

NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
OWN = "http://prometheus.monitoring:9090"
TEAM = "https://mimir.example.com/prometheus"


@dataclass
class Connection:
    """What is asked where, and with what."""

    address: str
    of: Credentials
    collected: int = 0
    closed: bool = False

    async def collect(self, _scope: Scope) -> Snapshot:
        self.collected += 1
        await asyncio.sleep(0)
        return Snapshot(collected_at=NOW)

    async def ask(self, _query: str) -> Answer:
        return Answer(values=(1.0,))

    async def close(self) -> None:
        self.closed = True


@dataclass
class Servers:
    """Every connection that was made, and Secrets by namespace and name."""

    allowed: tuple[str, ...] = (TEAM,)
    own: Mapping[str, bytes] = field(default_factory=lambda: {"token": b"of-the-operator"})
    secrets: dict[tuple[str, str], Mapping[str, bytes] | OperatorError] = field(default_factory=dict)
    made: list[Connection] = field(default_factory=list)
    time: float = 0.0

    def __post_init__(self) -> None:
        self.sources = Sources(
            address=OWN,
            own_credentials=lambda: credentials.parse(self.own),
            allowed_addresses=self.allowed,
            read_secret=self.read,
            connect=self.connect,
            least_seconds=5,
            now=lambda: NOW,
            monotonic=lambda: self.time,
        )

    def connect(self, address: str, of: Credentials) -> Connection:
        if of.authority == "broken":
            raise UnusableCredentials("ca.crt holds no certificates in PEM")
        self.made.append(Connection(address, of))
        return self.made[-1]

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        found = self.secrets.get((namespace, name))
        if isinstance(found, OperatorError):
            raise found
        return found

    async def look(
        self, namespace: str = "claims", address: str | None = None, secret: str | None = None
    ) -> str | None:
        """Look for a ClaimsModel; return the error."""
        named = None if address is None else PrometheusReference(address=address, credentials_secret=secret)
        found = await self.sources.find(namespace, named)
        answer = await found._source.ask("up")
        error = (await found.snapshot(namespace, "claim-risk", 250)).error
        assert answer.error == error
        return error


async def test_a_thousand_claims_models_at_one_address_make_one_look() -> None:
    servers = Servers()
    found = await asyncio.gather(*(servers.sources.find(f"team-{number % 7}", None) for number in range(1_000)))
    await asyncio.gather(*(collector.snapshot("a", f"model-{number}", 250) for number, collector in enumerate(found)))
    # The first looks for itself, the second for all that came meanwhile.
    assert [connection.collected for connection in servers.made] == [2]


async def test_the_operators_credentials_go_to_its_own_prometheus_only() -> None:
    servers = Servers()
    await servers.look()
    await servers.look(address=TEAM)
    await servers.look(address=OWN)
    assert [(made.address, dict(made.of.headers)) for made in servers.made] == [
        (OWN, {"Authorization": "Bearer of-the-operator"}),
        (TEAM, {}),
        (OWN, {}),
    ]


async def test_one_namespaces_credentials_are_not_used_for_another() -> None:
    servers = Servers(secrets={("risk", "mimir"): {"token": b"risk"}, ("fraud", "mimir"): {"token": b"fraud"}})
    for namespace in ("risk", "fraud", "risk"):
        assert await servers.look(namespace, TEAM, "mimir") is None
    assert [made.of.headers["Authorization"] for made in servers.made] == ["Bearer risk", "Bearer fraud"]
    assert "there is no Secret health/mimir" in str(await servers.look("health", TEAM, "mimir"))


async def test_rotated_credentials_are_used_at_the_next_look_and_the_old_connection_is_closed_in_time() -> None:
    servers = Servers(secrets={("risk", "mimir"): {"token": b"old"}})
    await servers.look("risk", TEAM, "mimir")
    servers.secrets["risk", "mimir"] = {"token": b"new"}
    await servers.look("risk", TEAM, "mimir")
    servers.own = {"token": b"rotated"}
    await servers.look()
    assert [made.of.headers["Authorization"] for made in servers.made] == ["Bearer old", "Bearer new", "Bearer rotated"]
    servers.time = IDLE_SECONDS / 2
    await servers.look("risk", TEAM, "mimir")
    servers.time = IDLE_SECONDS + 1
    await servers.look("risk", TEAM, "mimir")
    assert [made.closed for made in servers.made] == [True, False, True]
    await servers.sources.close()
    assert all(made.closed for made in servers.made)


async def test_an_address_that_was_not_allowed_is_never_asked() -> None:
    servers = Servers(secrets={("risk", "mimir"): {"token": b"risk"}})
    error = await servers.look("risk", "http://169.254.169.254", "mimir")
    assert "spec.analysis.prometheus.address: the operator may not ask http://169.254.169.254" in str(error)
    assert servers.made == []


async def test_a_secret_that_cannot_be_used_says_why() -> None:
    servers = Servers(
        secrets={
            ("risk", "wrong"): {"Token": b"x"},
            ("risk", "broken"): {"ca.crt": b"broken"},
            ("risk", "forbidden"): Refused("could not read Secret risk/forbidden: 403 forbidden", status=403),
            ("risk", "away"): ClusterUnavailable("could not read Secret risk/away: TimeoutError"),
        }
    )
    said = {secret: str(await servers.look("risk", TEAM, secret)) for _, secret in servers.secrets}
    assert said["wrong"].startswith("spec.analysis.prometheus: Secret risk/wrong: the key 'Token' is not known")
    assert said["broken"] == "spec.analysis.prometheus: ca.crt holds no certificates in PEM"
    assert "only Secrets that it was told of (Helm: prometheus.readableSecrets)" in said["forbidden"]
    assert "TimeoutError" in said["away"]
    assert servers.made == []


async def test_certificates_for_an_address_without_tls_are_an_error() -> None:
    servers = Servers(allowed=("http://prometheus.risk",), secrets={("risk", "tls"): {"ca.crt": b"pem"}})
    assert "are for https://, and http://prometheus.risk is not" in str(
        await servers.look("risk", "http://prometheus.risk", "tls")
    )


async def test_own_credentials_that_are_gone_are_an_error_and_not_a_look_without_them() -> None:
    servers = Servers(own={"Token": b"x"})
    assert "the operator's Prometheus: the key 'Token' is not known" in str(await servers.look())
    assert servers.made == []
