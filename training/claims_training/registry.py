"""MLflow: a run for what was tried, and a registered model version for what may be served."""

import dataclasses
import logging
import time
from collections.abc import Mapping

import requests
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from claims_contract import tensors
from claims_training import package
from claims_training.errors import RegistryError, RegistryUnavailable, VersionTaken

ARTIFACT_FOLDER = "package"
"""The run's artifact folder that holds the package; a model version's source."""

_SECONDS_BETWEEN_TRIES = 2.0
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registered:
    """A model version of the registry. ``number`` is MLflow's own; ``existed`` tells that it was there before."""

    name: str
    number: str
    existed: bool

    @property
    def uri(self) -> str:
        """What a ClaimsModel names."""
        return f"models:/{self.name}/{self.number}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What is kept with a run: how it was made and what came out."""

    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def wait_until_up(tracking_uri: str, *, timeout_seconds: float) -> None:
    """Return when the MLflow server answers; raise `RegistryUnavailable` after ``timeout_seconds`` without."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            answer = requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=5)
        except requests.RequestException as error:
            said = f"{type(error).__name__}"
        else:
            if answer.ok:
                return
            said = f"status {answer.status_code}: {answer.text[:200]}"
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            msg = f"no MLflow server answered at {tracking_uri} within {timeout_seconds:g} s; the last try gave {said}"
            raise RegistryUnavailable(msg)
        _log.info("waiting for MLflow at %s (%s)", tracking_uri, said)
        time.sleep(min(_SECONDS_BETWEEN_TRIES, left_seconds))


def register(
    tracking_uri: str, made: package.Package, *, name: str, version: str, record: Record, alias: str | None = None
) -> Registered:
    """Log a run with the package and register it as a version of ``name``.

    Registering the same version with the same digest again changes nothing but the alias; the same version with another
    digest raises `VersionTaken`.
    """
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    try:
        found = _find(client, name, version, made.digest) or _create(client, made, name, version, record)
        if alias is not None:
            client.set_registered_model_alias(name, alias, found.number)
    except (MlflowException, requests.RequestException) as error:
        msg = f"MLflow at {tracking_uri} refused to register {name} {version}: {error}"
        raise RegistryError(msg) from error
    return found


def _find(client: MlflowClient, name: str, version: str, digest: str) -> Registered | None:
    """Return the registered version that has this semantic version and digest, or None."""
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        for candidate in page:
            if candidate.tags.get(tensors.VERSION_TAG) != version:
                continue
            found = Registered(name=name, number=str(candidate.version), existed=True)
            if candidate.tags.get(tensors.DIGEST_TAG) == digest:
                return found
            msg = (
                f"{name} {version} is registered already as {found.uri} with digest "
                f"{candidate.tags.get(tensors.DIGEST_TAG)}, and this package has {digest}; "
                "a version never changes: train it under a new --version"
            )
            raise VersionTaken(msg)
        token = page.token
        if not token:
            return None


def _create(client: MlflowClient, made: package.Package, name: str, version: str, record: Record) -> Registered:
    experiment = client.get_experiment_by_name(name)
    experiment_id = client.create_experiment(name) if experiment is None else experiment.experiment_id
    run = client.create_run(experiment_id, run_name=f"{name} {version}")
    status = "FAILED"
    try:
        now_ms = int(time.time() * 1000)
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(key, value, now_ms, 0) for key, value in record.metrics.items()],
            params=[Param(key, value) for key, value in record.parameters.items()],
            tags=[RunTag(key, value) for key, value in record.tags.items()],
        )
        client.log_artifacts(run.info.run_id, str(made.folder), ARTIFACT_FOLDER)
        created = _create_version(client, run.info.run_id, run.info.artifact_uri, made.digest, name, version)
        status = "FINISHED"
    finally:
        client.set_terminated(run.info.run_id, status)
    return Registered(name=name, number=created, existed=False)


def _create_version(client: MlflowClient, run_id: str, artifact_uri: str, digest: str, name: str, version: str) -> str:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created = client.create_model_version(
        name,
        source=f"{artifact_uri}/{ARTIFACT_FOLDER}",
        run_id=run_id,
        # The tags come with the version: nobody ever sees it without its digest.
        tags={tensors.DIGEST_TAG: digest, tensors.VERSION_TAG: version},
        await_creation_for=0,  # The server answers when it is ready.
    )
    return str(created.version)
