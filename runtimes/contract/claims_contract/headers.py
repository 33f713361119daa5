"""HTTP headers and gRPC metadata keys (all lower case) between gateway, runtime and caller."""

from typing import Final

VARIANT: Final = "x-claims-variant"
"""Response header: the revision that answered. The gateway sets it, one filter per backendRef."""

STRATUM: Final = "x-claims-stratum"
"""Request header: ``<attempt>.<epoch>``, under which weights the request was served. The gateway overwrites it."""


def format_stratum(attempt: int, epoch: int) -> str:
    """Return the value of the stratum header."""
    return f"{attempt}.{epoch}"


def parse_stratum(value: str | None) -> tuple[int, int]:
    """Return (attempt, epoch); (0, 0) where the header is missing or is not two numbers of 0 or more."""
    attempt, dot, epoch = (value or "").partition(".")
    if dot and attempt.isascii() and attempt.isdigit() and epoch.isascii() and epoch.isdigit():
        return int(attempt), int(epoch)
    return 0, 0
