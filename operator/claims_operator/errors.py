"""What can go wrong, as one tree.

* OperatorError
  + InvalidSettings            the environment of the operator is wrong; it does not start
  + ClusterError               a call to the API server failed
    - Conflict                 somebody wrote first; read again and retry at once
    - Refused                  the API server understood and said no (forbidden, invalid, namespace terminating)
    - ClusterUnavailable       no answer, or one that may be different later; retry with back-off
  + RegistryError              a call to the model registry failed
    - ModelUnusable            it answered, and the model cannot be served as the spec says; the user must act
    - RegistryUnavailable      no usable answer; retry
  + TickIncomplete             some writes of a tick failed; the next tick makes them
"""


class OperatorError(Exception):
    """Root of the operator's errors."""


class InvalidSettings(OperatorError):
    """The environment holds settings that cannot be used."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class ClusterError(OperatorError):
    """A call to the API server failed."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class Conflict(ClusterError):
    """The object changed since it was read."""


class Refused(ClusterError):
    """The API server refused the request; the same request will be refused again."""


class ClusterUnavailable(ClusterError):
    """The API server could not be reached or is not able to answer now."""


class RegistryError(OperatorError):
    """A call to the model registry failed."""


class ModelUnusable(RegistryError):
    """The registry knows no such model version, or it cannot be pinned."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class RegistryUnavailable(RegistryError):
    """The registry could not be reached, or did not answer in its protocol."""


class TickIncomplete(OperatorError):
    """The decision is recorded, but not every manifest could be applied."""

    def __init__(self, failures: tuple[ClusterError, ...]) -> None:
        self.failures = failures
        super().__init__("; ".join(str(failure) for failure in failures))
