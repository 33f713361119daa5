"""Rules that need more than the object itself, so that the CRD cannot hold them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from claims_operator.api.names import ObjectKey, default_hostname
from claims_operator.api.v1alpha1 import ClaimsModelSpec

LONGEST_DNS_LABEL: Final = 63


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a spec, and what to write instead."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def hostname_is_too_long(key: ObjectKey, spec: ClaimsModelSpec, domain: str) -> Problem | None:
    """Refuse a default hostname that DNS cannot hold."""
    if spec.serving.route.hostname is not None:
        return None
    label = default_hostname(key, domain).partition(".")[0]
    if len(label) <= LONGEST_DNS_LABEL:
        return None
    return Problem(
        path="spec.serving.route.hostname",
        message=f"the default {label!r} has {len(label)} characters and a DNS label holds {LONGEST_DNS_LABEL};"
        " set a hostname",
    )


RULES: Final[tuple[Callable[[ObjectKey, ClaimsModelSpec, str], Problem | None], ...]] = (hostname_is_too_long,)


def problems(key: ObjectKey, spec: ClaimsModelSpec, domain: str) -> tuple[Problem, ...]:
    """Return everything that is wrong; ``domain`` is the platform's."""
    found = (check(key, spec, domain) for check in RULES)
    return tuple(problem for problem in found if problem is not None)
