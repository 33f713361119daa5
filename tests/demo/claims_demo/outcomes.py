"""Outcomes that arrive late: each waits its own time, then is posted until the feedback service acknowledges it."""

import asyncio
import datetime as dt
import heapq
import random
from collections.abc import Sequence
from typing import Any

import httpx

from claims_contract import events
from claims_demo.claims import Claim
from claims_demo.ledger import Ledger

MOST_IN_A_POST = 500
POST_TIMEOUT_SECONDS = 10.0


Outcome = tuple[float, str, bool]
"""When it is due, the claim's identifier, and whether it is positive."""


class OutcomesRefusedError(Exception):
    """The feedback service refused outcomes in a way that a retry does not mend."""


class Schedule:
    """Which outcomes become known when. Times are seconds of any one clock."""

    def __init__(self, *, share: float, mean_delay_seconds: float, chance: random.Random) -> None:
        """``share`` of the claims, in (0, 1], get an outcome; the rest never do."""
        self._share = share
        self._rate = 1.0 / mean_delay_seconds
        self._chance = chance
        self._waiting: list[Outcome] = []

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, claims: Sequence[Claim], now: float) -> None:
        """Draw for each claim whether and when its outcome becomes known."""
        for claim in claims:
            if self._chance.random() < self._share:
                due = now + self._chance.expovariate(self._rate)
                heapq.heappush(self._waiting, (due, claim.identifier, claim.positive))

    def take_due(self, now: float, most: int) -> list[Outcome]:
        """Remove and return those due by ``now``, oldest first, at most ``most``."""
        taken: list[Outcome] = []
        while self._waiting and self._waiting[0][0] <= now and len(taken) < most:
            taken.append(heapq.heappop(self._waiting))
        return taken

    def put_back(self, outcomes: Sequence[Outcome]) -> None:
        """Return what was taken and could not be delivered."""
        for outcome in outcomes:
            heapq.heappush(self._waiting, outcome)


class OutcomePoster:
    """Posts due outcomes about once a second until it is cancelled."""

    def __init__(
        self,
        *,
        url: str,
        token: str,
        namespace: str,
        model: str,
        schedule: Schedule,
        ledger: Ledger,
    ) -> None:
        """``url`` is the feedback service's base address, ``token`` its bearer token."""
        self._url = url.rstrip("/") + events.OUTCOMES_PATH
        self._headers = {"authorization": f"Bearer {token}"}
        self._namespace = namespace
        self._model = model
        self._schedule = schedule
        self._ledger = ledger

    async def run(self) -> None:
        """Post until cancelled; raises `OutcomesRefusedError` where the service will never take them."""
        loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(timeout=POST_TIMEOUT_SECONDS, headers=self._headers) as client:
            while True:
                await self._post_due(client, loop.time())
                self._ledger.outcomes_due = len(self._schedule)
                await asyncio.sleep(1.0)

    async def _post_due(self, client: httpx.AsyncClient, now: float) -> None:
        """Post what is due; outcomes count as posted only once they are acknowledged, so none is lost."""
        while due := self._schedule.take_due(now, MOST_IN_A_POST):
            try:
                response = await client.post(self._url, json={"outcomes": [self._item(*each) for each in due]})
            except httpx.TransportError:
                self._retry_later(due)
                return
            if response.status_code >= 500 or response.status_code == 429:
                self._retry_later(due)
                return
            if response.status_code != 200:
                raise OutcomesRefusedError(
                    f"the feedback service answered {response.status_code} to {len(due)} outcomes: "
                    f"{response.text[:300]}"
                )
            self._ledger.outcomes_posted += len(due)

    def _retry_later(self, outcomes: Sequence[Outcome]) -> None:
        self._schedule.put_back(outcomes)
        self._ledger.outcomes_retried += 1

    def _item(self, _due: float, claim_id: str, positive: bool) -> dict[str, Any]:
        return {
            "namespace": self._namespace,
            "model": self._model,
            "claimId": claim_id,
            "outcome": "positive" if positive else "negative",
            "observedAt": dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z"),
        }
