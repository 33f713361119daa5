"""Outcomes are handed to the feedback service's own command, with its options and its exit codes."""

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from kubectl_claims.cli import claims

ROOT = Path(__file__).parents[3]


def test_the_loader_gets_the_arguments_and_gives_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    feedback, contract = ROOT / "runtimes/feedback", ROOT / "runtimes/contract"
    program = tmp_path / "claims-feedback-outcomes"
    program.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={feedback}:{contract}\nexec {ROOT}/.venv/feedback/bin/python'
        ' -m claims_feedback.outcomes "$@"\n',
        encoding="utf-8",
    )  # fmt: skip
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    helped = CliRunner().invoke(claims, ["outcomes", "load", "--help"])
    assert helped.exit_code == 0
    assert "usage: claims-feedback-outcomes load" in capfd.readouterr().out
    refused = CliRunner().invoke(claims, ["outcomes", "load", str(tmp_path / "nothing.csv"), "--no-such-option"])

    assert refused.exit_code == 2
    assert "--no-such-option" in capfd.readouterr().err


def test_without_the_loader_the_way_to_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(claims, ["outcomes", "load", "outcomes.csv"])

    assert result.exit_code == 1
    assert result.output == (
        "error: there is no claims-feedback-outcomes here, which loads outcomes; it comes with claims-feedback\n"
    )
