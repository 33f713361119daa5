"""What can go wrong, as one tree. Each is one sentence for people and an exit code for scripts.

Commands that cannot be understood end with 2, by click's own errors.

* Trouble                      1  something does not work
  + NotFound                   3  there is no such object
  + TimedOut                   4  what was waited for did not come in time
  + NotComing                  5  what was waited for will not come by itself
  + Unreachable                1  the API server does not answer; it may later
"""

import sys
from typing import IO, Any

import click


class Trouble(click.ClickException):
    """A command could not do what it was asked for."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence to stderr."""
        click.echo(f"error: {self.message}", file=file or sys.stderr)


class NotFound(Trouble):
    """There is no such object."""

    exit_code = 3


class TimedOut(Trouble):
    """What was waited for did not come in time."""

    exit_code = 4


class NotComing(Trouble):
    """What was waited for will not come unless somebody acts."""

    exit_code = 5


class Unreachable(Trouble):
    """The API server does not answer, or not yet."""
