"""The runtime process over its real ports."""

import contextlib
import http.client
import struct
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from unit.claims_runtime import packages
from unit.claims_runtime.feedback_server import FeedbackServer, wait_until
from unit.claims_runtime.runtime_process import MODEL, RuntimeProcess, grpc_request, outputs_of


def events_of(feedback: FeedbackServer, request_id: str) -> list[dict[str, Any]]:
    return [event for event in feedback.events if event["data"]["requestId"] == request_id]


def test_rest_answers_carry_score_level_decision_and_confidence(runtime: RuntimeProcess) -> None:
    table = packages.claims_table(40)
    status, answer = runtime.infer(packages.request_of(table, id="request-1"))
    assert (status, answer["id"], answer["model_name"], answer["model_version"]) == (200, "request-1", MODEL, "1.2.0")
    outputs = outputs_of(answer)
    assert list(outputs) == ["risk_score", "risk_level", "decision", "confidence"]
    rows = zip(*outputs.values(), strict=True)
    for score, level, decision, confidence in rows:
        assert level == ("high" if score >= 0.7 else "medium" if score >= 0.3 else "low")
        assert decision == ("refer" if score >= 0.5 else "settle")
        assert confidence == pytest.approx(max(score, 1 - score))


def test_grpc_answers_as_rest_does(runtime: RuntimeProcess) -> None:
    body = packages.request_of(packages.claims_table(5))
    answer = runtime.grpc_infer(grpc_request(body))
    assert outputs_of(answer) == outputs_of(runtime.infer(body)[1])
    assert (answer.model_name, answer.model_version) == (MODEL, "1.2.0")


def test_raw_grpc_contents_are_read(runtime: RuntimeProcess) -> None:
    body = packages.request_of(packages.claims_table(3))
    request = grpc_request(body)
    for sent, tensor in zip(request.inputs, body["inputs"], strict=True):
        sent.ClearField("contents")
        if tensor["datatype"] == "BYTES":
            words = [value.encode() for value in tensor["data"]]
            request.raw_input_contents.append(b"".join(struct.pack("<I", len(word)) + word for word in words))
        else:
            request.raw_input_contents.append(struct.pack("<3d", *tensor["data"]))
    answer = runtime.grpc_infer(request)
    scores = struct.unpack("<3d", answer.raw_output_contents[0])
    assert list(scores) == outputs_of(runtime.infer(body)[1])["risk_score"]


@pytest.mark.parametrize("given", [None, ""])
def test_a_missing_request_id_is_made(runtime: RuntimeProcess, feedback: FeedbackServer, given: str | None) -> None:
    fields = {} if given is None else {"id": given}
    _, answer = runtime.infer(packages.request_of(packages.claims_table(1), **fields))
    assert len(answer["id"]) == 36
    wait_until(lambda: len(events_of(feedback, answer["id"])) == 1)


def test_a_missing_request_id_is_made_for_grpc_too(runtime: RuntimeProcess, feedback: FeedbackServer) -> None:
    answer = runtime.grpc_infer(grpc_request(packages.request_of(packages.claims_table(1))))
    assert len(answer.id) == 36
    wait_until(lambda: len(events_of(feedback, answer.id)) == 1)


def test_each_row_becomes_one_prediction_event(runtime: RuntimeProcess, feedback: FeedbackServer) -> None:
    body = packages.request_of(packages.claims_table(2), claim_ids=["claim-1", ""], id="events-1")
    _, answer = runtime.infer(body, {"X-Claims-Stratum": "3.2", "X-Claim-Id": "C-7"})
    wait_until(lambda: len(events_of(feedback, "events-1")) == 2)
    outputs = outputs_of(answer)
    for row, event in enumerate(events_of(feedback, "events-1")):
        assert event.pop("time").endswith("+00:00")
        assert event == {
            "specversion": "1.0",
            "type": "io.claimsmodel.prediction.v1",
            "id": f"events-1/{row}",
            "source": "/namespaces/claims/claimsmodels/claim-risk/revisions/abc123",
            "datacontenttype": "application/json",
            "data": {
                "namespace": "claims",
                "model": "claim-risk",
                "revision": "abc123",
                "requestId": "events-1",
                "row": row,
                "claimId": ["claim-1", None][row],
                "attempt": 3,
                "epoch": 2,
                "decision": outputs["decision"][row],
                "score": outputs["risk_score"][row],
                "cohort": "C-7",
                "isTester": False,
            },
        }
    assert feedback.paths == {"/v1/events"}
    assert feedback.content_types == {"application/cloudevents-batch+json"}
    assert runtime.metrics()["claims_prediction_events_sent_total"] >= 2


