"""The collector against a real Prometheus that scrapes what Envoy exposes: the queries mean what we take them for."""

import asyncio
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from claims_cluster import parts
from claims_cluster.pki import Authority
from claims_operator.adapters.prometheus import Prometheus
from claims_operator.core import credentials
from claims_operator.core.snapshot import Backend, Scope, Snapshot

BCRYPT_OF_OPEN_SESAME = "$2b$04$Dbn6jI07MPHCK.TT86HvOeKhGhsXK0UhMPuF88fNTwbFJSa59i3VW"
LIMIT_SECONDS = 120
SCOPE = Scope(models=frozenset({("claims", "claim-risk")}), thresholds=frozenset({250}))
GRPC, REST = (Backend(namespace="claims", route="claim-risk", rule=rule, slot=1) for rule in (0, 1))


@dataclass
class Envoy:
    """What a gateway pod exposes."""

    exposed: dict[str, float] = field(default_factory=dict)
    port: int = 0

    def count(self, name: str, value: float, *, rule: int = 1, slot: int = 1, **labels: str) -> None:
        labels = {"envoy_cluster_name": f"httproute/claims/claim-risk/rule/{rule}/backend/{slot}", **labels}
        shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
        self.exposed[f"{name}{{{shown}}}"] = value

    async def show(self, _request: web.Request) -> web.Response:
        return web.Response(text="".join(f"{series} {value}\n" for series, value in self.exposed.items()))


