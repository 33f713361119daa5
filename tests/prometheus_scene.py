"""A world whose operator asks its Prometheus over HTTP."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from played_prometheus import PlayedPrometheus
from played_world import World, model

from claims_operator.adapters.prometheus import Prometheus
from claims_operator.api import names
from claims_operator.api.status import ClaimsModelStatus
from claims_operator.core import credentials
from claims_operator.core.credentials import Credentials
from claims_operator.sources import Sources

TIMEOUT_SECONDS = 3.0
"""Real time: an answer takes milliseconds, and a slow Prometheus never answers."""


@dataclass
class Scene:
    """A world whose operator asks its Prometheus over HTTP."""

    world: World
    prometheus: PlayedPrometheus

    async def at_the_first_step(self, **spec: Any) -> ClaimsModelStatus:
        """Begin a rollout of version 2."""
        await self.world.serve_first_version(**spec)
        await self.world.change(model=model(2, "2.0.0"))
        return await self.world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)

    async def rollout(self) -> dict[str, Any]:
        """Return the status of the ClaimsRollout of version 2."""
        [found] = [item for item in await self.world.children(names.CLAIMS_ROLLOUT) if item["spec"]["attempt"] == 2]
        status: dict[str, Any] = found["status"]
        return status


@contextlib.asynccontextmanager
async def asking(
    world: World, address: str, *, token: bytes | None = None, allowed: tuple[str, ...] = ()
) -> AsyncIterator[None]:
    """Let the operator ask over HTTP."""

    def connect(place: str, of: Credentials) -> Prometheus:
        return Prometheus(place, credentials=of, timeout_seconds=TIMEOUT_SECONDS, now=world.clock.now)

    sources = Sources(
        address=address,
        own_credentials=lambda: credentials.parse({} if token is None else {"token": token}),
        allowed_addresses=allowed,
        read_secret=world.cluster.read_secret,
        connect=connect,
        least_seconds=0,
        now=world.clock.now,
        monotonic=lambda: world.clock.now().timestamp(),
    )
    world.sources = sources
    world.ticker = world.new_process()
    try:
        yield
    finally:
        await sources.close()
