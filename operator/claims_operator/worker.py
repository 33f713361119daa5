"""One task per ClaimsModel: no two passes overlap, a wake during a pass makes another, failures back off."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from claims_operator.api.names import ObjectKey
from claims_operator.errors import Conflict, OperatorError
from claims_operator.publishing import Metrics

_LOG: Final = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS: Final = 0.3
LONGEST_BACKOFF_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a pass over a ClaimsModel asks of the worker."""

    recheck_seconds: float | None = None
    """Seconds until the next pass that no wake asks for; None for a resync."""
    is_gone: bool = False
    """Whether there is nothing to look at any more."""


class Worker:
    """Runs ``tick`` for every key that was woken, until `close`."""

    def __init__(
        self,
        tick: Callable[[ObjectKey], Awaitable[Pass]],
        metrics: Metrics,
        *,
        resync_seconds: float,
        deadline_seconds: float,
    ) -> None:
        self._tick = tick
        self._metrics = metrics
        self._resync_seconds = resync_seconds
        self._deadline_seconds = deadline_seconds
        self._wakes: dict[ObjectKey, asyncio.Event] = {}
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}

    def wake(self, key: ObjectKey) -> None:
        """Ask for a pass over a ClaimsModel, soon; many asks before it begins make one pass."""
        if key not in self._tasks:
            self._wakes[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"rollout {key}")
        self._wakes[key].set()

    async def close(self) -> None:
        """Stop all tasks, in the middle of a pass if need be: the next process goes on from what is recorded."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._wakes.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: ObjectKey) -> None:
        failures, wake = 0, self._wakes[key]
        while True:
            wake.clear()
            finished = await self._pass(key)
            if finished is None:
                failures += 1
                # A wake does not shorten the back-off: what fails may be what wakes us.
                await asyncio.sleep(_backoff_seconds(failures))
                continue
            failures = 0
            if finished.is_gone and not wake.is_set():
                self._tasks.pop(key, None)
                self._wakes.pop(key, None)
                return
            await self._wait(wake, finished.recheck_seconds)

    async def _wait(self, wake: asyncio.Event, recheck_seconds: float | None) -> None:
        if recheck_seconds is None:
            # Not all at once.
            recheck_seconds = self._resync_seconds * random.uniform(0.9, 1)  # noqa: S311
        try:
            await asyncio.wait_for(wake.wait(), recheck_seconds)
        except TimeoutError:
            return

    async def _pass(self, key: ObjectKey) -> Pass | None:
        """Return what the pass asks for; None where it failed."""
        result = "done"
        try:
            with self._metrics.tick_seconds.time():
                return await asyncio.wait_for(self._tick(key), self._deadline_seconds)
        except Conflict as error:
            result = "conflict"
            _LOG.info("%s: somebody was faster: %s", key, error)
        except OperatorError as error:
            result = "failed"
            _LOG.warning("%s: %s", key, error)
        except TimeoutError:
            result = "timeout"
            _LOG.warning("%s: no end after %.0f s", key, self._deadline_seconds)
        except Exception:
            # The one place that catches everything: a fault in one ClaimsModel must not stop the others.
            result = "fault"
            _LOG.exception("%s: unexpected fault", key)
        finally:
            self._metrics.ticks.labels(result).inc()
        return None


def _backoff_seconds(failures: int) -> float:
    """Return the time to wait after so many failures in a row, from 1; the first, a conflict mostly, is short."""
    longest: float = min(FIRST_BACKOFF_SECONDS * 4.0 ** min(failures - 1, 10), LONGEST_BACKOFF_SECONDS)
    return longest * random.uniform(0.5, 1)  # noqa: S311
