"""What a Prometheus is asked with: the keys of a Secret → headers and certificates."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TOKEN: Final = "token"  # noqa: S105 - a key, not a token
USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105 - a key, not a password
AUTHORITY: Final = "ca.crt"
CERTIFICATE: Final = "tls.crt"
PRIVATE_KEY: Final = "tls.key"
HEADER_PREFIX: Final = "header."
KEYS: Final = "token, username and password, ca.crt, tls.crt and tls.key, header.<name>"

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
"""Visible ASCII, blanks only inside: nothing that could begin another header."""
_OWN_HEADERS: Final = frozenset(
    {"authorization", "host", "connection", "content-length", "content-type", "transfer-encoding", "accept-encoding"}
)


class UnusableCredentials(Exception):
    """The keys do not fit together; the message says which, and never what is in them."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How one asks. Nothing of it is ever shown: neither by ``repr`` nor in a message."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authority: str | None = field(default=None, repr=False)
    """Certificates (PEM) that the server's must be signed by; the public ones where it is None."""
    certificate: str | None = field(default=None, repr=False)
    """Our own certificate chain (PEM), with its ``private_key``."""
    private_key: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that must not be quoted, should a server answer with them."""

    @property
    def needs_tls(self) -> bool:
        """Whether they make sense with https:// only."""
        return self.authority is not None or self.certificate is not None

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of all of it: equal for equal credentials, and tells nothing about them."""
        parts = [dict(self.headers), self.authority, self.certificate, self.private_key]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


NONE: Final = Credentials()


def parse(keys: Mapping[str, bytes]) -> Credentials:
    """Return the credentials that a Secret's keys hold; raise UnusableCredentials where they make no sense."""
    unknown = sorted(key for key in keys if key not in _KNOWN and not key.startswith(HEADER_PREFIX))
    if unknown:
        raise UnusableCredentials(f"the key {unknown[0]!r} is not known; the keys are {KEYS}")
    if TOKEN in keys and (USERNAME in keys or PASSWORD in keys):
        raise UnusableCredentials("token and username are two ways to say who asks; keep one")
    for one, other in ((USERNAME, PASSWORD), (CERTIFICATE, PRIVATE_KEY)):
        if (one in keys) != (other in keys):
            present, missing = (one, other) if one in keys else (other, one)
            raise UnusableCredentials(f"{present} needs {missing} beside it")
    headers = {_header_name(key): _line(keys, key) for key in sorted(keys) if key.startswith(HEADER_PREFIX)}
    secrets = list(headers.values())
    if TOKEN in keys:
        secrets.append(_line(keys, TOKEN))
        headers["Authorization"] = f"Bearer {_line(keys, TOKEN)}"
    if USERNAME in keys:
        headers["Authorization"] = _basic(keys)
        secrets += [_text(keys, PASSWORD), headers["Authorization"].removeprefix("Basic ")]
    return Credentials(
        headers=headers,
        authority=_text(keys, AUTHORITY) if AUTHORITY in keys else None,
        certificate=_text(keys, CERTIFICATE) if CERTIFICATE in keys else None,
        private_key=_text(keys, PRIVATE_KEY) if PRIVATE_KEY in keys else None,
        secrets=tuple(secrets),
    )


_KNOWN: Final = frozenset({TOKEN, USERNAME, PASSWORD, AUTHORITY, CERTIFICATE, PRIVATE_KEY})


def _header_name(key: str) -> str:
    name = key.removeprefix(HEADER_PREFIX)
    if not _HEADER_NAME.fullmatch(name):
        raise UnusableCredentials(f"{key!r} names no HTTP header; write for example header.X-Scope-OrgID")
    if name.lower() in _OWN_HEADERS:
        raise UnusableCredentials(f"{key!r}: this header is set by the operator; for Authorization write the key token")
    return name


def _basic(keys: Mapping[str, bytes]) -> str:
    name, password = _text(keys, USERNAME), _text(keys, PASSWORD)
    if ":" in name:
        raise UnusableCredentials("username holds a colon, which basic authentication has no way to send")
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _line(keys: Mapping[str, bytes], key: str) -> str:
    """Return a value that goes into a header."""
    value = _text(keys, key)
    if not _HEADER_VALUE.fullmatch(value):
        raise UnusableCredentials(f"{key} must be one line of visible ASCII characters")
    return value


def _text(keys: Mapping[str, bytes], key: str) -> str:
    """Return a value without the line end that editors leave."""
    try:
        value = keys[key].decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnusableCredentials(f"{key} is no UTF-8 text") from None
    if not value:
        raise UnusableCredentials(f"{key} is empty")
    return value
