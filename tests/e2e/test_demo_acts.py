"""The demo's acts on a running cluster, through the demo's own package.

The cluster is named by the environment (KUBECONFIG, CLAIMS_GATEWAY_URL and so on). The ClaimsModel lives in a
namespace of the tests, so that one a person left from `make demo` stays as it is.
"""

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from rich.console import Console

from claims_contract import labels
from claims_demo import cluster, play, settings, stage, waiting
from claims_demo.board import Board
from claims_demo.ledger import Ledger

NAMESPACE = "claims-e2e"
SYSTEM = "claims-system"
MIDDLE_WEIGHT = 30
"""The second step of act (b): the chaos begins here."""


@dataclasses.dataclass(kw_only=True)
class Run:
    """One run of the demo: what it shows, and what came of it."""

    given: settings.Settings
    board: Board = dataclasses.field(default_factory=lambda: Board(ledger=Ledger()))
    results: list[play.Result] = dataclasses.field(default_factory=list)

    async def perform(self) -> None:
        await stage.perform(self.given, self.board, Console(), self.results)

    def assert_as_told(self, letters: str) -> None:
        assert [(result.act.letter, result.verdict) for result in self.results if not result.verdict.as_told] == []
        assert [result.act.letter for result in self.results] == list(letters)
        assert [str(failure) for failure in self.board.ledger.failures] == []
        assert self.board.ledger.answered == self.board.ledger.sent > 1000


def run_of(letters: str) -> Run:
    return Run(given=settings.parse(["--namespace", NAMESPACE, "--acts", letters]))


@pytest.fixture(autouse=True)
async def _no_claims_model_is_left() -> AsyncIterator[None]:
    yield
    async with cluster.connect(run_of("a").given.kubeconfig, NAMESPACE) as kubernetes:
        await kubernetes.delete_claims_model(settings.MODEL, limit_seconds=180)


@pytest.mark.timeout(1200)
async def test_version_1_serves_and_a_better_version_2_is_promoted() -> None:
    run = run_of("ab")

    await run.perform()

    run.assert_as_told("ab")
    promotion = run.results[1].rollout
    assert promotion is not None
    assert promotion["status"]["result"] == "Promoted"
    assert [step["weight"] for step in promotion["status"]["steps"] if step["step"]] == [10, 30, 50]
    assert {each["metric"]: each["verdict"] for each in promotion["status"]["steps"][-1]["analysis"]} == {
        "errors": "Pass",
        "latency": "Pass",
        "accuracy": "Pass",
    }


@pytest.mark.timeout(300)
async def test_a_demo_that_is_stopped_says_so_and_leaves_the_stage_to_the_next() -> None:
    for _ in range(2):
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claims_demo", "--namespace", NAMESPACE, "--acts", "a"),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Where the tests run in the background of a shell, it has turned Ctrl-C off.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert demo.stdout is not None
        said = await demo.stdout.readuntil(b"Training version 1.0.0")
        demo.send_signal(signal.SIGINT)
        said += await demo.stdout.read()
        assert await demo.wait() == 130, said.decode()
        assert said.decode().rstrip().endswith("(a) version 1 is trained and serves: stopped by Ctrl-C")


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("turn", range(5))
async def test_all_four_acts_come_out_the_same_every_time(turn: int) -> None:
    run = run_of("abcd")

    await run.perform()

    run.assert_as_told("abcd")


Chaos = Callable[[cluster.Cluster], Awaitable[None]]


async def kill_operator(kubernetes: cluster.Cluster) -> None:
    await kill_all(kubernetes, SYSTEM, "app.kubernetes.io/component=operator")


async def kill_prometheus(kubernetes: cluster.Cluster) -> None:
    await kill_all(kubernetes, "monitoring", "app=prometheus")


async def kill_all(kubernetes: cluster.Cluster, namespace: str, selector: str) -> None:
    pods = await kubernetes.list_pods(selector, namespace)
    assert pods, f"no pod of {namespace} has the labels {selector}"
    for pod in pods:
        await kubernetes.delete_pod(pod.metadata.name, namespace, grace_seconds=0)


async def drain_a_model_pod(kubernetes: cluster.Cluster) -> None:
    """One pod of each revision goes, as when its node is drained."""
    await delete_a_pod_of_each_revision(kubernetes, grace_seconds=None)


async def kill_a_model_pod(kubernetes: cluster.Cluster) -> None:
    """One pod of each revision gets no time to drain."""
    await delete_a_pod_of_each_revision(kubernetes, grace_seconds=0)


async def delete_a_pod_of_each_revision(kubernetes: cluster.Cluster, *, grace_seconds: int | None) -> None:
    for pod in await a_pod_of_each_revision(kubernetes):
        await kubernetes.delete_pod(pod, grace_seconds=grace_seconds)


async def a_pod_of_each_revision(kubernetes: cluster.Cluster) -> list[str]:
    pods = await kubernetes.list_pods(f"{labels.MODEL}={settings.MODEL}")
    revisions = {pod.metadata.labels[labels.REVISION]: pod.metadata.name for pod in pods}
    assert len(revisions) == 2
    return list(revisions.values())


async def crash_a_model_container(kubernetes: cluster.Cluster) -> None:
    """The server of one pod of each revision dies, as when memory runs out; the pod stays and starts it again."""
    for pod in await a_pod_of_each_revision(kubernetes):
        servers = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if serves(pid, pod)]
        assert servers, f"no process of this machine serves in pod {pod}"
        for pid in servers:
            os.kill(pid, signal.SIGKILL)


def serves(pid: int, pod: str) -> bool:
    """Whether a process of this machine is the model server of a pod."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return f"HOSTNAME={pod}".encode() in environment and b"claims_runtime" in command


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "chaos", [kill_operator, kill_prometheus, drain_a_model_pod, kill_a_model_pod, crash_a_model_container]
)
async def test_chaos_in_the_middle_of_a_rollout_changes_nothing(chaos: Chaos) -> None:
    run = run_of("ab")

    async def look() -> tuple[bool | None, str]:
        seen = run.board.seen
        begun = seen.stable is not None and seen.weight_percent == MIDDLE_WEIGHT
        return True if begun else None, f"candidate {seen.candidate} at {seen.weight_percent} %"

    async with asyncio.TaskGroup() as group:
        group.create_task(run.perform())
        await waiting.wait_for("the middle of act (b)", look, limit_seconds=900)
        async with cluster.connect(run.given.kubeconfig, NAMESPACE) as kubernetes:
            await chaos(kubernetes)

    run.assert_as_told("ab")
