"""Algorithms, each as a preparation and a classifier made of scikit-learn's and XGBoost's own classes only.

Nothing of ours is pickled, so a runtime needs no code of ours to load a model.
"""

import dataclasses
import enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from xgboost import XGBClassifier

from claims_training import schema


class Algorithm(enum.StrEnum):
    """What can be trained; the values are those of ``--algorithm``."""

    RANDOM_FOREST = "random-forest"
    XGBOOST = "xgboost"


FORMATS: Final = {Algorithm.RANDOM_FOREST: "sklearn", Algorithm.XGBOOST: "xgboost"}
"""The package format (and KServe's model format) of each algorithm."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """How a model is grown. None takes the algorithm's own default, in `DEFAULTS`."""

    trees: int | None = None
    """How many. At least 1."""
    max_depth: int | None = None
    """Of one tree, in splits. At least 1."""
    rows_per_tree: float | None = None
    """Share of the training rows that one tree sees, above 0 and at most 1."""
    seed: int = 0


DEFAULTS: Final = {
    Algorithm.RANDOM_FOREST: Parameters(trees=200, max_depth=16, rows_per_tree=1.0),
    Algorithm.XGBOOST: Parameters(trees=300, max_depth=4, rows_per_tree=0.8),
}


def resolve(algorithm: Algorithm, parameters: Parameters) -> Parameters:
    """Return ``parameters`` with the algorithm's defaults where None stood."""
    given = {name: value for name, value in dataclasses.asdict(parameters).items() if value is not None}
    return dataclasses.replace(DEFAULTS[algorithm], **given)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A fitted preparation and classifier."""

    algorithm: Algorithm
    preparation: Any
    classifier: Any

    def score(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the probability of outcome 1, shape (n,), of rows with the columns of `schema.FEATURES`."""
        prepared = self.preparation.transform(features[list(schema.FEATURE_NAMES)])
        return np.asarray(self.classifier.predict_proba(prepared)[:, 1], dtype=np.float64)

    def pipeline(self) -> Pipeline:
        """Return both as one scikit-learn pipeline, named columns in, probabilities out."""
        return Pipeline([("preparation", self.preparation), ("classifier", self.classifier)])


def fit(algorithm: Algorithm, parameters: Parameters, features: pd.DataFrame, outcomes: npt.NDArray[np.int8]) -> Model:
    """Train on rows with the columns of `schema.FEATURES` and their outcomes (0 or 1), shape (n,)."""
    preparation = _build_preparation()
    prepared = preparation.fit_transform(features[list(schema.FEATURE_NAMES)])
    classifier = _build_classifier(algorithm, resolve(algorithm, parameters))
    classifier.fit(prepared, outcomes)
    return Model(algorithm=algorithm, preparation=preparation, classifier=classifier)


def _build_preparation() -> ColumnTransformer:
    """Medians for unknown numbers; a column per category of the schema, all zero where the category is unknown."""
    categories = [list(feature.categories) for feature in schema.CATEGORIES]
    return ColumnTransformer(
        [
            (
                "numbers",
                SimpleImputer(strategy="median", keep_empty_features=True),
                [feature.name for feature in schema.NUMBERS],
            ),
            (
                "categories",
                OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False),
                [feature.name for feature in schema.CATEGORIES],
            ),
        ]
    )


def _build_classifier(algorithm: Algorithm, parameters: Parameters) -> Any:
    # One job: serving pods share their cores between requests, and a fit is the same on every machine.
    match algorithm:
        case Algorithm.RANDOM_FOREST:
            share = parameters.rows_per_tree
            return RandomForestClassifier(
                n_estimators=parameters.trees,
                max_depth=parameters.max_depth,
                max_features=0.5,
                max_samples=None if share == 1 else share,
                random_state=parameters.seed,
                n_jobs=1,
            )
        case Algorithm.XGBOOST:
            return XGBClassifier(
                n_estimators=parameters.trees,
                max_depth=parameters.max_depth,
                learning_rate=0.1,
                subsample=parameters.rows_per_tree,
                random_state=parameters.seed,
                n_jobs=1,
            )
