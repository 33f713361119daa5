"""What training refuses, as one tree.

* TrainingError                     # the message says what to write instead; exit code 2
  + InvalidSetting                  # an argument is out of its bounds
  + InvalidTable(problems)          # the claims table does not fit the schema
  + PackageFolderInUse              # the folder to write holds something else
  + RegistryError
    - RegistryUnavailable           # no answer in time; trying again may help
    - VersionTaken                  # that version is registered with other contents
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a table. ``row`` counts data rows from 1; None where the whole column is meant."""

    column: str
    row: int | None
    message: str

    def __str__(self) -> str:
        where = f"column {self.column}" if self.row is None else f"column {self.column}, row {self.row}"
        return f"{where}: {self.message}"


class TrainingError(Exception):
    """Root of everything that the command reports in one message."""


class InvalidSetting(TrainingError, ValueError):
    """An argument is out of its bounds."""


class InvalidTable(TrainingError):
    """The table does not fit; ``problems`` holds all of them, the message the first `SHOWN`."""

    SHOWN = 50

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"  {problem}" for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"  and {len(self.problems) - self.SHOWN} more")
        super().__init__(f"{source} has {len(self.problems)} problem(s):\n" + "\n".join(lines))


class PackageFolderInUse(TrainingError):
    """The folder to write exists and is not a package."""


class RegistryError(TrainingError):
    """MLflow refused or failed."""


class RegistryUnavailable(RegistryError):
    """MLflow did not answer in time."""


class VersionTaken(RegistryError):
    """The semantic version is registered already, with another digest."""
