"""Tensor names of the V2 protocol and the files of a model package."""

from typing import Final

CLAIM_ID: Final = "claim_id"
"""Input, BYTES, shape [n]: names the claim. Optional; never a feature."""

RISK_SCORE: Final = "risk_score"
"""Output, FP64, shape [n]: probability of the positive class, in [0, 1]."""

RISK_LEVEL: Final = "risk_level"
"""Output, BYTES, shape [n]: low, medium or high."""

DECISION: Final = "decision"
"""Output, BYTES, shape [n]: `REFER` or `SETTLE`. Outcomes are compared with it."""

CONFIDENCE: Final = "confidence"
"""Output, FP64, shape [n]: probability of the decision returned, in [0, 1]."""

REFER: Final = "refer"
"""The positive decision: a person looks at the claim."""

SETTLE: Final = "settle"
"""The negative decision: the claim is settled without a person."""

MODEL_SETTINGS_FILE: Final = "model-settings.json"
SCHEMA_FILE: Final = "schema.json"
SAMPLES_FILE: Final = "samples.json"
PACKAGE_FILE: Final = "package.json"

DIGEST_TAG: Final = "claims.digest"
"""Tag of an MLflow model version: the package digest, ``sha256:<64 hex digits>``."""

VERSION_TAG: Final = "claims.version"
"""Tag of an MLflow model version: the package's semantic version."""
