"""KServe's logger posting to a real process."""

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from unit.claims_feedback.feedback_process import Running, outcome, running
from unit.claims_feedback.logged import REQUEST, RESPONSE, logged_headers, metadata, v2_request, v2_response

from claims_contract import events

SHOWN = ("revision", "attempt", "epoch")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("feedback")
    thresholds = "claims/scored=0.5 claims/other=0.9"
    with running(folder, logger_wait_seconds="60", logger_decision_thresholds=thresholds) as started:
        yield started


def post(service: Running, kind: str, exchange: str, body: Any, *, model: str, **changes: str) -> httpx.Response:
    headers = logged_headers(kind, exchange, inferenceservicename=f"{model}-a1", **changes)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return service.client.post(events.EVENTS_PATH, content=content, headers=headers)


def halves(service: Running) -> dict[tuple[str, str], float]:
    """Return how many halves were counted, by kind and result."""
    counted = {}
    for line in service.client.get("/metrics").text.splitlines():
        if line.startswith("claims_feedback_logger_events_total{"):
            labels, _, value = line.partition("{")[2].rpartition("} ")
            kind, result = (label.split('"')[1] for label in labels.split(","))
            counted[kind, result] = float(value)
    return counted


def added(service: Running, before: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    after = halves(service)
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


def totals_of(service: Running, model: str) -> list[tuple[Any, ...]]:
    return [
        (*(each[name] for name in SHOWN), *each["predictions"].values(), *each["outcomes"].values())
        for each in service.totals(namespace="claims", model=model)
    ]


def test_the_two_halves_of_an_exchange_become_predictions_of_claims(service: Running) -> None:
    before = halves(service)
    forwarded = metadata(X_Claims_Stratum="3.2")
    response = v2_response({"decision": ["refer", "settle"], "risk_score": [0.9, 0.1]})
    asked = post(service, REQUEST, "e1", v2_request("C1", "C2"), model="paired", metadata=forwarded)
    answered = post(service, RESPONSE, "e1", response, model="paired", metadata=forwarded)
    assert (asked.status_code, asked.json()) == (200, {"accepted": 0})
    assert (answered.status_code, answered.json()["accepted"]) == (200, 2)
    service.post_outcomes([outcome("positive", model="paired", claimId="C2")])
    assert totals_of(service, "paired") == [("a1", 3, 2, 1, 1, 0, 0, 0, 1)]
    assert added(service, before) == {("request", "kept"): 1, ("response", "paired"): 1}


def test_a_response_that_overtook_its_request_is_answered_when_it_is_stored(service: Running) -> None:
    response = v2_response({"decision": ["settle"]})
    answers: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: answers.append(post(service, RESPONSE, "e2", response, model="overtaken")))
    sender.start()
    post(service, REQUEST, "e2", v2_request("C1"), model="overtaken")
    sender.join()
    assert [answer.json()["accepted"] for answer in answers] == [1]
    service.post_outcomes([outcome("negative", model="overtaken", claimId="C1")])
    assert totals_of(service, "overtaken") == [("a1", 0, 0, 0, 1, 0, 0, 1, 0)]


def test_a_response_that_names_its_claims_waits_for_nothing(service: Running) -> None:
    before = halves(service)
    response = v2_response({"decision": ["refer"], "claim_id": ["C1"]})
    assert post(service, RESPONSE, "e3", response, model="complete").json()["accepted"] == 1
    assert added(service, before) == {("response", "complete"): 1}


def test_an_exchange_logged_twice_counts_once(service: Running) -> None:
    response = v2_response({"decision": ["refer"], "claim_id": ["C1"]})
    answers = [post(service, RESPONSE, "e4", response, model="again").json() for _ in range(2)]
    assert [answer["duplicates"] for answer in answers] == [0, 1]


def test_a_score_is_decided_by_the_threshold_of_its_model(service: Running) -> None:
    before = halves(service)
    response = v2_response({"output-0": [0.6], "claim_id": ["C1"]})
    named = v2_response({"risk_score": [0.6], "claim_id": ["C1"]})
    assert post(service, RESPONSE, "e5", named, model="scored").json()["accepted"] == 1
    assert post(service, RESPONSE, "e5", named, model="other").json()["accepted"] == 1
    refused = post(service, RESPONSE, "e5", response, model="unknown")
    assert refused.status_code == 422
    assert "claims/unknown has no output `decision`" in refused.json()["error"]
    assert [totals_of(service, model) for model in ("scored", "other")] == [
        [("a1", 0, 0, 1, 0, 0, 0, 0, 0)],
        [("a1", 0, 0, 0, 1, 0, 0, 0, 0)],
    ]
    assert added(service, before) == {("response", "complete"): 2, ("response", "no_decision"): 1}


def test_what_else_passes_the_agent_is_answered_200_and_passed_over(service: Running) -> None:
    before = halves(service)
    asked = post(service, REQUEST, "e6", b"", model="metadata")
    answered = post(service, RESPONSE, "e6", {"name": "metadata", "versions": []}, model="metadata")
    assert [(answer.status_code, answer.json()) for answer in (asked, answered)] == [(200, {"accepted": 0})] * 2
    assert added(service, before) == {("request", "kept"): 1, ("response", "not_inference"): 1}


def test_a_compressed_response_is_logged_without_saying_so(service: Running) -> None:
    body = gzip.compress(json.dumps(v2_response({"decision": ["refer"], "claim_id": ["C1"]})).encode())
    assert post(service, RESPONSE, "e7", body, model="packed").json()["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "changes", "status"),
    [
        pytest.param(b"{", {}, 400, id="cut-off"),
        pytest.param({"predictions": [1]}, {"inferenceservicename": "iris"}, 400, id="no-revision-of-ours"),
        pytest.param(b"\x1f\x8bno", {}, 400, id="broken-gzip"),
        pytest.param(gzip.compress(b" " * 10_000_001), {}, 413, id="gzip-of-more-than-10-mb"),
    ],
)
def test_a_response_that_cannot_be_read_is_refused_and_counted(
    service: Running, body: Any, changes: dict[str, str], status: int
) -> None:
    before = halves(service)
    headers = logged_headers(RESPONSE, "e8") | {f"ce-{name}": value for name, value in changes.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = service.client.post(events.EVENTS_PATH, content=content, headers=headers)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)
    assert added(service, before) == {("response", "malformed"): 1}
