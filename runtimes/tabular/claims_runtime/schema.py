"""What a model reads and how its score becomes a decision: schema.json of a package."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from claims_contract import tensors
from claims_runtime.errors import InvalidPackage


class FeatureType(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    CATEGORY = "category"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the model's input."""

    name: str
    type: FeatureType
    required: bool
    """A required column must be there with a known value in every row; any other may be absent or empty."""

    minimum: float = -math.inf
    maximum: float = math.inf
    categories: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The columns in the model's order, and the thresholds of its answer."""

    features: tuple[Feature, ...]
    decision_threshold: float
    """Scores from here on mean `tensors.REFER`; in [0, 1]."""

    medium_level: float
    """Scores from here on are medium; in [0, 1]."""

    high_level: float
    """Scores from here on are high; at least ``medium_level``."""


def parse(document: Any) -> Schema:
    """Read schema.json, or raise `InvalidPackage` with the place that is wrong."""
    try:
        schema = Schema(
            features=tuple(_feature(entry) for entry in document["features"]),
            decision_threshold=float(document["decisionThreshold"]),
            medium_level=float(document["levels"]["medium"]),
            high_level=float(document["levels"]["high"]),
        )
    except KeyError as error:
        raise InvalidPackage(f"{tensors.SCHEMA_FILE} has no field {error}") from error
    except (TypeError, ValueError) as error:
        raise InvalidPackage(f"{tensors.SCHEMA_FILE} has a field of the wrong type: {error}") from error
    _check(schema)
    return schema


def _feature(entry: Any) -> Feature:
    return Feature(
        name=str(entry["name"]),
        type=FeatureType(entry["type"]),
        required=bool(entry["required"]),
        minimum=float(entry.get("minimum", -math.inf)),
        maximum=float(entry.get("maximum", math.inf)),
        categories=frozenset(entry.get("categories", ())),
    )


def _check(schema: Schema) -> None:
    names = [feature.name for feature in schema.features]
    if not names:
        raise InvalidPackage(f"{tensors.SCHEMA_FILE} names no feature")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidPackage(f"{tensors.SCHEMA_FILE} names {', '.join(twice)} more than once")
    if tensors.CLAIM_ID in names:
        raise InvalidPackage(f"{tensors.SCHEMA_FILE} has {tensors.CLAIM_ID} among the features; it never is one")
    for feature in schema.features:
        if feature.type is FeatureType.CATEGORY and not feature.categories:
            raise InvalidPackage(f"{tensors.SCHEMA_FILE} lists no categories for {feature.name}")
        if not feature.minimum <= feature.maximum:
            raise InvalidPackage(f"{tensors.SCHEMA_FILE} gives {feature.name} a minimum above its maximum")
    if not 0 <= schema.medium_level <= schema.high_level <= 1:
        raise InvalidPackage(f"{tensors.SCHEMA_FILE} must have 0 <= levels.medium <= levels.high <= 1")
    if not 0 <= schema.decision_threshold <= 1:
        raise InvalidPackage(f"{tensors.SCHEMA_FILE} must have 0 <= decisionThreshold <= 1")
