"""Our exceptions.

* FeedbackError
  + CannotStart                                  # a person must act; the process ends with status 2
  + Unacceptable(problems: tuple[Problem, ...])  # the sender must act; sending the same again cannot help
  + Unavailable                                  # nothing was stored; the sender should send the same again
    - Overloaded                                 # too much waits to be written
    - DatabaseUnavailable                        # locked, full, or failing
    - TokensUnavailable                          # the file with the tokens is gone
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a request, and where."""

    index: int | None
    """Which item of a list it is about, from 0; None when it is about the whole body."""

    where: str
    """Path in the body, for example ``[3].data.row``, or the name of a header; empty for the whole body."""

    what: str
    """What was expected there, and what was found."""


class FeedbackError(Exception):
    """Whatever this service raises on purpose."""


class CannotStart(FeedbackError):
    """The settings or the database do not allow a start."""


class Unacceptable(FeedbackError):
    """A body that cannot be taken; nothing of it was stored."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep every problem found, in the order of the body."""
        super().__init__("; ".join(f"{problem.where}: {problem.what}" for problem in problems))
        self.problems = problems


class Unavailable(FeedbackError):
    """Nothing was stored, for a reason that passes."""


class Overloaded(Unavailable):
    """More waits to be written than the settings allow."""


class DatabaseUnavailable(Unavailable):
    """The database refused to write; what was asked was rolled back as a whole."""


class TokensUnavailable(Unavailable):
    """The file with the tokens, which was there at the start, cannot be read."""
