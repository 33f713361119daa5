"""The commands as a shell runs them, without a cluster: usage, help, exit codes, colours."""

import datetime as dt
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from kubectl_claims.cli import claims
from kubectl_claims.completion import for_kubectl
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_it_can_read(shell: str) -> None:
    result = CliRunner().invoke(claims, ["completion", shell])

    assert result.exit_code == 0
    assert "_KUBECTL_CLAIMS_COMPLETE" in result.output
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=result.output, text=True, check=True)


def completed(*words: str) -> list[str]:
    return for_kubectl(claims, list(words)).splitlines()


def test_kubectl_is_told_commands_options_and_files() -> None:
    assert [line.partition("\t")[0] for line in completed("ex")] == ["explain", ":4"]
    assert completed("get", "x", "-o", "j") == ["json", ":4"]
    assert [line.partition("\t")[0] for line in completed("list", "--all")] == ["--all-namespaces", ":4"]
    assert completed("lint", "") == [":0"]


def test_where_no_cluster_answers_no_name_is_offered(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "https://127.0.0.1:9")

    assert completed("get", "--kubeconfig", str(config), "") == [":4"]


def on_a_terminal(**variables: str) -> str:
    """Return what ``get`` writes to a terminal."""
    control, terminal = pty.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'runtimes/contract'}:{ROOT / 'tests'}",
        "TERM": "xterm",
        **variables,
    }
    code = (
        "from unit.kubectl_claims.scenes import scene_of; from rollout_builders import NOW, at_rest\n"
        "from kubectl_claims import tables, tree; tables.show(tree.tree(scene_of(at_rest()), NOW, wide=False))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=terminal, stdin=terminal)
    os.close(terminal)
    seen = b""
    try:
        while part := os.read(control, 65536):
            seen += part
    except OSError:  # So Linux says that the process has closed the terminal.
        pass
    os.close(control)
    assert process.wait() == 0
    return seen.decode()


def test_a_terminal_gets_colours_unless_told_otherwise() -> None:
    green = "\x1b[32m"

    assert green in on_a_terminal()
    assert green not in on_a_terminal(NO_COLOR="1")
    assert "Serving" in on_a_terminal(NO_COLOR="1")
