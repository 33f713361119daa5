"""Kubernetes group, labels and environment variables."""

from typing import Final

GROUP: Final = "claimsmodel.io"
VERSION: Final = "v1alpha1"

MODEL: Final = "claimsmodel.io/model"
"""Label on every child of a ClaimsModel and on its pods: the ClaimsModel's name."""

REVISION: Final = "claimsmodel.io/revision"
"""Label on an InferenceService and its pods: the revision it serves."""

ENV_NAMESPACE: Final = "CLAIMS_NAMESPACE"
ENV_MODEL: Final = "CLAIMS_MODEL"
ENV_REVISION: Final = "CLAIMS_REVISION"
ENV_FEEDBACK_URL: Final = "CLAIMS_FEEDBACK_URL"
"""Base URL of the feedback service, for example ``http://claims-feedback.claims-system:8080``. Empty: send nothing."""

ENV_TESTER_HEADER: Final = "CLAIMS_TESTER_HEADER"
ENV_COHORT_HEADER: Final = "CLAIMS_COHORT_HEADER"
"""Names of the request headers of testers and of cohorts; not set: those of `claims_contract.headers`, empty: none."""
