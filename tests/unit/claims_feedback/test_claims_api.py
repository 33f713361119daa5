"""Export and erasure over HTTP, by an administrator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from unit.claims_feedback.feedback_process import AUTHORIZED, Running, event, outcome, running

ADMINISTRATOR = {"authorization": "Bearer a-token-of-an-administrator"}
OF_CLAIM = {"namespace": "claims", "model": "claim-risk"}
NOTHING = {"predictions": [], "outcomes": []}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("feedback")
    (folder / "admin").write_text("a-token-of-an-administrator\n")
    with running(folder, admin_token_file=str(folder / "admin")) as started:
        yield started


def ask(service: Running, method: str, claim_id: str, **query: str) -> httpx.Response:
    return service.client.request(method, f"/v1/claims/{claim_id}", params=OF_CLAIM | query, headers=ADMINISTRATOR)


def test_what_is_stored_of_a_claim_is_exported_and_erased(service: Running) -> None:
    service.post_events(
        [event("r1", claimId="C1", cohort="K1"), event("r2", claimId="C2"), event("r3", 1, claimId="C1")]
    )
    service.post_outcomes([outcome("positive", claimId="C1"), outcome("negative", requestId="r3", row=1)])
    before = service.totals(model="claim-risk")
    exported = ask(service, "GET", "C1").json()
    prediction: dict[str, Any] = exported["predictions"][0]
    assert (exported["claimId"], len(exported["predictions"]), len(exported["outcomes"])) == ("C1", 2, 2)
    assert (prediction["requestId"], prediction["servedAt"], prediction["isTester"]) == (
        "r1",
        "2025-11-01T10:00:00Z",
        False,
    )
    assert ask(service, "DELETE", "C1").json() == {"predictions": 2, "outcomes": 2}
    assert ask(service, "DELETE", "C1").json() == {"predictions": 0, "outcomes": 0}
    assert ask(service, "GET", "C1").json() == OF_CLAIM | {"claimId": "C1"} | NOTHING
    assert len(ask(service, "GET", "C2").json()["predictions"]) == 1
    assert service.totals(model="claim-risk") == before
    log = service.log.read_text()
    assert "127.0.0.1 erased 2 predictions and 2 outcomes of one claim of claims/claim-risk" in log
    assert "C1" not in log


def test_an_id_may_hold_anything(service: Running) -> None:
    service.post_events([event("r4", claimId="2025/11 ä?#%")])
    assert len(ask(service, "GET", "2025%2F11%20%C3%A4%3F%23%25").json()["predictions"]) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no-token"),
        pytest.param(AUTHORIZED, 403, id="a-token-for-outcomes"),
        pytest.param({"authorization": "Bearer a-token-of-nobody"}, 403, id="a-wrong-token"),
    ],
)
def test_only_an_administrator_may(service: Running, method: str, headers: dict[str, str], status: int) -> None:
    response = service.client.request(method, "/v1/claims/C1", params=OF_CLAIM, headers=headers)
    assert (response.status_code, "see or erase records" in response.json()["error"]) == (status, True)


def test_an_administrator_may_not_post_outcomes(service: Running) -> None:
    assert service.post_outcomes([outcome("positive", claimId="C1")], **ADMINISTRATOR).status_code == 403


@pytest.mark.parametrize(
    ("path", "query"),
    [
        pytest.param("C1", {"namespace": "claims"}, id="no-model"),
        pytest.param("C1", {"namespace": "", "model": "claim-risk"}, id="an-empty-namespace"),
        pytest.param("C1", OF_CLAIM | {"claim": "C1"}, id="another-parameter"),
        pytest.param("", OF_CLAIM, id="no-claim"),
        pytest.param("%00", OF_CLAIM, id="an-id-that-no-database-stores"),
    ],
)
def test_a_claim_has_to_be_named(service: Running, path: str, query: dict[str, str]) -> None:
    response = service.client.delete(f"/v1/claims/{path}", params=query, headers=ADMINISTRATOR)
    assert (response.status_code, bool(response.json()["error"])) == (400, True)


def test_where_there_is_no_administrator_nobody_may(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        response = service.client.get("/v1/claims/C1", params=OF_CLAIM, headers=ADMINISTRATOR)
        assert response.status_code == 403
        assert "CLAIMS_FEEDBACK_ADMIN_TOKEN_FILE" in response.json()["error"]
