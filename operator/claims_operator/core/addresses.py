"""Which addresses may be asked: base URLs, compared by their parts and never as text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from claims_operator.api.quantities import ADDRESS_MESSAGE, ADDRESS_PATTERN, LONGEST_ADDRESS

_PARTS: Final = re.compile(r"^(https?)://([^:/]+)(?::([0-9]+))?(/.*)?$")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a Prometheus answers."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]
    """Of the path; empty for the root."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a base URL; raise ValueError, which says what to write, where it is none."""
        found = _PARTS.match(text) if len(text) <= LONGEST_ADDRESS and re.fullmatch(ADDRESS_PATTERN, text) else None
        if found is None:
            raise ValueError(ADDRESS_MESSAGE)
        scheme, host, port, path = found.groups()
        number = int(port) if port else _PORTS[scheme]
        if not 1 <= number <= 65_535:
            raise ValueError(f"a port is between 1 and 65535, not {number}")
        return cls(
            scheme=scheme,
            host=host.lower().rstrip("."),
            port=number,
            segments=tuple(part for part in (path or "").split("/") if part),
        )

    def is_below(self, other: "Address") -> bool:
        """Return whether it is ``other``, or a path below it on the same host, port and scheme."""
        return (self.scheme, self.host, self.port, self.segments[: len(other.segments)]) == (
            other.scheme,
            other.host,
            other.port,
            other.segments,
        )


def refusal(asked: str, own: str, allowed: Iterable[str]) -> str | None:
    """Return why a ClaimsModel may not name an address; None where it may.

    ``own`` is the operator's Prometheus, which everybody may name; ``allowed`` are the base URLs that the operator was
    told. Whoever writes a ClaimsModel could otherwise make the operator send requests to any place it reaches.
    """
    try:
        address = Address.parse(asked)
    except ValueError as problem:
        return f"{asked!r} is none: {problem}"
    if any(address.is_below(Address.parse(other)) for other in allowed):
        return None
    if address == Address.parse(own):
        return None
    return (
        f"the operator may not ask {asked}: it is none of the addresses that it was told"
        " (Helm: prometheus.allowedAddresses)"
    )
