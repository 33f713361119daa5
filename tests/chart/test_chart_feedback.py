"""What the feedback service and its pull are given."""

import pytest
from chart.rendering import PULL, PULLING, RefusedError, environment, merged, one, pods, render


def test_thresholds_reach_the_feedback_service_in_its_own_words() -> None:
    thresholds = {"claims/claim-risk": 0.6, "other/severity": 1}
    (container,) = dict(pods(render({"feedback": {"logger": {"decisionThresholds": thresholds}}})))["claims-feedback"][
        "containers"
    ]
    given = environment(container)["CLAIMS_FEEDBACK_LOGGER_DECISION_THRESHOLDS"]
    assert given == "claims/claim-risk=0.6 other/severity=1"


@pytest.mark.parametrize("missing", sorted(PULL))
def test_a_pull_that_knows_too_little_is_refused(missing: str) -> None:
    with pytest.raises(RefusedError, match=f"set feedback.pull.{missing} too"):
        render({"feedback": {"pull": {"enabled": True, **PULL, missing: ""}}})


def test_a_pull_is_given_its_options_and_only_the_token_for_outcomes() -> None:
    values = merged(
        PULLING, {"feedback": {"adminToken": {"existingSecret": "a"}, "pull": {"arguments": ["--model=m"]}}}
    )
    pod = dict(pods(render(values)))["claims-feedback-pull"]
    (container,) = pod["containers"]
    assert container["args"][-3:] == ["--watermark-column=changed", "--start=2025-01-01", "--model=m"]
    assert [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume] == [
        "settlements",
        "claims-feedback-token",
    ]


@pytest.mark.parametrize(("replicas", "affinity"), [(1, None), (2, "ClientIP")])
def test_a_logger_stays_with_one_of_several_feedback_pods(replicas: int, affinity: str | None) -> None:
    values = {"feedback": {"replicas": replicas, "database": {"url": "postgresql://feedback@db:5432/feedback"}}}
    assert one(render(values), "Service", "claims-feedback")["spec"].get("sessionAffinity") == affinity
