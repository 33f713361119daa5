"""The operator's own HTTP: /metrics for Prometheus and /healthz for the kubelet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


@asynccontextmanager
async def serve(registry: CollectorRegistry, port: int) -> AsyncIterator[int]:
    """Serve on all addresses of the pod; yield the port. It is served by the loop that does the work, so an answer
    from /healthz says that the loop turns.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
