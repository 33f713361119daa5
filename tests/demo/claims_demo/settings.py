"""What the demo needs to know, from flags and the environment."""

import argparse
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from claims_cluster import images
from claims_cluster.settings import cluster

MODEL = "claim-risk"
"""Name of the ClaimsModel, and of the model in the registry."""

LOCAL = cluster("claims")
"""The cluster of `make up`: its addresses are the defaults."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Addresses and amounts. `parse` explains each to the user."""

    gateway_url: str
    prometheus_url: str
    mlflow_url: str
    feedback_url: str
    feedback_token: str | None
    """Bearer token for outcomes; None reads it from ``feedback_secret``."""
    feedback_secret: str
    """``namespace/secret:key`` that holds the token."""
    kubeconfig: Path
    namespace: str
    domain: str
    acts: str
    """Letters of the acts to play, in order: a to d."""
    requests_per_second: float
    """Requests of REST and gRPC together, more than 0 and at most 100."""
    rows: int
    """Claims in one request, 1 to 100."""
    outcome_share: float
    """Share of the claims whose outcome becomes known, in (0, 1]."""
    outcome_delay_seconds: float
    """Mean of the exponential delay between answer and outcome."""
    training_image: str
    tracking_uri: str
    """MLflow as a training pod sees it."""
    seed: int
    json: bool

    @property
    def hostname(self) -> str:
        """The host name of the ClaimsModel's route."""
        return f"{MODEL}-{self.namespace}.{self.domain}"


def _letters(text: str) -> str:
    letters = "".join(text.replace(",", "").split())
    if not letters or "abcd"[: len(letters)] != letters:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a beginning of a,b,c,d; every act needs what the one before it left: write a,b for two"
        )
    return letters


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 to 100")
    return int(text)


def _between(low: float, high: float) -> Callable[[str], float]:
    """Return an argument type: a number above ``low`` and at most ``high``."""

    def parse_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
        if not low < value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not above {low:g} and at most {high:g}")
        return value

    return parse_number


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Read flags, and for those not given the environment; exits with usage where one is wrong."""
    parser = argparse.ArgumentParser(
        prog="claims_demo",
        description="Roll four versions of a claims model out under steady traffic, and watch.",
    )

    def add(
        flag: str, variable: str | None, default: str, explanation: str, kind: Callable[[str], object] = str
    ) -> None:
        value = os.environ.get(variable, default) if variable else default
        note = f" [${variable}]" if variable else ""
        parser.add_argument(flag, default=value, type=kind, help=f"{explanation}{note} (default: %(default)s)")

    def add_address(part: str, what: str) -> None:
        here = f"http://127.0.0.1:{LOCAL.forwards[part][0]}"
        add(f"--{part}-url", f"CLAIMS_{part.upper()}_URL", here, f"where {what} answers")

    add_address("gateway", "the gateway")
    add_address("prometheus", "Prometheus")
    add_address("mlflow", "MLflow")
    add_address("feedback", "the feedback service")
    add(
        "--feedback-secret",
        "CLAIMS_FEEDBACK_SECRET",
        "claims-system/claims-feedback-token:token",
        "namespace/secret:key with the token for outcomes",
    )
    # Not from $KUBECONFIG: it may name a cluster that nobody meant to play on.
    add("--kubeconfig", "CLAIMS_KUBECONFIG", str(LOCAL.kubeconfig), "kubeconfig of the cluster to play on")
    add("--namespace", None, "claims", "namespace of the ClaimsModel")
    add("--domain", None, "claims.local", "domain of the platform's routes")
    add("--requests-per-second", None, "16", "requests a second, REST and gRPC together", _between(0, 100))
    add("--rows", None, "10", "claims in a request, 1 to 100", _rows)
    add("--outcome-share", None, "0.6", "share of the claims whose outcome becomes known", _between(0, 1))
    add("--outcome-delay-seconds", None, "15", "mean delay of an outcome", _between(0, 3600))
    add(
        "--training-image",
        "CLAIMS_TRAINING_IMAGE",
        "",
        "image of the training Jobs; empty takes the one built from this checkout for the local cluster",
    )
    add("--tracking-uri", None, "http://mlflow.claims-system:5000", "MLflow as a training pod sees it")
    parser.add_argument("--acts", type=_letters, default="abcd", help="acts to play: a,b,c,d or its beginning")
    parser.add_argument(
        "--seed", type=int, default=11, help="seed of the claims sent; training uses 7 (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    given = parser.parse_args(arguments)
    if not Path(given.kubeconfig).is_file():
        parser.error(f"--kubeconfig: there is no file {given.kubeconfig}; run `make up` first, or name another")
    values = vars(given) | {
        "kubeconfig": Path(given.kubeconfig),
        "training_image": given.training_image or _local_training_image(),
        "feedback_token": os.environ.get("CLAIMS_FEEDBACK_TOKEN"),
    }
    return Settings(**values)


def _local_training_image() -> str:
    return next(image.reference for image in images.PLATFORM_IMAGES if image.name == "claims-training")
