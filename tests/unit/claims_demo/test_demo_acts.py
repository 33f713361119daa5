"""An act ends as it was told, or is said not to have."""

import dataclasses

import pytest

from claims_demo import acts, play, settings, view

PROMOTED = acts.ACTS[1]
SLOW = acts.ACTS[2]
TOO_SLOW = view.Rejection(reason="LatencyFailed", message="latency is worse than stable's")
ERRORS = view.Rejection(reason="ErrorsFailed", message="errors are more than stable's")
SERVING_ONE = dataclasses.replace(view.ABSENT, ready=True, state="Serving", stable="1.0.0")
SERVING_TWO = dataclasses.replace(SERVING_ONE, stable="2.0.0")


@pytest.mark.parametrize(
    ("act", "seen"),
    [
        pytest.param(PROMOTED, SERVING_ONE, id="it has not begun"),
        pytest.param(PROMOTED, dataclasses.replace(SERVING_ONE, candidate="2.0.0"), id="it is tried"),
        pytest.param(PROMOTED, dataclasses.replace(SERVING_TWO, ready=False), id="it is promoted and not ready yet"),
        pytest.param(
            SLOW,
            dataclasses.replace(SERVING_TWO, ready=False, rejected={"3.0.0": TOO_SLOW}),
            id="it is rejected and the route is not put back yet",
        ),
    ],
)
def test_an_act_goes_on(act: acts.Act, seen: view.View) -> None:
    assert acts.judge(act, seen) is None


def test_a_promoted_version_ends_the_act_as_told() -> None:
    assert acts.judge(PROMOTED, SERVING_TWO) == acts.Verdict(as_told=True, sentence="2.0.0 is promoted")


def test_a_rollback_for_the_cause_told_ends_the_act_as_told() -> None:
    seen = dataclasses.replace(SERVING_TWO, rejected={"3.0.0": TOO_SLOW})

    verdict = acts.judge(SLOW, seen)

    assert verdict is not None
    assert verdict.as_told


@pytest.mark.parametrize(
    ("act", "seen", "complaint"),
    [
        pytest.param(
            SLOW,
            dataclasses.replace(SERVING_TWO, stable="3.0.0"),
            "was promoted, and should have been rolled back",
            id="a bad version promoted",
        ),
        pytest.param(
            SLOW,
            dataclasses.replace(SERVING_TWO, rejected={"3.0.0": ERRORS}),
            "rolled back for another cause than LatencyFailed",
            id="a bad version rolled back for another cause",
        ),
        pytest.param(
            PROMOTED,
            dataclasses.replace(SERVING_ONE, rejected={"2.0.0": ERRORS}),
            "should have been promoted",
            id="a good version rolled back",
        ),
    ],
)
def test_another_ending_is_not_as_told(act: acts.Act, seen: view.View, complaint: str) -> None:
    verdict = acts.judge(act, seen)

    assert verdict is not None
    assert not verdict.as_told
    assert complaint in verdict.sentence


def test_a_status_of_an_older_generation_is_not_ready() -> None:
    model = {
        "metadata": {"generation": 2},
        "status": {
            "observedGeneration": 1,
            "stable": {"version": "1.0.0"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": ""}],
        },
    }

    assert not view.read(model).ready
    assert view.read(model | {"metadata": {"generation": 1}}).ready


def test_an_act_names_its_version_in_the_claims_model() -> None:
    manifest = play.build_claims_model(SLOW, namespace="claims", uri="models:/claim-risk/9")

    assert manifest["metadata"] == {"name": settings.MODEL, "namespace": "claims"}
    assert manifest["spec"]["model"] == {
        "version": "3.0.0",
        "uri": "models:/claim-risk/9",
        "format": {"name": "sklearn"},
    }


def test_other_training_code_makes_other_versions() -> None:
    first, second = acts.chosen("abcd", "claims-training:1"), acts.chosen("abcd", "claims-training:2")

    assert acts.chosen("abcd", "claims-training:1") == first
    assert {act.version for act in first}.isdisjoint(act.version for act in second)
    assert first[2].stable_before == first[1].version
    assert first[2].version.startswith("3.0.0+")
