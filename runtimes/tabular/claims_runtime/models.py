"""The MLServer models: claims in, risk score, level, decision and confidence out."""

import asyncio
import datetime as dt
import os
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlserver import MLModel
from mlserver.settings import ModelSettings as MLServerModelSettings
from mlserver.types import Datatype, InferenceRequest, InferenceResponse, MetadataTensor
from mlserver.utils import generate_uuid, to_absolute_path
from mlserver_sklearn import SKLearnModel
from mlserver_xgboost import XGBoostModel

from claims_contract import tensors
from claims_runtime import answers, package, requests
from claims_runtime.answers import Answers
from claims_runtime.errors import InvalidPackage
from claims_runtime.events import Emitter, Origin, Prediction
from claims_runtime.requests import Claims
from claims_runtime.schema import FeatureType
from claims_runtime.settings import ModelSettings

CLOSE_SECONDS: Final = 5.0
"""How long events that still wait are sent when the model is unloaded."""

PREPROCESS_FILE: Final = "preprocess.joblib"


class TabularClaims(MLModel):
    """What every claims model does around its own `score`: check, decide, answer, report."""

    def __init__(self, settings: MLServerModelSettings) -> None:
        super().__init__(settings)
        if settings.parameters is None or not settings.parameters.uri:
            raise InvalidPackage(f"{tensors.MODEL_SETTINGS_FILE} has no parameters.uri; it names the model's file")
        self._package = package.read(Path(to_absolute_path(settings, settings.parameters.uri)).parent)
        # Set before the model is loaded: MLServer registers it under its version first.
        settings.parameters.version = self._package.version
        settings.versions = [self._package.version]
        self.inputs = _describe_inputs(self._package)
        self.outputs = _describe_outputs()
        self._own_settings = ModelSettings.from_environment(os.environ)
        self._executor = ThreadPoolExecutor(self._own_settings.predict_threads, thread_name_prefix="predict")
        self._emitter: Emitter | None = None

    async def load(self) -> bool:
        """Load the model, and refuse it where it answers its samples otherwise than when it was trained."""
        loaded: bool = await super().load()
        sample = self._package.sample_request
        _, answered = self._answer(sample)
        answers.check_samples(answers.encode(answered, sample), self._package.sample_outputs)
        if self._own_settings.events is not None:
            self._emitter = Emitter(self._own_settings.events)
        return loaded

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request; a missing request id is made here and returned."""
        request_id = payload.id = payload.id or generate_uuid()
        # In a thread, so that a slow model does not hold up the health probes.
        claims, answered = await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, payload)
        if self._emitter is not None and self._own_settings.events is not None:
            request_headers = (payload.parameters and payload.parameters.headers) or {}
            origin = Origin.read(request_headers, self._own_settings.events)
            self._emitter.put(_predictions(request_id, origin, claims, answered))
        return InferenceResponse(
            id=request_id,
            model_name=self.name,
            model_version=self.version,
            outputs=answers.encode(answered, payload),
        )

    async def unload(self) -> bool:
        """Send the events that still wait and free the threads."""
        if self._emitter is not None:
            await self._emitter.close(CLOSE_SECONDS)
        self._executor.shutdown(wait=False, cancel_futures=True)
        unloaded: bool = await super().unload()
        return unloaded

    @abstractmethod
    def score(self, table: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the probability of the positive class per row, shape (rows,)."""

    def _answer(self, payload: InferenceRequest) -> tuple[Claims, Answers]:
        answers.check_outputs(payload)
        claims = requests.read(payload, self._package.schema)
        scores = np.asarray(self.score(claims.table), dtype=np.float64)
        return claims, answers.judge(scores, self._package.schema)


class SKLearnClaims(TabularClaims, SKLearnModel):
    """Serves a scikit-learn Pipeline that reads the schema's columns by name."""

    def score(self, table: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the second column of the pipeline's ``predict_proba``."""
        return _positive(self._model.predict_proba(table))


class XGBoostClaims(TabularClaims, XGBoostModel):
    """Serves an XGBoost classifier behind a scikit-learn transformer."""

    async def load(self) -> bool:
        """Load preprocess.joblib and the booster."""
        self._preprocess = joblib.load(self._package.folder / PREPROCESS_FILE)
        return await super().load()

    def score(self, table: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the second column of the classifier's ``predict_proba``."""
        return _positive(self._model.predict_proba(self._preprocess.transform(table)))


def _positive(probabilities: Any) -> npt.NDArray[np.float64]:
    """Return the positive class's column of ``probabilities``, shape (rows, 2)."""
    if probabilities.ndim != 2 or probabilities.shape[1] != 2:
        raise InvalidPackage(
            f"the model answers with shape {probabilities.shape}; a claims model tells two classes apart"
        )
    positive: npt.NDArray[np.float64] = probabilities[:, 1]
    return positive


def _describe_inputs(served: package.Package) -> list[MetadataTensor]:
    """Return what V2 metadata says of the columns; -1 is any number of rows."""
    texts = {feature.name for feature in served.schema.features if feature.type is FeatureType.CATEGORY}
    columns = [_describe(feature.name, feature.name in texts) for feature in served.schema.features]
    return [*columns, _describe(tensors.CLAIM_ID, is_text=True)]


def _describe_outputs() -> list[MetadataTensor]:
    return [_describe(name, name in {tensors.RISK_LEVEL, tensors.DECISION}) for name in answers.OUTPUTS]


def _describe(name: str, is_text: bool) -> MetadataTensor:
    return MetadataTensor(name=name, datatype=Datatype.BYTES if is_text else Datatype.FP64, shape=[-1])


def _predictions(request_id: str, origin: Origin, claims: Claims, answered: Answers) -> list[Prediction]:
    answered_at = dt.datetime.now(dt.UTC)
    return [
        Prediction(
            request_id=request_id,
            row=row,
            claim_id=claim_id,
            origin=origin,
            decision=answered.decisions[row],
            score=float(answered.scores[row]),
            answered_at=answered_at,
        )
        for row, claim_id in enumerate(claims.claim_ids)
    ]
