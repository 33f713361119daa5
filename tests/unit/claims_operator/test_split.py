"""A split of the requests that is not the intended one holds a rollout, and never fails it."""

import dataclasses
import random

import pytest
from judged_traffic import CANDIDATE, ERRORS, FIRST_STEP, STABLE, Traffic

from claims_operator.core.analysis import Verdict
from claims_operator.core.split import Split


def served(traffic: Traffic, looks: int, *, candidate: int, stable: int = 950, failed: float = 0) -> Traffic:
    traffic.window = dataclasses.replace(traffic.window, candidate_share=0.05)
    traffic.look()
    for _ in range(looks):
        traffic.requests(STABLE, stable, failed=2)
        traffic.requests(CANDIDATE, candidate, failed=failed)
        traffic.look()
    return traffic


def test_the_intended_split_passes() -> None:
    traffic = served(Traffic(errors=ERRORS), 60, candidate=50)
    assert traffic.only().verdict == Verdict.PASS
    assert traffic.evidence.split == Split.of(1, 0.05).after(57_000, 3_000)


def test_a_candidate_that_leaves_requests_without_an_answer_is_held_with_the_reason() -> None:
    traffic = served(Traffic(errors=ERRORS), 60, candidate=40)
    assessment = traffic.only()
    assert assessment.verdict == Verdict.INCONCLUSIVE
    assert "the candidate answered 4.04 % of 59400 requests where its weight is 5 %" in assessment.message
    assert not traffic.judge(FIRST_STEP).passed
    assert traffic.judge().rollback is None


def test_a_wrong_split_excuses_no_fault() -> None:
    traffic = served(Traffic(errors=ERRORS), 60, candidate=40, failed=30)
    assert traffic.only().verdict == Verdict.FAIL


def test_a_small_deviation_is_left_alone_however_sure_it_is() -> None:
    traffic = served(Traffic(errors=ERRORS), 60, candidate=4_700, stable=95_300)
    assert traffic.evidence.split is not None
    assert traffic.evidence.split.test.log_e_value > 7
    assert traffic.only().verdict == Verdict.PASS


def test_the_split_of_the_next_step_is_another_question() -> None:
    traffic = served(Traffic(errors=ERRORS), 60, candidate=40)
    traffic.window = dataclasses.replace(traffic.window, epoch=2, candidate_share=0.5)
    for _ in range(3):
        traffic.requests(STABLE, 500)
        traffic.requests(CANDIDATE, 500)
        traffic.look()
    assert traffic.only().verdict == Verdict.PASS


def test_where_no_share_is_intended_nothing_is_tested() -> None:
    traffic = Traffic(errors=ERRORS)
    for _ in range(30):
        traffic.requests(STABLE, 100)
        traffic.requests(CANDIDATE, 900)
        traffic.look()
    assert traffic.evidence.split is None
    assert traffic.only().verdict == Verdict.PASS


def test_requests_that_are_drawn_by_weight_are_never_doubted() -> None:
    rng = random.Random(3)
    for share in (0.01, 0.05, 0.5):
        split = Split.of(1, share)
        for _ in range(200):
            candidate = sum(rng.random() < share for _ in range(100))
            split = split.after(100 - candidate, candidate)
            assert split.mismatch is None


def test_a_share_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="candidate_share"):
        dataclasses.replace(Traffic().window, candidate_share=1.0)
