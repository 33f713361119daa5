"""MLflow: a run for what was tried, and a registered model version for what may be served."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping

import requests
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from claims_contract import tensors
from claims_training import package
from claims_training.errors import RegistryError, RegistryUnavailable, VersionTaken

ARTIFACT_FOLDER = "package"
"""The run's artifact folder that holds the package; a model version's source."""

_EXISTS = "RESOURCE_ALREADY_EXISTS"
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
    digest raises `VersionTaken`. Of several who register a version in the same moment the lowest number wins: MLflow
    does not know that a version is to be unique.
    """
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    try:
        found = _find(client, name, version, made.digest)
        if found is None:
            created = _create(client, made, name, version, record)
            found = _keep_first(client, created, version, made.digest)
        if alias is not None:
            client.set_registered_model_alias(name, alias, found.number)
    except (MlflowException, requests.RequestException) as error:
        msg = f"MLflow at {tracking_uri} refused to register {name} {version}: {error}"
        raise RegistryError(msg) from error
    return found


def _find(client: MlflowClient, name: str, version: str, digest: str) -> Registered | None:
    """Return the registered version that has this semantic version and digest, or None; the first where several do."""
    same = [each for each in _versions(client, name) if each.tags.get(tensors.VERSION_TAG) == version]
    if not same:
        return None
    first = min(same, key=lambda each: int(each.version))
    found = Registered(name=name, number=str(first.version), existed=True)
    if first.tags.get(tensors.DIGEST_TAG) == digest:
        return found
    msg = (
        f"{name} {version} is registered already as {found.uri} with digest {first.tags.get(tensors.DIGEST_TAG)}, and "
        f"this package has {digest}; a version never changes: train it under a new --version"
    )
    raise VersionTaken(msg)


def _versions(client: MlflowClient, name: str) -> Iterator[ModelVersion]:
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _keep_first(client: MlflowClient, created: Registered, version: str, digest: str) -> Registered:
    """Return what was created, or what was created before it under the same version; then the later one goes."""
    try:
        first = _find(client, created.name, version, digest)
    except VersionTaken:
        client.delete_model_version(created.name, created.number)
        raise
    if first is None or first.number == created.number:
        return created
    client.delete_model_version(created.name, created.number)
    return first


def _create(client: MlflowClient, made: package.Package, name: str, version: str, record: Record) -> Registered:
    run = client.create_run(_experiment_id(client, name), run_name=f"{name} {version}")
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


def _experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment of a name, made where there is none."""
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        existing = client.get_experiment_by_name(name) if error.error_code == _EXISTS else None
        if existing is None:
            raise
        return str(existing.experiment_id)


def _create_version(client: MlflowClient, run_id: str, artifact_uri: str, digest: str, name: str, version: str) -> str:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != _EXISTS:
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
