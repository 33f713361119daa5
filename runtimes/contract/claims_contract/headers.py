"""HTTP headers and gRPC metadata keys (all lower case) between gateway, runtime and caller."""

import hashlib
from typing import Final

VARIANT: Final = "x-claims-variant"
"""Response header: the revision that answered. The gateway sets it, one filter per backendRef."""

STRATUM: Final = "x-claims-stratum"
"""Request header: ``<attempt>.<epoch>``, under which weights the request was served. The gateway overwrites it."""

TESTER: Final = "x-claims-tester"
"""Request header of testers, whatever its value: who sends it chose the variant, so the request is no evidence. The
name is a default, see `claims_contract.labels.ENV_TESTER_HEADER`."""

COHORT: Final = "x-claim-id"
"""Request header by whose value requests are assigned to a variant: of a cohort, only the first outcome in an epoch is
evidence. The name is a default, see `claims_contract.labels.ENV_COHORT_HEADER`."""

COHORT_MAX_CHARACTERS: Final = 256


def format_stratum(attempt: int, epoch: int) -> str:
    """Return the value of the stratum header."""
    return f"{attempt}.{epoch}"


def parse_stratum(value: str | None) -> tuple[int, int]:
    """Return (attempt, epoch); (0, 0) where the header is missing or is not two numbers of 0 or more."""
    attempt, dot, epoch = (value or "").partition(".")
    if dot and attempt.isascii() and attempt.isdigit() and epoch.isascii() and epoch.isdigit():
        return int(attempt), int(epoch)
    return 0, 0


def parse_cohort(value: str | None) -> str | None:
    """Return the cohort; None where the header is missing or empty, a digest where it is too long to be stored."""
    cohort = (value or "").strip()
    if len(cohort) > COHORT_MAX_CHARACTERS:
        return hashlib.sha256(cohort.encode()).hexdigest()
    return cohort or None