@pytest.fixture
async def envoy() -> AsyncIterator[Envoy]:
    pod = Envoy()
    application = web.Application()
    application.add_routes([web.get("/stats/prometheus", pod.show)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pod.port = runner.addresses[0][1]
    yield pod
    await runner.cleanup()


def configuration(*ports: int, **external_labels: str) -> dict[str, object]:
    """Return a configuration in which two jobs scrape the same pods."""
    targets = [f"127.0.0.1:{port}" for port in ports]
    return {
        "global": {"scrape_interval": "1s", "external_labels": external_labels},
        "scrape_configs": [
            {
                "job_name": job,
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": targets, "labels": labels}],
            }
            for job, labels in (("claims-gateway", {"namespace": "infra", "pod": "envoy-1"}), ("everything", {}))
        ],
    }


@contextlib.contextmanager
def running(folder: Path, config: dict[str, object], web_config: dict[str, object] | None = None) -> Iterator[int]:
    """Run Prometheus in an empty folder; yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (folder / "web.yaml").write_text(yaml.safe_dump(web_config or {}))
    command = [
        str(parts.program("prometheus")),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--web.config.file={folder / 'web.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}, cwd=folder)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


async def look_until(prometheus: Prometheus, kinds: set[str], backend: Backend, folder: Path) -> Snapshot:
    """Look until everything that is exposed was scraped."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        snapshot = await prometheus.collect(SCOPE)
        if {counter.kind for counter in snapshot.gateway.get(backend, ())} >= kinds:
            return snapshot
        assert time.monotonic() < deadline, f"{snapshot}\n{(folder / 'log').read_text()[-2000:]}"
        await asyncio.sleep(0.3)


async def test_counters_of_a_gateway_pod_as_prometheus_has_them(envoy: Envoy, tmp_path: Path) -> None:
    for kind, value in (("2", 100.0), ("5", 3.0)):
        envoy.count("envoy_cluster_upstream_rq_xx", value, envoy_response_code_class=kind)
    for edge, value in (("100", 40.0), ("250", 90.0), ("500", 101.0), ("+Inf", 103.0)):
        envoy.count("envoy_cluster_upstream_rq_time_bucket", value, le=edge)
    envoy.count("envoy_cluster_upstream_rq_xx", 60.0, rule=0, envoy_response_code_class="2")
    # Whatever method a client names, Envoy makes counters of it.
    envoy.count("envoy_cluster_grpc_ModelInfer_0", 30.0, rule=0, envoy_grpc_bridge_service="inference")
    envoy.count("envoy_cluster_grpc_ModelInfer_14", 2.0, rule=0, envoy_grpc_bridge_service="inference")
    envoy.count("envoy_cluster_grpc_ModelInfer_request_message_count", 77.0, rule=0)
    envoy.count("envoy_cluster_grpc_0", 5.0, rule=0, envoy_grpc_bridge_method="Check")
    for number in range(200):
        envoy.count(f"envoy_cluster_grpc_Guess{number}_12", 1.0, rule=0)
    envoy.exposed['envoy_cluster_upstream_rq_xx{envoy_cluster_name="httproute/claims/other/rule/1/backend/0"}'] = 1.0
    with running(tmp_path, configuration(envoy.port, replica="a")) as port:
        prometheus = Prometheus(f"http://127.0.0.1:{port}", timeout_seconds=9.5)
        try:
            snapshot = await look_until(prometheus, {"grpc:0", "grpc:12", "grpc:14"}, GRPC, tmp_path)
            snapshot = await look_until(prometheus, {"le:250", "http:5"}, REST, tmp_path)
        finally:
            await prometheus.close()
    seen = {
        backend: sorted((counter.kind, counter.value) for counter in counters)
        for backend, counters in snapshot.gateway.items()
    }
    # Scraped by two jobs, counted once; buckets up to the threshold; no counter that is no answer, or another's.
    assert seen == {
        REST: [("http:2", 100), ("http:5", 3), ("le:100", 40), ("le:250", 90), ("le:inf", 103)],
        GRPC: [("grpc:0", 35), ("grpc:12", 200), ("grpc:14", 2), ("http:2", 60)],
    }
    assert snapshot.latency_edges == (100, 250, 500)
    ages = {snapshot.collected_at.timestamp() - counter.at for its in snapshot.gateway.values() for counter in its}
    assert all(-1 <= age < 60 for age in ages), ages  # The operator's clock is cut to the second.


async def test_own_queries_as_prometheus_answers_them(envoy: Envoy, tmp_path: Path) -> None:
    envoy.count("reviews", 0.25)
    with running(tmp_path, configuration(envoy.port)) as port:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        try:
            deadline = time.monotonic() + LIMIT_SECONDS
            while len((await prometheus.ask("reviews")).values) != 2:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
                await asyncio.sleep(0.3)
            assert (await prometheus.ask("max(reviews)")).values == (0.25,)
            assert (await prometheus.ask("1 + 1")).values == (2.0,)
            assert (await prometheus.ask("no_such_metric")).values == ()
            assert str((await prometheus.ask("max(reviews) * 0 / 0")).values) == "(nan,)"
            assert "unclosed left parenthesis" in str((await prometheus.ask("max(reviews")).error)
            assert "with a matrix" in str((await prometheus.ask("reviews[1m]")).error)
        finally:
            await prometheus.close()


async def test_passwords_and_certificates_as_prometheus_wants_them(envoy: Envoy, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    certificate, key = authority.issue("server", "prometheus", alternative_names=("IP:127.0.0.1",))
    web_config = {
        "tls_server_config": {
            "cert_file": str(certificate),
            "key_file": str(key),
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": str(authority.certificate),
        },
        "basic_auth_users": {"claims": BCRYPT_OF_OPEN_SESAME},
    }
    own_certificate, own_key = authority.issue("client", "operator")
    keys = {
        "ca.crt": authority.certificate.read_bytes(),
        "tls.crt": own_certificate.read_bytes(),
        "tls.key": own_key.read_bytes(),
        "username": b"claims",
        "password": b"open-sesame",
    }

    async def error_of(given: dict[str, bytes]) -> str | None:
        prometheus = Prometheus(f"https://127.0.0.1:{port}", credentials=credentials.parse(given))
        try:
            return (await prometheus.collect(SCOPE)).error
        finally:
            await prometheus.close()

    with running(tmp_path, configuration(envoy.port), web_config) as port:
        deadline = time.monotonic() + LIMIT_SECONDS
        while (error := await error_of(keys)) is not None:
            assert time.monotonic() < deadline, f"{error}\n{(tmp_path / 'log').read_text()[-2000:]}"
            await asyncio.sleep(0.3)
        assert "HTTP 401" in str(await error_of({**keys, "password": b"open-barley"}))
        without = {name: value for name, value in keys.items() if not name.startswith("tls.")}
        assert "cannot be reached" in str(await error_of(without))