def test_the_origin_of_a_grpc_request_is_in_its_metadata(runtime: RuntimeProcess, feedback: FeedbackServer) -> None:
    body = packages.request_of(packages.claims_table(1), id="events-2")
    metadata = (("x-claims-stratum", "4.1"), ("x-claim-id", "C-8"), ("x-claims-tester", "anna"))
    runtime.grpc_infer(grpc_request(body), metadata=metadata)
    wait_until(lambda: len(events_of(feedback, "events-2")) == 1)
    data = events_of(feedback, "events-2")[0]["data"]
    assert (data["attempt"], data["epoch"], data["cohort"], data["isTester"]) == (4, 1, "C-8", True)


def test_a_tester_is_known_by_the_header_whatever_its_value(runtime: RuntimeProcess, feedback: FeedbackServer) -> None:
    body = packages.request_of(packages.claims_table(1), id="events-3")
    runtime.infer(body, {"X-Claims-Tester": ""})
    wait_until(lambda: len(events_of(feedback, "events-3")) == 1)
    data = events_of(feedback, "events-3")[0]["data"]
    assert (data["cohort"], data["isTester"]) == (None, True)


def test_a_wrong_request_is_answered_with_all_that_is_wrong(runtime: RuntimeProcess) -> None:
    table = packages.claims_table(2).drop(columns="line").assign(prior_claims=[500.0, 1.0], wheels=["four", "two"])
    status, answer = runtime.infer(packages.request_of(table))
    assert status == 400
    assert [(problem["column"], problem["row"]) for problem in answer["problems"]] == [
        ("line", None),
        ("prior_claims", 0),
        ("wheels", None),
    ]
    assert "column 'line': is missing" in answer["error"]


def test_a_wrong_grpc_request_is_an_invalid_argument_that_leaves_no_traceback(runtime: RuntimeProcess) -> None:
    table = packages.claims_table(1).drop(columns="claim_amount")
    with pytest.raises(grpc.RpcError) as caught:
        runtime.grpc_infer(grpc_request(packages.request_of(table)))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "column 'claim_amount': is missing" in caught.value.details()
    assert "Traceback" not in runtime.log()


def test_only_the_outputs_asked_for_are_returned(runtime: RuntimeProcess) -> None:
    body = packages.request_of(packages.claims_table(1), outputs=[{"name": "decision"}])
    assert list(outputs_of(runtime.infer(body)[1])) == ["decision"]
    status, answer = runtime.infer({**body, "outputs": [{"name": "colour"}]})
    assert (status, answer["problems"][0]["column"]) == (400, "colour")


@pytest.mark.parametrize("action", ["load", "unload"])
def test_a_caller_cannot_take_the_model_away(runtime: RuntimeProcess, action: str) -> None:
    status, answer = runtime.post(f"/v2/repository/models/{MODEL}/{action}", {})
    assert (status, "change the ClaimsModel" in answer["error"]) == (403, True)
    assert runtime.get(f"/v2/models/{MODEL}/ready") == 200


def test_the_version_may_be_in_the_url(runtime: RuntimeProcess) -> None:
    body = packages.request_of(packages.claims_table(1))
    assert runtime.post(f"/v2/models/{MODEL}/versions/1.2.0/infer", body)[0] == 200
    assert runtime.post(f"/v2/models/{MODEL}/versions/9.9.9/infer", body)[0] == 404


