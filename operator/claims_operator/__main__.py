"""``python -m claims_operator``: settings → the operator, until SIGTERM or the loss of its Lease."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from claims_operator import handlers, http
from claims_operator.adapters import clock, credentials
from claims_operator.adapters.kubernetes import Cluster
from claims_operator.adapters.prometheus import Prometheus
from claims_operator.adapters.registry import Registry
from claims_operator.core.addresses import Address
from claims_operator.core.credentials import Credentials
from claims_operator.errors import InvalidSettings
from claims_operator.lease import Lease
from claims_operator.publishing import Metrics, Publisher
from claims_operator.settings import Settings
from claims_operator.sources import Sources
from claims_operator.tick import Ticker
from claims_operator.worker import Worker


async def run(settings: Settings, kubeconfig: Path | None, stop: asyncio.Event) -> bool:
    """Work until ``stop`` is set; return whether the Lease was held to the end."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    timeout = settings.request_timeout_seconds
    async with (
        contextlib.AsyncExitStack() as stack,
        http.serve(registry, settings.http_port),
        await Cluster.connect(kubeconfig=kubeconfig, request_timeout_seconds=timeout) as cluster,
        Registry(settings.mlflow_url, request_timeout_seconds=timeout) as models,
    ):
        sources = build_sources(settings, cluster)
        stack.push_async_callback(sources.close)
        lease = Lease(
            cluster,
            namespace=settings.operator_namespace,
            identity=settings.identity,
            lease_seconds=settings.lease_seconds,
            utc_now=clock.now,
            monotonic=time.monotonic,
        )
        if not await _unless(stop, lease.acquire()):
            return True
        metrics.leader.set(1)
        worker = Worker(
            build_ticker(settings, cluster, models, sources, metrics).tick,
            metrics,
            resync_seconds=settings.resync_seconds,
            deadline_seconds=settings.tick_deadline_seconds,
        )
        watching = asyncio.create_task(handlers.watch(worker.wake, kubeconfig, stop))
        # Without watches there is nothing to work on.
        watching.add_done_callback(lambda _: stop.set())
        lost = await _unless(stop, lease.hold())
        stop.set()
        await worker.close()
        await watching
        if not lost:
            await lease.release()
        return not lost


def build_sources(settings: Settings, cluster: Cluster) -> Sources:
    """Put together what Prometheus servers are asked by."""
    own = Address.parse(settings.prometheus_url)

    def connect(address: str, of: Credentials) -> Prometheus:
        return Prometheus(
            address,
            credentials=of,
            timeout_seconds=settings.request_timeout_seconds,
            window_seconds=settings.prometheus_window_seconds,
            replica_labels=settings.prometheus_replica_labels,
            match_labels=settings.prometheus_match_labels if Address.parse(address) == own else (),
        )

    return Sources(
        address=settings.prometheus_url,
        own_credentials=credentials.from_directory(settings.prometheus_credentials_directory),
        allowed_addresses=settings.prometheus_allowed_addresses,
        read_secret=cluster.read_secret,
        connect=connect,
        least_seconds=settings.snapshot_seconds,
        now=clock.now,
        monotonic=time.monotonic,
    )


def build_ticker(settings: Settings, cluster: Cluster, models: Registry, sources: Sources, metrics: Metrics) -> Ticker:
    """Put the parts of a tick together."""
    return Ticker(
        cluster=cluster,
        registry=models,
        sources=sources,
        publisher=Publisher(cluster, metrics, identity=settings.identity, audit=sys.stdout, now=clock.now),
        platform=settings.platform,
        now=clock.now,
    )


async def _unless(stop: asyncio.Event, work: "asyncio._CoroutineLike[None]") -> bool:
    """Return True when ``work`` ended, False when ``stop`` was set before; ``work`` is then abandoned."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if working in done:
        working.result()
        return True
    return False


async def main() -> int:
    """Run with the settings of the environment; return the exit code."""
    try:
        settings = Settings.from_environment(os.environ)
    except InvalidSettings as error:
        sys.stderr.write("".join(f"claims-operator: {problem}\n" for problem in error.problems))
        return 2
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in handlers.STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    kubeconfig = os.environ.get("KUBECONFIG")
    return 0 if await run(settings, Path(kubeconfig) if kubeconfig else None, stop) else 1


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # It tells of every query, five each look.
    sys.exit(asyncio.run(main()))
