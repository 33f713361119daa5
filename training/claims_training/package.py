"""A model package: the folder that a registry keeps and a runtime serves, with digests over every file."""

import dataclasses
import datetime as dt
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, Final

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from xgboost import XGBClassifier

from claims_contract import tensors
from claims_training import generator, models, schema
from claims_training.errors import PackageFolderInUse

SKLEARN_FILE: Final = "model.joblib"
XGBOOST_FILE: Final = "model.json"
PREPARATION_FILE: Final = "preprocess.joblib"
MEDIUM_FROM: Final = 0.3
HIGH_FROM: Final = 0.7
"""Scores from which the level of a claim is medium, or high."""

SAMPLE_ROWS: Final = 8

_IMPLEMENTATIONS: Final = {
    models.Algorithm.RANDOM_FOREST: ("claims_runtime.SKLearnClaims", SKLEARN_FILE),
    models.Algorithm.XGBOOST: ("claims_runtime.XGBoostClaims", XGBOOST_FILE),
}
_DISTRIBUTIONS: Final = ("scikit-learn", "numpy", "pandas", "joblib")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What package.json says beside the digests. ``threshold`` is the score from which a claim is referred."""

    name: str
    version: str
    threshold: float
    created_at: dt.datetime
    training_cutoff: dt.datetime
    metrics: Mapping[str, float]
    data: Mapping[str, str | int | list[str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """A package on disk. ``digest`` reads ``sha256:<64 hex digits>`` and covers every file but package.json."""

    folder: pathlib.Path
    digest: str


def check_folder(folder: pathlib.Path) -> None:
    """Raise `PackageFolderInUse` where ``folder`` exists and is neither empty nor a package."""
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file; name a folder"
        raise PackageFolderInUse(msg)
    if folder.exists() and any(folder.iterdir()) and not (folder / tensors.PACKAGE_FILE).exists():
        msg = f"{folder} holds files that are not a model package; name a new folder, or empty this one"
        raise PackageFolderInUse(msg)


def write(folder: pathlib.Path, model: models.Model, about: Description) -> Package:
    """Write the package to ``folder``, whole or not at all; a package that is there is replaced.

    The samples' answers come from the files as written, read back, so they hold for what is served.
    """
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        draft = pathlib.Path(scratch) / "package"
        draft.mkdir()
        _write_model(draft, model)
        implementation, file = _IMPLEMENTATIONS[model.algorithm]
        settings = {"implementation": implementation, "parameters": {"uri": f"./{file}"}}
        _write_json(draft / tensors.MODEL_SETTINGS_FILE, settings)
        _write_json(draft / tensors.SCHEMA_FILE, build_schema(about.threshold))
        _write_json(draft / tensors.SAMPLES_FILE, build_samples(read_model(draft, model.algorithm), about.threshold))
        digest = _write_description(draft, model.algorithm, about)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    return Package(folder=folder, digest=digest)


def digest_of(digests: Mapping[str, str]) -> str:
    """Return the package digest from each file's ``sha256:<hex>`` by its path in the package."""
    lines = sorted(f"{digest.removeprefix('sha256:')}  {path}\n" for path, digest in digests.items())
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def file_digests(folder: pathlib.Path) -> dict[str, str]:
    """Return ``sha256:<hex>`` of every file but package.json, by its path in the package."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_file() and relative != tensors.PACKAGE_FILE:
            with path.open("rb") as file:
                digests[relative] = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def read_model(folder: pathlib.Path, algorithm: models.Algorithm) -> models.Model:
    """Return the model of a package of one's own making: pickles run code, so never call it on a stranger's."""
    if algorithm is models.Algorithm.RANDOM_FOREST:
        pipeline = joblib.load(folder / SKLEARN_FILE)
        steps = pipeline.named_steps
        return models.Model(algorithm=algorithm, preparation=steps["preparation"], classifier=steps["classifier"])
    classifier = XGBClassifier(n_jobs=1)
    classifier.load_model(folder / XGBOOST_FILE)
    preparation = joblib.load(folder / PREPARATION_FILE)
    return models.Model(algorithm=algorithm, preparation=preparation, classifier=classifier)


def build_schema(threshold: float) -> dict[str, Any]:
    """Return schema.json: the features in order, and how a score becomes a decision and a level."""
    features = []
    for feature in schema.FEATURES:
        entry: dict[str, Any] = {"name": feature.name, "type": feature.type, "required": feature.required}
        if feature.type == "number":
            entry |= {"minimum": feature.minimum, "maximum": feature.maximum}
        else:
            entry |= {"categories": list(feature.categories)}
        features.append(entry)
    return {
        "features": features,
        "identifier": schema.CLAIM_ID,
        "decisionThreshold": threshold,
        "levels": {"medium": MEDIUM_FROM, "high": HIGH_FROM},
    }


def build_samples(model: models.Model, threshold: float) -> dict[str, Any]:
    """Return samples.json: a V2 request of generated claims (never a customer's) and the model's answer."""
    claims = generator.generate(SAMPLE_ROWS, seed=0)
    scores = model.score(pd.DataFrame(dict(claims.columns)))
    inputs = [_tensor(schema.CLAIM_ID, claims.claim_ids)]
    inputs += [_tensor(name, column.tolist()) for name, column in claims.columns.items()]
    return {"request": {"id": "sample", "inputs": inputs}, "response": {"outputs": _answers(scores, threshold)}}


def _answers(scores: npt.NDArray[np.float64], threshold: float) -> list[dict[str, Any]]:
    refer = scores >= threshold
    levels = np.where(scores >= HIGH_FROM, "high", np.where(scores >= MEDIUM_FROM, "medium", "low"))
    return [
        _tensor(tensors.RISK_SCORE, scores.tolist()),
        _tensor(tensors.RISK_LEVEL, levels.tolist()),
        _tensor(tensors.DECISION, np.where(refer, tensors.REFER, tensors.SETTLE).tolist()),
        _tensor(tensors.CONFIDENCE, np.where(refer, scores, 1 - scores).tolist()),
    ]


def _tensor(name: str, values: list[Any]) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(values[0], str) else "FP64"
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values}


def _write_model(folder: pathlib.Path, model: models.Model) -> None:
    if model.algorithm is models.Algorithm.RANDOM_FOREST:
        joblib.dump(model.pipeline(), folder / SKLEARN_FILE)
        return
    joblib.dump(model.preparation, folder / PREPARATION_FILE)
    model.classifier.save_model(folder / XGBOOST_FILE)


def _write_description(folder: pathlib.Path, algorithm: models.Algorithm, about: Description) -> str:
    digests = file_digests(folder)
    names = (*_DISTRIBUTIONS, "xgboost") if algorithm is models.Algorithm.XGBOOST else _DISTRIBUTIONS
    frameworks = {name: importlib.metadata.version(name) for name in names}
    digest = digest_of(digests)
    _write_json(
        folder / tensors.PACKAGE_FILE,
        {
            "name": about.name,
            "version": about.version,
            "format": models.FORMATS[algorithm],
            "createdAt": _rfc3339(about.created_at),
            "trainingCutoff": _rfc3339(about.training_cutoff),
            "metrics": dict(about.metrics),
            "frameworks": {"python": platform.python_version(), **frameworks},
            "data": dict(about.data),
            "digests": digests,
            "digest": digest,
        },
    )
    return digest


def _rfc3339(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_json(path: pathlib.Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
