"""Settings of the operator, read once from the environment."""

import datetime as dt
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from claims_operator.core.addresses import Address
from claims_operator.core.facts import Platform
from claims_operator.errors import InvalidSettings

PREFIX: Final = "CLAIMS_"
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Each field is read from ``CLAIMS_<FIELD IN UPPER CASE>``; one that is not set keeps the default shown."""

    prometheus_url: str = "http://prometheus.claims-system:9090"
    """Base URL of the Prometheus that scrapes the gateway and the feedback service."""

    prometheus_credentials_directory: Path | None = None
    """Mounted Secret with the credentials for that Prometheus (`core.credentials`), read at each look; empty: none."""

    prometheus_allowed_addresses: tuple[str, ...] = ()
    """Base URLs, with blanks between them, that ClaimsModels may name besides; whoever writes one makes the operator
    send requests there."""

    prometheus_replica_labels: tuple[str, ...] = ("prometheus_replica", "__replica__")
    """Labels, with blanks between them, by which replicas of one Prometheus differ. Of series that differ by nothing
    else, the newest counts."""

    prometheus_match_labels: tuple[tuple[str, str], ...] = ()
    """Labels that the platform's series must have to count, as ``name=value`` with blanks between; for a Prometheus
    that serves several clusters. They go for `prometheus_url` only."""

    prometheus_window_seconds: int = 60
    """Seconds after which a sample is too old to be used; at least two scrape intervals."""

    mlflow_url: str = "http://mlflow.claims-system:5000"
    """Base URL of the MLflow server that ``models:/`` URIs are resolved with."""

    feedback_url: str = "http://claims-feedback.claims-system:8080"
    """Base URL that models send prediction events to. It is part of their pods: a change restarts them one by one."""

    gateway_name: str = "claims"
    """Gateway that routes attach to where a ClaimsModel names none."""

    gateway_namespace: str = "claims-system"
    """Namespace of that Gateway."""

    route_domain: str = "claims.local"
    """Domain of the default hostname, ``<name>-<namespace>.<domain>``."""

    serving_runtime: str = "claims-mlserver"
    """ClusterServingRuntime of every revision."""

    operator_namespace: str = "claims-system"
    """Namespace of the operator's own Lease."""

    identity: str = socket.gethostname()
    """Name of this process in the Lease and in events. Two running operators must not share it."""

    http_port: int = 8000
    """TCP port of /metrics and /healthz, 1 to 65535."""

    settle_seconds: float = 15.0
    """Seconds after a change of weights whose counts are no evidence: the gateway's reload and one scrape."""

    drain_seconds: float = 10.0
    """Seconds between the gateway's word that a revision left the route and the deletion of its pods."""

    resync_seconds: float = 300.0
    """Seconds between two looks at a ClaimsModel that nothing happened to."""

    tick_deadline_seconds: float = 60.0
    """Seconds that one pass over one ClaimsModel may take before it is abandoned and retried."""

    request_timeout_seconds: float = 10.0
    """Seconds that one call to the API server, Prometheus or the registry may take."""

    snapshot_seconds: float = 5.0
    """Least seconds between two readings of Prometheus, shared by all ClaimsModels."""

    lease_seconds: int = 15
    """Seconds after which a silent operator's Lease may be taken over by another."""

    @property
    def platform(self) -> Platform:
        """What decisions and manifests depend on."""
        return Platform(
            gateway_name=self.gateway_name,
            gateway_namespace=self.gateway_namespace,
            route_domain=self.route_domain,
            serving_runtime=self.serving_runtime,
            feedback_url=self.feedback_url,
            settle=dt.timedelta(seconds=self.settle_seconds),
            drain=dt.timedelta(seconds=self.drain_seconds),
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every field; raise InvalidSettings with all problems at once."""
        values: dict[str, object] = {}
        problems: list[str] = []
        for field in fields(cls):
            variable = PREFIX + field.name.upper()
            text = environment.get(variable)
            if text is None:
                continue
            try:
                values[field.name] = _PARSERS[field.type](text)
                if field.name == "prometheus_url":
                    Address.parse(text)
                elif field.name == "prometheus_allowed_addresses":
                    _check_addresses(text)
                elif field.name.endswith("_url"):
                    _check_url(text)
            except ValueError as error:
                problems.append(f"{variable}={text!r} {error}")
        if problems:
            raise InvalidSettings(tuple(problems))
        return cls(**values)  # type: ignore[arg-type]  # Each value was parsed by the field's own type.


def _positive_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError("must be a number of seconds, 0 or more, for example 15")
    return number


def _positive_integer(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError("must be a whole number above 0")
    return int(text)


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


def _check_url(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("must be a URL such as http://mlflow.claims-system:5000")


def _check_addresses(text: str) -> None:
    for address in text.split():
        Address.parse(address)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [word.partition("=") for word in text.split()]
    if not all(_LABEL.fullmatch(name) and value for name, _, value in pairs):
        raise ValueError("must be label names and values, for example cluster=eu-1 region=eu")
    return tuple((name, value) for name, _, value in pairs)


_PARSERS: Final[Mapping[Any, Callable[[str], object]]] = {
    str: _not_empty,
    int: _positive_integer,
    float: _positive_number,
    Path | None: _path,
    tuple[str, ...]: _words,
    tuple[tuple[str, str], ...]: _pairs,
}
