"""A world around one ClaimsModel, on a real API server."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from played_cluster import PlayedRegistry
from played_prometheus import PlayedPrometheus
from played_world import NAME, MortalCluster, World
from prometheus_scene import Scene, asking

from claims_cluster.controlplane import ControlPlane
from claims_operator.adapters.registry import Registry
from claims_operator.api.names import ObjectKey


@pytest.fixture
async def world(api_server: ControlPlane, namespace: str) -> AsyncIterator[World]:
    """A cluster with three versions of a model in its registry, and no ClaimsModel yet."""
    models = PlayedRegistry(versions={"1": "1.0.0", "2": "2.0.0", "3": "3.0.0"}, aliases={"champion": "1"})
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(models.serve())
        cluster = await MortalCluster.connect(kubeconfig=api_server.kubeconfig, request_timeout_seconds=10)
        await stack.enter_async_context(cluster)
        registry = await stack.enter_async_context(Registry(url, request_timeout_seconds=5))
        yield World(cluster=cluster, registry=registry, models=models, key=ObjectKey(namespace, NAME))


@pytest.fixture
async def scene(world: World) -> AsyncIterator[Scene]:
    """The same, judged over HTTP."""
    prometheus = PlayedPrometheus(world.traffic)
    async with prometheus.serve() as server, asking(world, server.address):
        yield Scene(world, prometheus)
