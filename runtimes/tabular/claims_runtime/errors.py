"""What can be wrong with a package, the environment or a request.

* ClaimsRuntimeError
  + InvalidSettings    # an environment variable; the process does not start
  + InvalidPackage     # a file of the package, or answers that differ from its samples; the model does not load
* MLServerError
  + InvalidRequest     # the caller's; HTTP 400, gRPC INVALID_ARGUMENT
  + FixedRepository    # the caller's; HTTP 403
  + InvalidScore       # the model's; HTTP 500, gRPC INTERNAL: it counts against the revision
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

from mlserver.errors import MLServerError

LISTED_PROBLEMS: Final = 20
"""So many problems are spelled out in one answer; gRPC carries them in a header of at most 8 KiB."""


class ClaimsRuntimeError(Exception):
    """Something that the person who deployed the model must put right."""


class InvalidSettings(ClaimsRuntimeError):
    """An environment variable is missing or has a value that cannot be used."""


class InvalidPackage(ClaimsRuntimeError):
    """The model package cannot be served as it is."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a request."""

    message: str
    """What is wrong and what to send instead, without the column's name."""

    column: str | None = None
    """The tensor it is about; None where it is about the whole request."""

    row: int | None = None
    """The first row it is about, counted from 0; None where it is about the whole column."""

    def __str__(self) -> str:
        """Return the problem as a clause that begins with its place."""
        place = "" if self.column is None else f"column {self.column!r}: "
        return place + ("" if self.row is None else f"row {self.row}: ") + self.message


class InvalidRequest(MLServerError):
    """The request cannot be scored; it holds everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        clauses = [str(problem) for problem in problems[:LISTED_PROBLEMS]]
        if len(problems) > LISTED_PROBLEMS:
            clauses.append(f"and {len(problems) - LISTED_PROBLEMS} more")
        # 400 is what MLServer turns into INVALID_ARGUMENT for gRPC.
        super().__init__("; ".join(clauses), 400)

    def as_json(self) -> dict[str, Any]:
        """Return the body of the HTTP answer: ``error`` for people, ``problems`` for programs."""
        return {"error": str(self), "problems": [asdict(problem) for problem in self.problems[:LISTED_PROBLEMS]]}


class FixedRepository(MLServerError):
    """A caller asked to load or unload a model; what a pod serves is decided when it starts."""

    def __init__(self) -> None:
        super().__init__("Models are neither loaded nor unloaded while the server runs: change the ClaimsModel.", 403)


class InvalidScore(MLServerError):
    """The model answered with something that is no probability."""

    def __init__(self, row: int, score: float) -> None:
        super().__init__(f"the model's score of row {row} is {score}, which is no probability", 500)
