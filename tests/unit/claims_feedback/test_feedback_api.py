"""The HTTP interface of a real process."""

import gzip
import json
import socket
import time
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.claims_feedback.feedback_process import AUTHORIZED, BATCH, TOKEN, Running, event, outcome

from claims_contract import events

NEXT_CENTURY = "2125-01-01T00:00:00Z"


def counted(service: Running, model: str) -> list[tuple[Any, ...]]:
    """Return (revision, epoch, refer, settle, tp, fp, tn, fn, corrections) of each stratum of a model."""
    return [
        (
            each["revision"],
            each["epoch"],
            *each["predictions"].values(),
            *each["outcomes"].values(),
            each["corrections"],
        )
        for each in service.totals(namespace="claims", model=model)
    ]


def metric(service: Running, name: str, **labels: str) -> float | None:
    """Return the value of a series whose labels include these, from what Prometheus would scrape."""
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    for line in service.client.get("/metrics").text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and wanted <= set(series.partition("{")[2].rstrip("}").split(",")):
            return float(value)
    return None


def problems(response: httpx.Response) -> list[tuple[int | None, str]]:
    return [(problem["index"], problem["where"]) for problem in response.json()["problems"]]


def test_an_event_sent_twice_is_counted_once(service: Running) -> None:
    batch = [event(f"r{n}", model="twice", decision="settle") for n in range(50)]
    first, second = service.post_events(batch), service.post_events(batch)
    assert (first.status_code, first.json()) == (
        200,
        {"accepted": 50, "duplicates": 0, "labelled": 0, "corrections": 0},
    )
    assert second.json() == {"accepted": 50, "duplicates": 50, "labelled": 0, "corrections": 0}
    assert counted(service, "twice") == [("a1", 1, 0, 50, 0, 0, 0, 0, 0)]


def test_the_three_content_modes_carry_the_same_event(service: Running) -> None:
    sent = event("r1/with a slash", model="modes")
    binary = {f"ce-{name}": sent[name] for name in ("specversion", "type", "source", "time")}
    binary |= {"ce-id": "r1/with%20a%20slash/0", "content-type": "application/json; charset=utf-8"}
    structured = {"content-type": "application/cloudevents+json"}
    responses = [
        service.client.post(events.EVENTS_PATH, json=sent["data"], headers=binary),
        service.client.post(events.EVENTS_PATH, json=sent, headers=structured),
        service.post_events([sent]),
    ]
    assert [(answer.status_code, answer.json()["duplicates"]) for answer in responses] == [(200, 0), (200, 1), (200, 1)]


def test_an_outcome_of_a_claim_labels_its_first_prediction_per_stratum_once(service: Running) -> None:
    served = [
        event("r1", model="claim", claimId="C1", decision="refer"),
        event("r2", model="claim", claimId="C1", decision="settle"),
        event("r3", model="claim", claimId="C1", decision="settle", epoch=2),
        event("r4", model="claim", claimId="C1", decision="settle", revision="b2"),
    ]
    service.post_events(served)
    first = service.post_outcomes([outcome("positive", model="claim", claimId="C1")])
    again = service.post_outcomes([outcome("positive", model="claim", claimId="C1")])
    assert first.json() == {"accepted": 1, "duplicates": 0, "labelled": 3, "corrections": 0}
    assert again.json() == {"accepted": 1, "duplicates": 1, "labelled": 0, "corrections": 0}
    assert counted(service, "claim") == [
        ("a1", 1, 1, 1, 1, 0, 0, 0, 0),
        ("a1", 2, 0, 1, 0, 0, 0, 1, 0),
        ("b2", 1, 0, 1, 0, 0, 0, 1, 0),
    ]


def test_an_outcome_waits_for_its_prediction(service: Running) -> None:
    early = service.post_outcomes([outcome("negative", model="early", requestId="r1", row=3)])
    late = service.post_events([event("r1", row, model="early") for row in range(5)])
    assert (early.json()["labelled"], late.json()["labelled"]) == (0, 1)
    assert counted(service, "early") == [("a1", 1, 5, 0, 0, 1, 0, 0, 0)]


