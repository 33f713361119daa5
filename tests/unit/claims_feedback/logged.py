"""The CloudEvents of KServe's logger, as the agent of KServe 0.20 sends them."""

import json
from collections.abc import Mapping
from typing import Any

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"


def logged_headers(kind: str, exchange: str, **changes: str) -> dict[str, str]:
    """Return the headers of either half; the changes are of attributes, without ``ce-``."""
    attributes = {
        "specversion": "1.0",
        "type": kind,
        "id": exchange,
        "source": "claim-risk-a1-predictor-7d9f6c5b8-x2v4q",
        "time": "2025-11-20T10:00:00.051960808Z",
        "recordedtime": "2025-11-20T10:00:00.052243264Z",
        "inferenceservicename": "claim-risk-a1",
        "namespace": "claims",
        "component": "predictor",
        "endpoint": "",
        "metadata": "{}",
    } | changes
    return {f"ce-{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}


def metadata(**forwarded: str) -> str:
    """Return the attribute of forwarded headers; underscores in names become hyphens."""
    return json.dumps({name.replace("_", "-"): [value] for name, value in forwarded.items()}, ensure_ascii=False)


def v2_request(*claim_ids: str | None) -> dict[str, Any]:
    """Return a V2 request for as many rows; without claim ids, for one row that names no claim."""
    rows = max(1, len(claim_ids))
    inputs = [{"name": "claim_amount", "shape": [rows], "datatype": "FP64", "data": [1200.5] * rows}]
    if claim_ids:
        inputs += [
            {"name": "claim_id", "shape": [rows, 1], "datatype": "BYTES", "data": [[each] for each in claim_ids]}
        ]
    return {"id": "not-looked-at", "inputs": inputs}


def v2_response(outputs: Mapping[str, list[Any]], **changes: Any) -> dict[str, Any]:
    """Return a V2 response; values that are lists make a shape of two dimensions."""
    tensors = [
        {
            "name": name,
            "shape": [len(values), *([len(values[0])] if values and isinstance(values[0], list) else [])],
            "datatype": "BYTES" if values and isinstance(values[0], str) else "FP64",
            "data": values,
        }
        for name, values in outputs.items()
    ]
    return {"model_name": "claim-risk", "id": "r1", "outputs": tensors} | changes
