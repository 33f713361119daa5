"""The prediction event (CloudEvents 1.0) that the runtime sends and the feedback service stores.

Its ``data`` is one row of one request as one revision answered it:

namespace, model, revision   Whose answer it is: the ClaimsModel, and the revision that gave it.
requestId, row               The V2 id of the request, up to 256 characters, and the row in it, from 0.
claimId                      What the request called the claim, up to 256 characters, or null.
attempt, epoch               Under which weights it was served (`claims_contract.headers.STRATUM`); 0 and 0: unknown.
decision                     ``refer`` or ``settle``.
score                        Probability of the positive class, in [0, 1].
value                        Instead of decision and score: the number that the model returned (severity, price).
cohort                       By what the request was assigned to a variant, or null. Absent in older events: null.
isTester                     Whether a tester sent it. Absent in older events: false.
"""

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
