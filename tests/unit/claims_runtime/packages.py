"""Small, real model packages, in the layout that training writes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from xgboost import XGBClassifier

NUMBERS = ("claim_amount", "prior_claims")
CATEGORIES = ("line", "region")
SCHEMA: dict[str, Any] = {
    "features": [
        {"name": "line", "type": "category", "categories": ["auto", "home"], "required": True},
        {"name": "region", "type": "category", "categories": ["north", "south"], "required": False},
        {"name": "claim_amount", "type": "number", "minimum": 0, "maximum": 5000, "required": True},
        {"name": "prior_claims", "type": "number", "minimum": 0, "maximum": 100, "required": False},
    ],
    "identifier": "claim_id",
    "decisionThreshold": 0.5,
    "levels": {"medium": 0.3, "high": 0.7},
}


def request_of(table: pd.DataFrame, *, claim_ids: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the V2 request for the rows of a table."""
    inputs = [
        {
            "name": name,
            "shape": [len(table)],
            "datatype": "FP64" if name in NUMBERS else "BYTES",
            "data": table[name].tolist(),
        }
        for name in table.columns
    ]
    if claim_ids is not None:
        inputs.append({"name": "claim_id", "shape": [len(claim_ids)], "datatype": "BYTES", "data": claim_ids})
    return {"inputs": inputs, **fields}


def claims_table(rows: int, seed: int = 7) -> pd.DataFrame:
    """Return made-up claims in the schema's column order."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "line": random.choice(["auto", "home"], rows),
            "region": random.choice(["north", "south"], rows),
            "claim_amount": random.uniform(0, 5000, rows).round(2),
            "prior_claims": random.integers(0, 5, rows).astype(float),
        }
    )


def write_sklearn_package(folder: Path, version: str = "1.2.0", repeats: int = 1, **changes: Any) -> Path:
    """Write a random forest's package; ``changes`` replace whole files by name without extension.

    ``repeats`` makes the same forest so many times slower: its trees are asked again and again.
    """
    pipeline = make_pipeline(_preprocess(), RandomForestClassifier(n_estimators=20, max_depth=4, random_state=1))
    table, labels = _training_data()
    pipeline.fit(table, labels)
    forest = pipeline[-1]
    forest.estimators_ = forest.estimators_ * repeats
    folder.mkdir(parents=True)
    joblib.dump(pipeline, folder / "model.joblib")
    scores = pipeline.predict_proba(claims_table(8))[:, 1]
    _write_documents(folder, version, "claims_runtime.SKLearnClaims", "./model.joblib", scores, changes)
    return folder


def write_xgboost_package(folder: Path, version: str = "2.0.0") -> Path:
    """Write a small XGBoost classifier's package."""
    table, labels = _training_data()
    preprocess = _preprocess().fit(table)
    model = XGBClassifier(n_estimators=10, max_depth=3, random_state=1)
    model.fit(preprocess.transform(table), labels)
    folder.mkdir(parents=True)
    joblib.dump(preprocess, folder / "preprocess.joblib")
    model.save_model(folder / "model.json")
    scores = model.predict_proba(preprocess.transform(claims_table(8)))[:, 1]
    _write_documents(folder, version, "claims_runtime.XGBoostClaims", "./model.json", scores, {})
    return folder


def _training_data() -> tuple[pd.DataFrame, Any]:
    table = claims_table(500, seed=1)
    return table, (table["claim_amount"] + 500 * table["prior_claims"] > 3500).astype(int)


def _preprocess() -> ColumnTransformer:
    words = Pipeline(
        [("fill", SimpleImputer(strategy="most_frequent")), ("encode", OneHotEncoder(handle_unknown="ignore"))]
    )
    return ColumnTransformer(
        [("numbers", SimpleImputer(strategy="median"), list(NUMBERS)), ("words", words, list(CATEGORIES))]
    )


def _write_documents(
    folder: Path, version: str, implementation: str, uri: str, scores: Any, changes: dict[str, Any]
) -> None:
    sample = {"request": request_of(claims_table(8)), "response": {"outputs": _outputs(scores)}}
    documents = {
        "model-settings": {"implementation": implementation, "parameters": {"uri": uri}},
        "schema": SCHEMA,
        "samples": sample,
    } | changes
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    digests = {
        path.name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())
    }
    listing = "".join(sorted(f"{digest.removeprefix('sha256:')}  {name}\n" for name, digest in digests.items()))
    package = {"name": "claim-risk", "version": version, "digests": digests}
    package["digest"] = "sha256:" + hashlib.sha256(listing.encode()).hexdigest()
    (folder / "package.json").write_text(json.dumps(package))


def _outputs(scores: Any) -> list[dict[str, Any]]:
    values = [float(score) for score in scores]
    levels = ["high" if score >= 0.7 else "medium" if score >= 0.3 else "low" for score in values]
    decisions = ["refer" if score >= 0.5 else "settle" for score in values]
    confidences = [max(score, 1 - score) for score in values]
    columns = {"risk_score": values, "risk_level": levels, "decision": decisions, "confidence": confidences}
    return [
        {"name": name, "shape": [len(data)], "datatype": "BYTES" if isinstance(data[0], str) else "FP64", "data": data}
        for name, data in columns.items()
    ]
