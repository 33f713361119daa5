"""What a source held: counted in full, listed to a limit."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from claims_feedback.outcomes.errors import BadRow

LISTED_MAX: Final = 50
"""Bad rows that are listed one by one."""


@dataclass(kw_only=True)
class Findings:
    """What was found in a source."""

    rows: int = 0
    outcomes: int = 0
    without_outcome: int = 0
    """Rows whose outcome is not known yet; they are left out."""
    bad: int = 0
    listed: list[BadRow] = field(default_factory=list)
    """The first of the bad rows."""

    def add_bad(self, rows: Iterable[BadRow]) -> None:
        """Count bad rows, and list them as long as there is room."""
        for row in rows:
            self.bad += 1
            if len(self.listed) < LISTED_MAX:
                self.listed.append(row)
