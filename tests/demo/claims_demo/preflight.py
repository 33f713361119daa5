"""Looks at everything the demo needs before it begins, and names all that is missing at once."""

import asyncio
import urllib.parse

import httpx

from claims_demo.settings import Settings

TIMEOUT_SECONDS = 10.0


class NotReadyError(Exception):
    """Something the demo needs does not answer."""


async def check(settings: Settings) -> None:
    """Raise `NotReadyError` with a line for each part that does not answer."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
        problems = await asyncio.gather(
            _check_connection("the gateway", "--gateway-url", settings.gateway_url),
            _check_page(client, "Prometheus", "--prometheus-url", f"{settings.prometheus_url}/-/ready"),
            _check_page(client, "MLflow", "--mlflow-url", f"{settings.mlflow_url}/health"),
            _check_page(client, "the feedback service", "--feedback-url", f"{settings.feedback_url}/readyz"),
        )
    if found := [problem for problem in problems if problem]:
        raise NotReadyError("\n".join(found))


async def _check_page(client: httpx.AsyncClient, what: str, flag: str, url: str) -> str | None:
    try:
        response = await client.get(url)
    except httpx.TransportError as error:
        return f"{what} does not answer at {url} ({type(error).__name__} {error}); {flag} names another address"
    if response.status_code != 200:
        return f"{what} answers {response.status_code} at {url}: {response.text[:200]}"
    return None


async def _check_connection(what: str, flag: str, url: str) -> str | None:
    """The gateway has no page of its own before a route exists: see whether it accepts a connection."""
    parts = urllib.parse.urlsplit(url)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except (OSError, TimeoutError) as error:
        return f"{what} does not answer at {url} ({type(error).__name__} {error}); {flag} names another address"
    writer.close()
    return None
