"""What the screen shows: one mutable record that the play writes and the screen reads."""

import dataclasses
import datetime as dt

from claims_demo import view
from claims_demo.ledger import Ledger


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

    def begin(self, act: str) -> None:
        """Start the clock of an act."""
        self.act, self.act_started = f"Act {act}", dt.datetime.now(dt.UTC)
        self.tell(self.act)

    def tell(self, line: str) -> None:
        """Add a line to the story."""
        self.lines.append(f"{dt.datetime.now():%H:%M:%S}  {line}")  # noqa: DTZ005 - for people, in their time

    def elapsed_seconds(self) -> float:
        """Return how long the act has lasted."""
        return (dt.datetime.now(dt.UTC) - self.act_started).total_seconds()
