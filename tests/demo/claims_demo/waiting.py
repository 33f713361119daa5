"""Waiting with a limit: whoever waits says what for, and what it saw when the time was over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")


class WaitedInVainError(Exception):
    """What was waited for did not come in time."""


async def wait_for(
    what: str,
    look: Callable[[], Awaitable[tuple[Found | None, str]]],
    *,
    limit_seconds: float,
    interval_seconds: float = 1.0,
) -> Found:
    """Call ``look`` until it returns something besides None, and return that.

    ``look`` also returns a sentence on what it sees; the last one is part of the error.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_seconds
    while True:
        found, seen = await look()
        if found is not None:
            return found
        if loop.time() >= end:
            raise WaitedInVainError(f"Waited {limit_seconds:.0f} s for {what}. Last seen: {seen}.")
        await asyncio.sleep(interval_seconds)