def test_a_correction_changes_no_other_total(service: Running) -> None:
    service.post_events([event("r1", model="corrected", claimId="C1")])
    for value in ("positive", "negative", "positive", "negative"):
        assert service.post_outcomes([outcome(value, model="corrected", claimId="C1")]).status_code == 200
    assert counted(service, "corrected") == [("a1", 1, 1, 0, 1, 0, 0, 0, 1)]


def test_prometheus_sees_every_total_of_a_stratum(service: Running) -> None:
    service.post_events([event("r1", model="scraped", claimId="C1", attempt=7, epoch=3)])
    service.post_outcomes([outcome("negative", model="scraped", claimId="C1")])
    stratum = {
        "model_namespace": "claims",
        "model_name": "scraped",
        "revision": "a1",
        "attempt": "7",
        "epoch": "3",
    }
    seen = [metric(service, "claims_predictions_total", **stratum, decision=name) for name in ("refer", "settle")]
    seen += [metric(service, "claims_outcomes_total", **stratum, result=name) for name in ("tp", "fp", "tn", "fn")]
    seen += [metric(service, "claims_outcome_corrections_total", **stratum)]
    assert seen == [1, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param({}, 401, id="no-token"),
        pytest.param({"authorization": "Basic YTpi"}, 401, id="another-scheme"),
        pytest.param({"authorization": f"Bearer {TOKEN}x"}, 403, id="a-wrong-token"),
        pytest.param({"authorization": "Bearer"}, 401, id="an-empty-token"),
        pytest.param({"authorization": f"bearer {TOKEN}"}, 200, id="the-scheme-in-lower-case"),
        pytest.param({"authorization": "Bearer an-older-token-of-the-tests"}, 200, id="the-other-token-of-the-file"),
    ],
)
def test_outcomes_need_a_token(service: Running, authorization: dict[str, str], status: int) -> None:
    body = {"outcomes": [outcome("positive", model="guarded", claimId="C1")]}
    response = service.client.post(events.OUTCOMES_PATH, json=body, headers=authorization)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


def changed(**attributes: Any) -> dict[str, Any]:
    return event("r1", model="malformed") | attributes


@pytest.mark.parametrize(
    ("batch", "where"),
    [
        pytest.param([changed(id="r1/1")], [(0, "[0].id")], id="an-id-that-is-not-its-data's"),
        pytest.param([changed(source="/elsewhere")], [(0, "[0].source")], id="a-source-that-is-not-its-data's"),
        pytest.param([changed(type="org.example")], [(0, "[0].type")], id="a-type-that-is-not-ours"),
        pytest.param([changed(specversion="0.3")], [(0, "[0].specversion")], id="an-old-cloudevent"),
        pytest.param([changed(time="2025-11-01T10:00:00")], [(0, "[0].time")], id="a-time-without-zone"),
        pytest.param([changed(data={})], [(0, "[0].data")], id="no-data"),
        pytest.param([event("r1", score=1.5)], [(0, "[0].data.score")], id="a-score-above-1"),
        pytest.param([event("r1", row=2**40)], [(0, "[0].data.row")], id="a-row-that-is-no-row"),
        pytest.param([event("r1", decision="deny")], [(0, "[0].data.decision")], id="an-unknown-decision"),
        pytest.param([event("r1", model="Ä")], [(0, "[0].data.model")], id="a-name-that-kubernetes-would-refuse"),
        pytest.param([event("r1", cohort="c" * 257)], [(0, "[0].data.cohort")], id="an-endless-cohort"),
        pytest.param([event("r1", isTester="no")], [(0, "[0].data.isTester")], id="a-tester-who-is-a-word"),
        pytest.param([event("r" * 257)], [(0, "[0].data.requestId")], id="an-endless-request-id"),
        pytest.param(
            [event("ok", model="malformed"), 5, changed(id=7)], [(1, "[1]"), (2, "[2].id")], id="one-good-two-bad"
        ),
        pytest.param({"events": []}, [(None, "")], id="no-list"),
    ],
)
def test_a_malformed_batch_is_refused_as_a_whole(
    service: Running, batch: Any, where: list[tuple[int | None, str]]
) -> None:
    response = service.post_events(batch)
    assert (response.status_code, problems(response)) == (400, where)
    assert all(problem["what"] for problem in response.json()["problems"])
    assert counted(service, "malformed") == []


