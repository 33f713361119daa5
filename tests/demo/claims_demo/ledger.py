"""What the demo counts: requests, failures and outcomes. Every failure is kept with its reason."""

import collections
import dataclasses
import datetime as dt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """One request that was not answered as it should be."""

    at: dt.datetime
    protocol: str
    request_id: str
    reason: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.at:%H:%M:%S} {self.protocol} {self.request_id}: {self.reason}"


@dataclasses.dataclass(kw_only=True)
class Ledger:
    """Counts since the demo began. Only the event loop's thread writes it."""

    sent: int = 0
    answered: int = 0
    failures: list[Failure] = dataclasses.field(default_factory=list)
    held_back: int = 0
    """Requests not sent in their turn because too many were still under way."""
    answers_by_variant: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """REST answers by revision; the gateway names it in a response header."""
    outcomes_due: int = 0
    """Outcomes that wait for their time."""
    outcomes_posted: int = 0
    """Outcomes that the feedback service acknowledged."""
    outcomes_retried: int = 0
    """Posts of outcomes that had to be repeated."""
