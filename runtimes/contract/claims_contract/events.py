"""The prediction event (CloudEvents 1.0) that the runtime sends and the feedback service stores."""

from typing import Final

PREDICTION_TYPE: Final = "io.claimsmodel.prediction.v1"

BATCH_CONTENT_TYPE: Final = "application/cloudevents-batch+json"

EVENTS_PATH: Final = "/v1/events"
OUTCOMES_PATH: Final = "/v1/outcomes"


def prediction_source(namespace: str, model: str, revision: str) -> str:
    """Return the CloudEvents source of a revision."""
    return f"/namespaces/{namespace}/claimsmodels/{model}/revisions/{revision}"


def prediction_id(request_id: str, row: int) -> str:
    """Return the CloudEvents id of one row of one request; with the source it names the prediction."""
    return f"{request_id}/{row}"
