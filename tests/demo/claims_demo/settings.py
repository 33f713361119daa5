"""What the demo needs to know, from flags and the environment."""

import argparse
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

MODEL = "claim-risk"
"""Name of the ClaimsModel, and of the model in the registry."""


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
        prog="claims_demo", description="Roll four versions of a claims model out under steady traffic, and watch.",
    )

    def add(
        flag: str, variable: str | None, default: str, explanation: str, kind: Callable[[str], object] = str
    ) -> None:
        value = os.environ.get(variable, default) if variable else default
        note = f" [${variable}]" if variable else ""
        parser.add_argument(flag, default=value, type=kind, help=f"{explanation}{note} (default: %(default)s)")

    add("--gateway-url", "CLAIMS_GATEWAY_URL", "http://127.0.0.1:18080", "where the gateway answers")
    add("--prometheus-url", "CLAIMS_PROMETHEUS_URL", "http://127.0.0.1:19090", "where Prometheus answers")
    add("--mlflow-url", "CLAIMS_MLFLOW_URL", "http://127.0.0.1:15000", "where MLflow answers")
    add("--feedback-url", "CLAIMS_FEEDBACK_URL", "http://127.0.0.1:18081", "where the feedback service answers")
    add("--feedback-secret", None, "claims-system/claims-feedback-token:token",
        "namespace/secret:key with the token for outcomes")
    add("--kubeconfig", "KUBECONFIG", "", "the cluster's kubeconfig; required")
    add("--namespace", None, "claims", "namespace of the ClaimsModel")
    add("--domain", None, "claims.local", "domain of the platform's routes")
    add("--requests-per-second", None, "16", "requests a second, REST and gRPC together", _between(0, 100))
    add("--rows", None, "10", "claims in a request, 1 to 100", _rows)
    add("--outcome-share", None, "0.6", "share of the claims whose outcome becomes known", _between(0, 1))
    add("--outcome-delay-seconds", None, "15", "mean delay of an outcome", _between(0, 3600))
    add("--training-image", "CLAIMS_TRAINING_IMAGE", "claims-training:dev", "image of the training Jobs")
    add("--tracking-uri", None, "http://mlflow.claims-system:5000", "MLflow as a training pod sees it")
    parser.add_argument("--acts", type=_letters, default="abcd", help="acts to play: a,b,c,d or its beginning")
    parser.add_argument("--seed", type=int, default=7, help="seed of claims and training (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    given = parser.parse_args(arguments)
    if not given.kubeconfig:
        parser.error("no cluster named: give --kubeconfig FILE or set KUBECONFIG (`make up` makes a local cluster)")
    if not Path(given.kubeconfig).is_file():
        parser.error(f"--kubeconfig: there is no file {given.kubeconfig}; run `make up` first")
    values = vars(given) | {
        "kubeconfig": Path(given.kubeconfig),
        "feedback_token": os.environ.get("CLAIMS_FEEDBACK_TOKEN"),
    }
    return Settings(**values)
