"""Flags that make no sense are refused with a sentence."""

from pathlib import Path

import pytest

from claims_demo import settings


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    file = tmp_path / "kubeconfig"
    file.write_text("{}")
    return str(file)


def test_flags_go_before_the_environment(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMS_GATEWAY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLAIMS_MLFLOW_URL", "http://127.0.0.1:2")

    given = settings.parse(["--kubeconfig", kubeconfig, "--gateway-url", "http://127.0.0.1:3", "--acts", "a,b"])

    assert (given.gateway_url, given.mlflow_url) == ("http://127.0.0.1:3", "http://127.0.0.1:2")
    assert given.acts == "ab"
    assert given.hostname == "claim-risk-claims.claims.local"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--acts", "b"], "is not a beginning of a,b,c,d"),
        (["--rows", "0"], "is not a whole number from 1 to 100"),
        (["--requests-per-second", "0"], "is not above 0 and at most 100"),
        (["--outcome-share", "x"], "is not a number"),
        (["--kubeconfig", "missing"], "there is no file missing"),
    ],
)
def test_wrong_flags_are_refused(
    arguments: list[str], complaint: str, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        settings.parse(["--kubeconfig", kubeconfig, *arguments])

    assert complaint in capsys.readouterr().err
