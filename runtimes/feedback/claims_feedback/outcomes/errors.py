"""What ends a load or a pull before its end.

* OutcomesError
  + CannotLoad       # a person must act: an option, a file, a token, a query; exit status 2
  + RowsRefused      # rows that the service does not take; nothing of their batch was stored
  + Unreachable      # the service or the database was not there for too long; exit status 3
"""

from dataclasses import dataclass


class OutcomesError(Exception):
    """Whatever these commands raise on purpose."""


class CannotLoad(OutcomesError):
    """Something has to be put right before it can go on."""


class Unreachable(OutcomesError):
    """Nobody answered, or only that it cannot be done now; the same again later may work."""


@dataclass(frozen=True, kw_only=True)
class BadRow:
    """A row that is no outcome, and why."""

    place: str
    """Where it stands: ``line 7``, ``row 7``."""
    what: str

    def __str__(self) -> str:
        """Return a line for a person."""
        return f"{self.place}: {self.what}"


class RowsRefused(OutcomesError):
    """The service refused rows of a batch."""

    def __init__(self, problems: dict[int, str], sentence: str) -> None:
        """``problems``: by the row's place in the batch, from 0; those listed, there may be more."""
        super().__init__(sentence)
        self.problems = problems
