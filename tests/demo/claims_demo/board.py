"""What the screen shows: one mutable record that the play writes and the screen reads."""

import dataclasses
import datetime as dt

from claims_demo import view
from claims_demo.ledger import Ledger


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What the metrics said at one moment."""

    seconds: float
    """Since the act began."""
    evidence: tuple[view.Evidence, ...]


@dataclasses.dataclass(kw_only=True)
class Board:
    """The present state of the demo."""

    ledger: Ledger
    act: str = "Before the first act"
    doing: str = "looking at the cluster"
    act_started: dt.datetime = dataclasses.field(default_factory=lambda: dt.datetime.now(dt.UTC))
    seen: view.View = view.ABSENT
    lines: list[str] = dataclasses.field(default_factory=list)
    """The story so far, a line each."""
    looks: list["Look"] = dataclasses.field(default_factory=list)
    """What the metrics of this act's candidate said, each time they said something new."""

    def begin(self, act: str) -> None:
        """Start the clock of an act."""
        self.act, self.act_started = f"Act {act}", dt.datetime.now(dt.UTC)
        self.looks = []
        self.tell(self.act)

    def see(self, seen: view.View) -> None:
        """Take in what the ClaimsModel says now."""
        self.seen = seen
        if seen.candidate is None:
            return  # What its status holds is of an attempt that is over.
        if seen.evidence and (not self.looks or seen.evidence != self.looks[-1].evidence):
            self.looks.append(Look(seconds=self.elapsed_seconds(), evidence=seen.evidence))

    def tell(self, line: str) -> None:
        """Add a line to the story."""
        self.lines.append(f"{dt.datetime.now():%H:%M:%S}  {line}")  # noqa: DTZ005 - for people, in their time

    def elapsed_seconds(self) -> float:
        """Return how long the act has lasted."""
        return (dt.datetime.now(dt.UTC) - self.act_started).total_seconds()
