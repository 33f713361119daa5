"""Keyed hashes of what names a person or a claim. Without the key nobody can tell whose they are, or test a guess.

The key is the content of a file (from a Secret), or one that the database was given when it was made; a database keeps
to the one it began with, since a hash of another key joins with nothing.
"""

import base64
import hmac
import secrets
from pathlib import Path
from typing import Final

from claims_feedback import errors
from claims_feedback.database import Statements
from claims_feedback.settings import Identifiers, Settings

KEY_MIN_BYTES: Final = 16

OWN_KEY: Final = "own_key"
KEY_CHECK: Final = "key_check"
IDENTIFIERS: Final = "identifiers"
"""Names in the table of settings."""


class Pseudonyms:
    """Makes the hashes: HMAC-SHA-256 (RFC 2104), the first 128 bits of it, as 22 characters of base64url."""

    def __init__(self, key: bytes, identifiers: Identifiers) -> None:
        """``identifiers`` says whether claim and request ids are stored as they are."""
        self._key = key
        self._identifiers = identifiers

    def token(self, kind: str, *parts: str | int) -> str:
        """Return the hash of something of a kind: the same words of another kind have another hash."""
        message = "\0".join((kind, *map(str, parts))).encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, message, "sha256")[:16]).rstrip(b"=").decode()

    def uniform(self, kind: str, *parts: str | int) -> float:
        """Return a number in [0, 1) that is the same each time; over different words it is distributed evenly."""
        message = "\0".join((kind, *map(str, parts))).encode()
        return int.from_bytes(hmac.digest(self._key, message, "sha256")[:6], "big") / 2**48

    def claim(self, claim_id: str) -> str:
        """Return a claim id as it is stored."""
        return claim_id if self._identifiers is Identifiers.PLAIN else self.token("claim", claim_id)

    def request(self, request_id: str) -> str:
        """Return a request id as it is stored."""
        return request_id if self._identifiers is Identifiers.PLAIN else self.token("request", request_id)


def settle(statements: Statements, configured: Settings) -> Pseudonyms:
    """Return the hashes of this database, in a transaction that no other process starts in.

    Raises `errors.CannotStart` when the settings name another key, or another form of identifiers, than what is stored
    was made with.
    """
    recorded: dict[str, str] = dict(statements.select("SELECT name, value FROM setting"))
    given = _read_key(configured.hash_key_file)
    if configured.identifiers is Identifiers.HASHED and given is None:
        raise errors.CannotStart(
            "CLAIMS_FEEDBACK_IDENTIFIERS=hashed needs a key that is not in the database. Mount a Secret and name its"
            " file in CLAIMS_FEEDBACK_HASH_KEY_FILE."
        )
    own = bytes.fromhex(recorded[OWN_KEY]) if OWN_KEY in recorded else None
    key = given or own or secrets.token_bytes(32)
    chosen = Pseudonyms(key, configured.identifiers)
    wanted = {KEY_CHECK: chosen.token("check"), IDENTIFIERS: configured.identifiers.value}
    if given is None:
        wanted[OWN_KEY] = key.hex()
    if recorded == wanted:
        return chosen
    if recorded.get(KEY_CHECK, wanted[KEY_CHECK]) != wanted[KEY_CHECK] and _holds_hashes(statements, recorded):
        raise errors.CannotStart(
            "The database was begun with another key than that of CLAIMS_FEEDBACK_HASH_KEY_FILE, and its hashes cannot"
            " be made again. Give the key it was begun with (none, if none was given), or another database."
        )
    if recorded.get(IDENTIFIERS, Identifiers.PLAIN) != configured.identifiers and _holds_rows(statements):
        raise errors.CannotStart(
            f"The database holds identifiers that are not {configured.identifiers.value}. Set"
            f" CLAIMS_FEEDBACK_IDENTIFIERS={recorded.get(IDENTIFIERS, 'plain')}, or begin another database."
        )
    statements.change("DELETE FROM setting")
    statements.change_each("INSERT INTO setting (name, value) VALUES (?, ?)", list(wanted.items()))
    return chosen


def _holds_hashes(statements: Statements, recorded: dict[str, str]) -> bool:
    tables = ("erased", "cohort", "prediction WHERE cohort IS NOT NULL")
    if any(statements.select(f"SELECT 1 FROM {table} LIMIT 1") for table in tables):  # noqa: S608
        return True
    return recorded[IDENTIFIERS] == Identifiers.HASHED and _holds_rows(statements)


def _holds_rows(statements: Statements) -> bool:
    return any(statements.select(f"SELECT 1 FROM {table} LIMIT 1") for table in ("prediction", "outcome"))  # noqa: S608


def _read_key(path: str) -> bytes | None:
    if not path:
        return None
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise errors.CannotStart(
            f"The key file {path} cannot be read ({error}). Mount a Secret there, or name another file in"
            " CLAIMS_FEEDBACK_HASH_KEY_FILE."
        ) from error
    if len(key) < KEY_MIN_BYTES:
        raise errors.CannotStart(
            f"The key file {path} must hold at least {KEY_MIN_BYTES} bytes, for example from `openssl rand -hex 32`."
        )
    return key
