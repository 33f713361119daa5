"""What the environment says, read once at start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from claims_contract import events, headers, labels
from claims_runtime.errors import InvalidSettings

MODELS_DIR = "MLSERVER_MODELS_DIR"
DRAIN_SECONDS = "CLAIMS_DRAIN_SECONDS"
PREDICT_THREADS = "CLAIMS_PREDICT_THREADS"

HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How the process serves and ends."""

    models_dir: Path
    """The folder of the package."""

    drain_seconds: float
    """How long requests are still answered after SIGTERM, while gateways learn that the pod is going; 0 or more."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServerSettings":
        """Read the settings, or raise `InvalidSettings`."""
        return cls(
            models_dir=Path(environment.get(MODELS_DIR) or "/mnt/models"),
            drain_seconds=_number(environment, DRAIN_SECONDS, default=10.0, minimum=0.0, maximum=600.0),
        )


@dataclass(frozen=True, kw_only=True)
class EventSettings:
    """Where prediction events go, and whose they are."""

    url: str
    """The whole URL that batches are posted to."""

    namespace: str
    model: str
    revision: str

    tester_header: str = headers.TESTER
    """Lower-case name of the header that makes a request a tester's, whatever its value; empty: none does."""

    cohort_header: str = headers.COHORT
    """Lower-case name of the header whose value is the request's cohort; empty: none is."""

    @property
    def source(self) -> str:
        """The CloudEvents source of every event."""
        return events.prediction_source(self.namespace, self.model, self.revision)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How one model predicts."""

    predict_threads: int
    """So many predictions run at once; the server's own thread stays free for probes. 1 or more."""

    events: EventSettings | None
    """None: no events are sent."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ModelSettings":
        """Read the settings, or raise `InvalidSettings`."""
        return cls(
            predict_threads=int(_number(environment, PREDICT_THREADS, default=2, minimum=1, maximum=64)),
            events=_event_settings(environment),
        )


def _event_settings(environment: Mapping[str, str]) -> EventSettings | None:
    base_url = environment.get(labels.ENV_FEEDBACK_URL, "").rstrip("/")
    if not base_url:
        return None
    if not base_url.startswith(("http://", "https://")):
        raise InvalidSettings(f"{labels.ENV_FEEDBACK_URL} is {base_url!r}; it must begin with http:// or https://")
    required = (labels.ENV_NAMESPACE, labels.ENV_MODEL, labels.ENV_REVISION)
    missing = [name for name in required if not environment.get(name)]
    if missing:
        raise InvalidSettings(
            f"{labels.ENV_FEEDBACK_URL} is set, so {', '.join(missing)} must be set too: "
            "they say whose the prediction events are"
        )
    namespace, model, revision = (environment[name] for name in required)
    return EventSettings(
        url=base_url + events.EVENTS_PATH,
        namespace=namespace,
        model=model,
        revision=revision,
        tester_header=_header(environment, labels.ENV_TESTER_HEADER, default=headers.TESTER),
        cohort_header=_header(environment, labels.ENV_COHORT_HEADER, default=headers.COHORT),
    )


def _header(environment: Mapping[str, str], name: str, *, default: str) -> str:
    header = environment.get(name, default).strip().lower()
    if header and not HEADER_NAME.fullmatch(header):
        raise InvalidSettings(f"{name} is {header!r}; it must be the name of a header, such as {default}")
    return header


def _number(environment: Mapping[str, str], name: str, *, default: float, minimum: float, maximum: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise InvalidSettings(f"{name} is {text!r}; it must be a number") from None
    if not minimum <= value <= maximum:
        raise InvalidSettings(f"{name} is {text}; it must be from {minimum:g} to {maximum:g}")
    return value
