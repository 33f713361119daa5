"""The plan is the operator's; the command reads the file and writes the answer."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from claims_operator.core import planning
from kubectl_claims.cli import claims

ACCURATE = """
apiVersion: claimsmodel.io/v1alpha1
kind: ClaimsModel
metadata: {name: claim-risk}
spec:
  model: {version: 2.1.0, uri: "models:/claim-risk/7", format: {name: sklearn}}
  rollout: {steps: [{weight: 50, minDuration: 2m, minRequests: 10}]}
  analysis: {interval: 20s, confidence: "0.9", accuracy: {margin: "0.05"}}
"""
WORK = ("--requests-per-second", "20", "--wrong-share", "0.12")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(claims, ["plan", *arguments])
    return result.exit_code, result.output


def test_the_file_says_margin_steps_confidence_and_interval(tmp_path: Path) -> None:
    path = tmp_path / "claim-risk.yaml"
    path.write_text(ACCURATE, encoding="utf-8")
    code, output = run(str(path), *WORK, "--labelled-share", "0.3", "--label-delay", "1h", "-o", "json")
    expected = planning.plan(
        margin=0.05,
        rate=0.12,
        workload=planning.Workload(requests_per_second=20, labelled_share=0.3, label_delay_seconds=3600),
        steps=[planning.PlannedStep(weight=0.5, seconds=120, min_requests=10)],
        confidence=0.9,
        interval_seconds=20,
    )

    assert code == 0
    answer = json.loads(output)
    assert [case["candidate"] for case in answer] == [
        "as good as stable",
        "worse by 5 points",
        "worse by 12.5 points",
    ]
    assert [case["seconds"] for case in answer] == [
        round(case.seconds) for case in (expected.equal, *expected.worse.values())
    ]


def test_without_a_file_the_defaults_are_planned() -> None:
    code, output = run("--margin", "0.05", *WORK)

    assert code == 0
    lines = output.splitlines()
    assert lines[0].split() == ["CANDIDATE", "ENDS", "AFTER", "CANDIDATE", "REQUESTS", "OUTCOMES"]
    assert lines[1].startswith("as good as stable")
    assert "Promoted" in lines[1]
    assert "RolledBack" in lines[3]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(WORK, "write --margin, or name a file with spec.analysis.accuracy", id="no-margin"),
        pytest.param(("--margin", "0.02"), "Missing option '--requests-per-second'", id="no-pace"),
        pytest.param(("--margin", "2", *WORK), "2.0 is not in the range", id="margin-of-two"),
        pytest.param(("--margin", "0.02", *WORK[:2], "--wrong-share", "0"), "0.0 is not in the range", id="no-error"),
    ],
)
def test_what_cannot_be_planned_ends_with_2(arguments: tuple[str, ...], sentence: str) -> None:
    code, output = run(*arguments)

    assert code == 2
    assert sentence in output


def test_a_file_that_would_be_refused_is_not_planned(tmp_path: Path) -> None:
    path = tmp_path / "claim-risk.yaml"
    path.write_text(ACCURATE.replace("0.9", "0.1"), encoding="utf-8")
    code, output = run(str(path), *WORK)

    assert code == 1
    assert 'would be refused: spec.analysis.confidence: Invalid value: "0.1": confidence is at least 0.8' in output