def test_xgboost_packages_are_served_alike(xgboost_package: Path, tmp_path: Path) -> None:
    table = packages.claims_table(4).assign(region=["north", "", "south", "west"], prior_claims=[1.0, None, 2.0, 3.0])
    with RuntimeProcess(xgboost_package, tmp_path / "log") as process:
        status, answer = process.infer(packages.request_of(table.astype(object).where(table.notna(), None)))
        assert (status, answer["model_version"]) == (200, "2.0.0")
        assert len(outputs_of(answer)["risk_score"]) == 4
        assert process.metrics()["claims_prediction_events_sent_total"] == 0, "no address, no events"


def test_a_stopping_server_answers_until_the_drain_is_over_and_sends_its_events(
    sklearn_package: Path, tmp_path: Path
) -> None:
    with FeedbackServer() as feedback:
        environment = {"CLAIMS_FEEDBACK_URL": feedback.url, "CLAIMS_DRAIN_SECONDS": "3"}
        with RuntimeProcess(sklearn_package, tmp_path / "log", **environment) as process:
            body = packages.request_of(packages.claims_table(1))
            process.terminate()
            began_at = time.monotonic()
            answered = 0
            while time.monotonic() - began_at < 0.8:
                assert process.infer(body)[0] == 200
                answered += 1
            assert process.process.wait(timeout=15) == 0
            assert len(feedback.events) == answered, "what was answered last is reported too"


def test_requests_in_flight_at_the_end_are_answered(slow_package: Path, tmp_path: Path) -> None:
    with RuntimeProcess(slow_package, tmp_path / "log") as process:
        statuses: list[int] = []
        body = packages.request_of(packages.claims_table(1))
        threads = [threading.Thread(target=lambda: statuses.append(process.infer(body)[0])) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        process.terminate()
        for thread in threads:
            thread.join()
        assert statuses == [200, 200]
        assert process.process.wait(timeout=15) == 0


def test_a_slow_model_does_not_hold_up_the_probes(sklearn_package: Path, tmp_path: Path) -> None:
    package = packages.write_sklearn_package(tmp_path / "models", repeats=2500)
    with RuntimeProcess(package, tmp_path / "log") as process:
        body = packages.request_of(packages.claims_table(1))
        answers: list[int] = []

        def ask() -> None:
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionResetError):
                answers.append(process.infer(body)[0])

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            assert process.get("/v2/health/live") == 200
        assert answers == [], "the probes were answered first"
        process.process.kill()
        for thread in threads:
            thread.join()


def refused(package: Path, log_file: Path, **environment: str) -> str:
    """Return the log of a runtime that must end by itself with exit code 1."""
    process = RuntimeProcess(package, log_file, **environment)
    process.start()
    assert process.process.wait(timeout=60) == 1
    return process.log()


def test_a_model_that_answers_otherwise_than_in_training_is_not_served(tmp_path: Path) -> None:
    table = packages.claims_table(1)
    scores = {"name": "risk_score", "shape": [1], "datatype": "FP64", "data": [0.123]}
    samples = {"request": packages.request_of(table), "response": {"outputs": [scores]}}
    package = packages.write_sklearn_package(tmp_path / "models", samples=samples)
    assert "does not answer as it did when it was trained: risk_score of sample row 0" in refused(
        package, tmp_path / "log"
    )


def test_a_folder_without_a_package_is_refused(tmp_path: Path) -> None:
    assert "claims-runtime: there is no model-settings.json" in refused(tmp_path, tmp_path / "log")


def test_settings_that_cannot_be_used_are_named(sklearn_package: Path, tmp_path: Path) -> None:
    assert "claims-runtime: CLAIMS_DRAIN_SECONDS is 'soon'" in refused(
        sklearn_package, tmp_path / "log", CLAIMS_DRAIN_SECONDS="soon"
    )
    assert "claims-runtime: MLSERVER_PARALLEL_WORKERS is 2; it must be 0" in refused(
        sklearn_package, tmp_path / "log2", MLSERVER_PARALLEL_WORKERS="2"
    )
