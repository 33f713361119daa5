"""The commands as a shell runs them, without a cluster: usage, help, exit codes, colours."""

import datetime as dt
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from kubectl_claims.cli import claims
from kubectl_claims.options import Duration

ROOT = Path(__file__).parents[3]


def kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "claims"}}],
        "current-context": "here",
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", sorted(claims.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(claims, [name, "--help"])

    assert result.exit_code == 0
    assert f"kubectl claims {name}" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["promot"], "No such command", id="no-such-command"),
        pytest.param(["get"], "Missing argument 'NAME'", id="no-name"),
        pytest.param(["get", "x", "-o", "xml"], "'xml' is not one of", id="no-such-form"),
        pytest.param(["get", "x", "--watch", "-o", "json"], "kubectl get clm x -o json --watch", id="watch-as-json"),
        pytest.param(["wait", "x"], "Missing option '--for'", id="no-goal"),
        pytest.param(["wait", "x", "--for=done"], "write promoted, rolledback", id="no-such-goal"),
        pytest.param(["wait", "x", "--for=ready", "--timeout=10"], "for example 90s", id="time-without-unit"),
        pytest.param(["history", "x", "0"], "0 is not in the range", id="attempts-count-from-1"),
    ],
)
def test_what_cannot_be_understood_ends_with_2(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(claims, arguments)

    assert result.exit_code == 2
    assert sentence in result.output


def test_an_api_server_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "https://127.0.0.1:9")
    result = CliRunner().invoke(claims, ["get", "claim-risk", "--kubeconfig", str(config)])

    assert result.exit_code == 1
    assert result.output.startswith("error: the API server at https://127.0.0.1:9 cannot be reached: ")
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "there is no kubeconfig at", id="missing"),
        pytest.param("a: [", "cannot be used", id="no-yaml"),
        pytest.param("kind: Config\n", "cannot be used", id="empty"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    result = CliRunner().invoke(claims, ["list", "--kubeconfig", str(path)])

    assert result.exit_code == 1
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("30d", 2_592_000), ("0s", 0)]
)
def test_a_duration_has_units(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == dt.timedelta(seconds=seconds)


def test_a_duration_of_0_is_none() -> None:
    assert Duration().convert("0", None, None) is None


def test_a_duration_without_unit_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="write numbers with units"):
        Duration().convert("10", None, None)