@pytest.mark.parametrize(
    ("outcomes", "where"),
    [
        pytest.param([outcome("positive")], "outcomes[0]", id="about-nobody"),
        pytest.param([outcome("positive", requestId="r1")], "outcomes[0]", id="a-request-without-row"),
        pytest.param([outcome("positive", claimId="C", requestId="r", row=0)], "outcomes[0]", id="about-two"),
        pytest.param([outcome("positive", claimId="C", row=0)], "outcomes[0]", id="a-claim-and-half-a-row"),
        pytest.param([outcome("maybe", claimId="C")], "outcomes[0].outcome", id="an-unknown-outcome"),
        pytest.param([outcome("positive", claimId="C", wieght=1)], "outcomes[0]", id="a-field-that-there-is-not"),
        pytest.param(
            [outcome("positive", claimId="C", observedAt=NEXT_CENTURY)], "outcomes[0].observedAt", id="from-the-future"
        ),
    ],
)
def test_a_malformed_outcome_is_refused(service: Running, outcomes: list[dict[str, Any]], where: str) -> None:
    response = service.post_outcomes(outcomes)
    assert (response.status_code, problems(response)) == (400, [(0, where)])


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"[NaN]", b'["\xff"]', b'["\\ud800"]', b"[" * 100_000],
    ids=["nothing", "cut-off", "nan", "not-utf-8", "half-a-surrogate", "nested-without-end"],
)
def test_what_is_not_json_is_refused(service: Running, body: bytes) -> None:
    response = service.client.post(events.EVENTS_PATH, content=body, headers=BATCH)
    assert (response.status_code, len(response.json()["problems"])) == (400, 1)


def test_a_binary_event_with_wrong_headers_names_them(service: Running) -> None:
    sent = event("r1", model="malformed")
    right = {f"ce-{name}": sent[name] for name in ("specversion", "type", "source", "id")}
    found = []
    for header, value in (("ce-specversion", "0.3"), ("ce-time", "noon")):
        response = service.client.post(events.EVENTS_PATH, json=sent["data"], headers=right | {header: value})
        found += [(response.status_code, problems(response))]
    assert found == [(400, [(None, "header ce-specversion")]), (400, [(None, "header ce-time")])]


def test_an_event_from_a_clock_ahead_is_kept_and_counted(service: Running) -> None:
    before = metric(service, "claims_feedback_events_clock_ahead_total")
    ahead = [event(f"r{n}", model="ahead") | {"time": NEXT_CENTURY} for n in range(3)]
    assert service.post_events(ahead).json()["accepted"] == 3
    assert metric(service, "claims_feedback_events_clock_ahead_total") == (before or 0) + 3


def test_a_body_of_more_than_10_mb_is_refused(service: Running) -> None:
    too_large = {"endpoint": events.EVENTS_PATH, "reason": "too_large"}
    before = metric(service, "claims_feedback_refused_total", **too_large) or 0
    largest = json.dumps([event("r1", model="large")]).encode().ljust(10_000_000)
    answers = [
        service.client.post(events.EVENTS_PATH, content=body, headers=BATCH)
        for body in (largest, largest + b" ", iter([largest, b" "]))
    ]
    assert [answer.status_code for answer in answers] == [200, 413, 413]
    assert (metric(service, "claims_feedback_refused_total", **too_large) or 0) == before + 2


def test_a_gzip_body_is_read_as_what_it_holds(service: Running) -> None:
    packed = gzip.compress(json.dumps([event("r1", model="packed")]).encode())
    headers = BATCH | {"content-encoding": "gzip"}
    answer = service.client.post(events.EVENTS_PATH, content=packed, headers=headers)
    assert (answer.status_code, counted(service, "packed")) == (200, [("a1", 1, 1, 0, 0, 0, 0, 0, 0)])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(gzip.compress(b" " * 10_000_001), 413, id="one-byte-more-than-the-limit"),
        pytest.param(gzip.compress(b"[]" + b" " * 100_000_000), 413, id="a-little-that-becomes-100-mb"),
        pytest.param(gzip.compress(b"[]")[:-4], 400, id="cut-off"),
        pytest.param(gzip.compress(b"[]") + b"more", 400, id="something-behind-it"),
        pytest.param(b"[]", 400, id="not-gzip"),
        pytest.param(b"", 400, id="nothing"),
    ],
)
def test_a_gzip_body_that_cannot_be_read_is_refused(service: Running, body: bytes, status: int) -> None:
    headers = BATCH | {"content-encoding": "GZIP"}
    answer = service.client.post(events.EVENTS_PATH, content=body, headers=headers)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


