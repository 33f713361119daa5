import pytest

from claims_runtime.errors import InvalidSettings
from claims_runtime.settings import ModelSettings, ServerSettings

OWNER = {"CLAIMS_NAMESPACE": "claims", "CLAIMS_MODEL": "claim-risk", "CLAIMS_REVISION": "abc"}


def test_without_an_address_no_events_are_sent() -> None:
    assert ModelSettings.from_environment(OWNER).events is None
    assert ModelSettings.from_environment({**OWNER, "CLAIMS_FEEDBACK_URL": ""}).events is None


def test_events_go_to_the_feedback_service() -> None:
    events = ModelSettings.from_environment({**OWNER, "CLAIMS_FEEDBACK_URL": "http://feedback:8080/"}).events
    assert events is not None
    assert events.url == "http://feedback:8080/v1/events"
    assert events.source == "/namespaces/claims/claimsmodels/claim-risk/revisions/abc"


def test_the_headers_of_testers_and_cohorts_can_be_renamed() -> None:
    environment = {**OWNER, "CLAIMS_FEEDBACK_URL": "http://feedback"}
    renamed = {**environment, "CLAIMS_TESTER_HEADER": "X-Tester", "CLAIMS_COHORT_HEADER": ""}
    found = [ModelSettings.from_environment(each).events for each in (environment, renamed)]
    assert [(each.tester_header, each.cohort_header) for each in found if each] == [
        ("x-claims-tester", "x-claim-id"),
        ("x-tester", ""),
    ]


def test_events_need_an_owner() -> None:
    with pytest.raises(InvalidSettings, match="CLAIMS_MODEL, CLAIMS_REVISION must be set too"):
        ModelSettings.from_environment({"CLAIMS_FEEDBACK_URL": "http://feedback", "CLAIMS_NAMESPACE": "claims"})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CLAIMS_FEEDBACK_URL", "feedback:8080", "must begin with http:// or https://"),
        ("CLAIMS_TESTER_HEADER", "x tester", "must be the name of a header"),
        ("CLAIMS_PREDICT_THREADS", "0", "must be from 1 to 64"),
        ("CLAIMS_PREDICT_THREADS", "many", "must be a number"),
    ],
)
def test_values_that_cannot_be_used_are_named(name: str, value: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{name} is .*{message}"):
        ModelSettings.from_environment({**OWNER, "CLAIMS_FEEDBACK_URL": "http://feedback", name: value})


def test_the_drain_takes_ten_seconds_unless_set() -> None:
    assert ServerSettings.from_environment({}).drain_seconds == 10
    assert ServerSettings.from_environment({"CLAIMS_DRAIN_SECONDS": "0"}).drain_seconds == 0
    with pytest.raises(InvalidSettings, match="CLAIMS_DRAIN_SECONDS is -1; it must be from 0 to 600"):
        ServerSettings.from_environment({"CLAIMS_DRAIN_SECONDS": "-1"})
