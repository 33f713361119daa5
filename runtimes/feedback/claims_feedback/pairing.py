"""Brings the two halves of an exchange together: they arrive in requests of their own, in any order.

A request waits here for its response, in memory: only the names of its claims are kept. A response that came first
waits a little for its request, and its sender with it, so that an answer of 200 to a response means what it always
means.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from claims_feedback.logger_events import ClaimIds, Exchange

REQUEST_KEPT_SECONDS: Final = 300.0
"""How long a request waits for its response; one that the model refused never gets one."""

IN_VAIN_MAX: Final = 20
"""So many responses of a revision in a row wait for nothing; then none does until a request of it arrives. A logger
that sends responses only would be held up by every wait."""

REVISIONS_MAX: Final = 1_000
"""Revisions of which waits in vain are counted; beyond them those not heard of for longest are forgotten."""

Revision = tuple[str, str, str]
Key = tuple[Revision, str]


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """A request that waits for its response."""

    claim_ids: ClaimIds
    until: float

    @property
    def rows(self) -> int:
        return max(1, len(self.claim_ids))


class Pairing:
    """The halves that wait; used from one event loop."""

    def __init__(
        self, *, wait_seconds: float, max_rows: int, clock: Callable[[], float], observe_lost: Callable[[int], object]
    ) -> None:
        """Keep nothing yet.

        ``wait_seconds``: how long a response waits for its request. ``max_rows``: rows of waiting requests; beyond
        them the oldest are given up. ``clock`` counts seconds. ``observe_lost`` is told how many were given up.
        """
        self._wait_seconds = wait_seconds
        self._max_rows = max_rows
        self._clock = clock
        self._observe_lost = observe_lost
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._kept_rows = 0
        self._waiting: dict[Key, asyncio.Future[ClaimIds]] = {}
        self._in_vain: OrderedDict[Revision, int] = OrderedDict()

    def add_request(self, exchange: Exchange, claim_ids: ClaimIds) -> None:
        """Hand a request to the response that waits for it, or keep it."""
        key = _key(exchange)
        self._in_vain.pop(key[0], None)
        waiting = self._waiting.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(claim_ids)
            return
        self._take(key)
        kept = _Kept(claim_ids=claim_ids, until=self._clock() + REQUEST_KEPT_SECONDS)
        self._kept[key] = kept
        self._kept_rows += kept.rows
        self._forget()

    async def find_request(self, exchange: Exchange) -> ClaimIds | None:
        """Return the claim ids of the request, once it is there; None where it did not come in time."""
        key = _key(exchange)
        kept = self._take(key)
        if kept is not None:
            return kept.claim_ids
        if key in self._waiting or not self._wait_seconds or self._in_vain.get(key[0], 0) >= IN_VAIN_MAX:
            return None
        waiting: asyncio.Future[ClaimIds] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiting
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(key, None)
        if waiting.done() and not waiting.cancelled():
            return waiting.result()
        self._note_in_vain(key[0])
        return None

    def _take(self, key: Key) -> _Kept | None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._kept_rows -= kept.rows
        return kept

    def _forget(self) -> None:
        """Give up requests that wait too long, or of which there are too many; the oldest are first."""
        now = self._clock()
        lost = 0
        while self._kept:
            oldest, kept = next(iter(self._kept.items()))
            if kept.until > now and self._kept_rows <= self._max_rows:
                break
            self._take(oldest)
            lost += 1
        if lost:
            self._observe_lost(lost)

    def _note_in_vain(self, revision: Revision) -> None:
        self._in_vain[revision] = self._in_vain.pop(revision, 0) + 1
        if len(self._in_vain) > REVISIONS_MAX:
            self._in_vain.popitem(last=False)


def _key(exchange: Exchange) -> Key:
    return (exchange.namespace, exchange.model, exchange.revision), exchange.id