def test_a_sender_that_hangs_up_is_counted_and_harms_nobody(service: Running) -> None:
    url = service.client.base_url
    head = f"POST {events.EVENTS_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: {events.BATCH_CONTENT_TYPE}\r\n"
    with socket.create_connection((url.host, url.port or 80)) as sender:
        sender.sendall(f"{head}content-length: 100\r\n\r\n[".encode())
    refused = {"endpoint": events.EVENTS_PATH, "reason": "incomplete"}
    deadline = time.monotonic() + 5
    while metric(service, "claims_feedback_refused_total", **refused) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (events.EVENTS_PATH, {"content-type": "text/csv"}),
        (events.EVENTS_PATH, {"content-type": "application/json"}),
        (events.EVENTS_PATH, BATCH | {"content-encoding": "br"}),
        (events.OUTCOMES_PATH, AUTHORIZED | {"content-type": "text/csv"}),
    ],
    ids=["csv-events", "json-without-attributes", "brotli", "csv-outcomes"],
)
def test_a_form_that_is_not_read_here_is_refused(service: Running, path: str, headers: dict[str, str]) -> None:
    response = service.client.post(path, content=b"[]", headers=headers)
    assert response.status_code == 415
    assert "Send " in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/event", 404), ("GET", events.EVENTS_PATH, 405), ("GET", "/v1/totals?modle=a", 400)],
)
def test_what_there_is_not_is_answered_in_json(service: Running, method: str, path: str, status: int) -> None:
    response = service.client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]


def test_totals_are_chosen_by_namespace_and_model(service: Running) -> None:
    service.post_events([event("r1", model="chosen", namespace=namespace) for namespace in ("one", "two")])
    assert [each["namespace"] for each in service.totals(model="chosen")] == ["one", "two"]
    assert [each["model"] for each in service.totals(namespace="two", model="")] == ["chosen"]


def test_probes_say_that_it_lives(service: Running) -> None:
    assert [service.client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


CONTENT_TYPES = ["application/json", "application/cloudevents+json", events.BATCH_CONTENT_TYPE]
BODIES = (
    st.binary(max_size=50)
    | st.builds(
        lambda fields: json.dumps([event("r1", model="any") | fields]).encode(), st.dictionaries(st.text(), st.text())
    )
    | st.builds(lambda data: json.dumps([event("r1") | {"data": data}]).encode(), st.dictionaries(st.text(), st.text()))
    | st.builds(
        lambda outcomes: json.dumps({"outcomes": outcomes}).encode(), st.lists(st.dictionaries(st.text(), st.text()))
    )
)
HEADERS = st.fixed_dictionaries(
    {"content-type": st.sampled_from(CONTENT_TYPES)},
    optional={
        "content-encoding": st.sampled_from(["gzip", "identity", "br"]),
        "ce-specversion": st.sampled_from(["1.0", "", "2"]),
        "ce-type": st.sampled_from([events.PREDICTION_TYPE, "org.kubeflow.serving.inference.request"]),
        "ce-id": st.text(st.characters(min_codepoint=33, max_codepoint=126)),
        "ce-metadata": st.text(st.characters(min_codepoint=33, max_codepoint=126)),
    },
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([events.EVENTS_PATH, events.OUTCOMES_PATH]), HEADERS, BODIES)
def test_whatever_is_posted_is_taken_or_refused(
    service: Running, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = service.client.post(path, content=body, headers=AUTHORIZED | headers)
    assert answer.status_code in (200, 400, 415)
    assert answer.status_code == 200 or answer.json()["error"]
