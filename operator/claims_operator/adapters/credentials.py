"""The operator's own credentials: a Secret that is mounted as a directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from claims_operator.core import credentials
from claims_operator.core.credentials import Credentials, UnusableCredentials

_CURRENT: Final = "..data"
"""Link that the kubelet moves to the new files when a mounted Secret changes."""


def from_directory(directory: Path | None) -> Callable[[], Credentials]:
    """Return what reads the credentials as they are now; it raises UnusableCredentials. None: there are none."""
    if directory is None:
        return lambda: credentials.NONE

    def read() -> Credentials:
        try:
            # Resolved once: all keys are of the same version of the Secret.
            current = (directory / _CURRENT).resolve() if (directory / _CURRENT).exists() else directory
            files = [path for path in current.iterdir() if not path.name.startswith("..")]
            return credentials.parse({path.name: path.read_bytes() for path in files})
        except OSError as error:
            raise UnusableCredentials(f"its credentials cannot be read: {error}") from error
        except UnusableCredentials as problem:
            raise UnusableCredentials(f"its credentials in {directory}: {problem}") from problem

    return read
