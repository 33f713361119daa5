"""The attempts as a list, and one attempt in full."""

import pytest
from rollout_builders import NOW, ago, analysed, healthy, recorded, tried
from unit.kubectl_claims.scenes import details, rollout_of

from claims_operator.api.status import ClaimsRolloutStatus
from claims_operator.core.analysis import Verdict
from claims_operator.core.reconcile import reconcile
from kubectl_claims import history, tables
from kubectl_claims.errors import NotFound

WAITING = healthy(analysis=analysed(errors=Verdict.INCONCLUSIVE))
LOOKED = reconcile(WAITING)
FAILED = healthy(
    status=LOOKED.status, rollout=reconcile(healthy(status=LOOKED.status, rollout=LOOKED.rollout,
                                                     analysis=WAITING.analysis)).rollout,
    analysis=analysed(rollback="errors: more than stable", errors=Verdict.FAIL),
)  # fmt: skip


def test_an_attempt_shows_result_duration_and_evidence() -> None:
    row = tables.plain([history.attempts_table((rollout_of(FAILED),), NOW, wide=False)]).splitlines()[1]

    assert row.split()[:8] == [
        "2",
        "1.0.0",
        "2.0.0",
        "RolledBack",
        "ErrorsFailed",
        "2026-11-20T11:49:00Z",
        "11m",
        "errors",
    ]
    assert row.endswith("errors failed (1000), latency passed (1000), accuracy passed (1000)")


def test_an_attempt_under_way_lasts_until_now() -> None:
    assert history.duration(rollout_of(WAITING), ago(minutes=-4)) == ago(minutes=-4) - ago(minutes=11)


def test_an_attempt_that_never_had_requests_has_no_evidence() -> None:
    facts = healthy(
        status=recorded(candidate=tried(weight=0, step=0, step_started_at=None)),
        analysis=None,
        rollout=ClaimsRolloutStatus(),
        revisions={},
    )

    assert history.evidence(rollout_of(facts)["status"]) == "nothing was measured"


def test_the_steps_of_an_attempt_are_shown_with_what_ended_them() -> None:
    text = details(rollout_of(FAILED))

    assert "From:      1.0.0 (revision old)" in text
    assert "Step 1, 5 %, from 2026-11-20T11:50:00Z for 10m" in text.splitlines()
    assert [row.split()[:2] for row in text.splitlines() if row.startswith("errors ")] == [["errors", "Fail"]]


def test_a_step_that_goes_on_says_so() -> None:
    assert "for 10m, under way" in details(rollout_of(WAITING))


def test_an_attempt_that_is_not_on_record_names_those_that_are() -> None:
    with pytest.raises(NotFound) as error:
        history.find_attempt((rollout_of(WAITING),), 7, "claim-risk")

    assert error.value.message == "claim-risk has no attempt 7 on record; there are: 2"
