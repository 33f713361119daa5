"""Settings of the service, from environment variables named ``CLAIMS_FEEDBACK_<FIELD>``."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from claims_feedback import errors

PREFIX = "CLAIMS_FEEDBACK_"

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Identifiers(StrEnum):
    """How the ids of claims and requests are stored."""

    PLAIN = "plain"
    HASHED = "hashed"


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=lambda field: PREFIX + field.upper()):
    """How the service runs."""

    database: str = "/data/feedback.db"
    """Path of a SQLite database, on a local file system or a block volume (not NFS), created when missing; or the URL
    of a PostgreSQL database, for more than one replica: ``postgresql://user@host:5432/name``, with any parameter of
    libpq (``?sslmode=verify-full``). A pool between the two must keep a session for its client."""

    database_password_file: str = ""
    """File with the password for PostgreSQL, read at every new connection. Empty: the URL, or libpq's own ways."""

    database_max_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Size in bytes at which the database takes nothing more and answers 503; 0 for no limit but the volume's. Keep
    it below four fifths of the volume, so that the write-ahead log beside it has room. Raise it to go on. Of SQLite
    only."""

    database_busy_timeout_seconds: Seconds = 5.0
    """How long a write waits for another process that holds the database (a backup), before it is answered 503."""

    identifiers: Identifiers = Identifiers.PLAIN
    """``plain``, or ``hashed``: the ids of claims and requests are stored as keyed hashes, never as they are. Chosen
    before the first row is stored."""

    hash_key_file: str = ""
    """File with the key of the hashes, 16 bytes or more. A database keeps to the key it began with. Empty: a key of
    the database's own is kept in it, which protects nothing from those who can read the database."""

    retention_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Age in days at which predictions and outcomes are deleted; the totals stay. 0 keeps them for ever. Let it be
    longer than any outcome takes, since nothing labels a prediction that is gone. An event that was served longer ago
    is refused."""

    token_file: str = "/etc/claims-feedback/token"  # noqa: S105
    """File with the bearer tokens that may post outcomes: one a line, each at least 16 characters. It is read at every
    request, so a token is rotated without a restart: add the new one, move the senders, take the old one out."""

    admin_token_file: str = ""
    """File with the bearer tokens that may see and erase what is stored of a claim, in the same form. Empty: nobody
    may. A token that is in both files may do both."""

    listen_host: str = "0.0.0.0"  # noqa: S104
    """Address to listen on; ``::`` where the cluster has IPv6."""

    listen_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080
    """TCP port of everything: API, metrics and probes. It is not called PORT, since Kubernetes sets that variable
    for a Service called claims-feedback."""

    body_max_bytes: Count = 10_000_000
    """Largest body taken, in bytes; a larger one is answered 413."""

    queue_max_rows: Count = 50_000
    """How many events and outcomes may wait to be written. Beyond it, requests are answered 503 at once. One row takes
    about 1 kB of memory."""

    clock_tolerance_seconds: Annotated[float, msgspec.Meta(ge=0)] = 300.0
    """How far a sender's clock may run ahead. An outcome observed later than that is refused; an event is kept, with
    the time at which it arrived, since a node with a wrong clock should not lose its predictions."""

    propensity_floor: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.05
    """Least chance of being labelled that an outcome may name; one that names less is refused. Of the outcomes that
    name their chance, a share of floor / chance is kept as a random sample, so a low floor leaves few. Change it while
    no rollout is under way."""

    logger_wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=60)] = 2.0
    """How long a response from KServe's logger waits for its request, which names the claims. 0 where the logger sends
    responses only."""

    logger_waiting_max_rows: Count = 100_000
    """Rows of requests from KServe's logger that may wait for their responses; beyond it the oldest are given up. One
    row takes about 0.2 kB of memory."""

    logger_decision_thresholds: str = ""
    """For models whose V2 response, from KServe's logger, has a score and no decision: ``namespace/model=0.6``, several
    separated by blanks. From that score on, the decision was to refer."""

    shutdown_seconds: Annotated[int, msgspec.Meta(ge=1, le=300)] = 10
    """How long requests under way may take to end after SIGTERM."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings; raise `errors.CannotStart` with the variable's name where a value cannot be taken."""
    known = set(Settings.__struct_encode_fields__)
    given = {name: value for name, value in environment.items() if name in known}
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise errors.CannotStart(f"A setting cannot be used: {error}.".replace("$.", "")) from error


TOKEN_MIN_CHARACTERS = 16


def read_tokens(path: str) -> tuple[str, ...]:
    """Return the tokens in a file; raise `errors.CannotStart` when it has none that can be used."""
    try:
        lines = Path(path).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.CannotStart(
            f"The token file {path} cannot be read ({error}). Mount a Secret there, or name another file in"
            f" {PREFIX}TOKEN_FILE or {PREFIX}ADMIN_TOKEN_FILE."
        ) from error
    if not lines or min(map(len, lines)) < TOKEN_MIN_CHARACTERS:
        raise errors.CannotStart(
            f"The token file {path} must hold one token a line, each at least {TOKEN_MIN_CHARACTERS} characters, for"
            " example from `openssl rand -hex 24`."
        )
    return tuple(lines)
