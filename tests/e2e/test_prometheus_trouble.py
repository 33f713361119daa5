"""The cluster's own Prometheus breaks in the middle of a rollout, through the demo's own package.

The cluster is named as for the demo's acts. Prometheus has to be the Deployment ``prometheus`` in ``monitoring``, with
its configuration in the ConfigMap of the same name and reloads allowed over HTTP, as on the local cluster.
"""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import yaml
from kubernetes.aio import client
from rich.console import Console

from claims_contract import labels
from claims_demo import cluster, play, settings, stage, view, waiting
from claims_demo.board import Board
from claims_demo.ledger import Ledger

NAMESPACE = "claims-e2e"
MONITORING = "monitoring"
PROMETHEUS = "prometheus"
HOLD_SECONDS = 30.0
"""A hold is watched for so long: several looks, and longer than any step of the demo takes."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1500)]


@dataclasses.dataclass(kw_only=True)
class Rollout:
    """Acts (a) and (b) under way: version 2 goes up by steps."""

    given: settings.Settings
    kubernetes: cluster.Cluster
    board: Board
    results: list[play.Result]
    performing: asyncio.Task[None]

    async def reached(self, what: str, is_so: Callable[[view.View], bool], *, limit_seconds: float) -> view.View:
        """Wait until the ClaimsModel is so; fail at once where the demo failed."""

        async def look() -> tuple[view.View | None, str]:
            if self.performing.done():
                self.performing.result()
            seen = self.board.seen
            return seen if is_so(seen) else None, f"{seen.candidate} at {seen.weight_percent} %, {seen.reason}"

        return await waiting.wait_for(what, look, limit_seconds=limit_seconds, interval_seconds=0.5)

    async def holds(self, reason: str, words: str) -> None:
        """Wait until it says why it holds, then see that nothing moves."""
        held = await self.reached(
            f"a hold with {reason}: {words}",
            lambda seen: seen.reason.startswith(f"{reason}: ") and words in seen.reason,
            limit_seconds=300,
        )
        end = asyncio.get_running_loop().time() + HOLD_SECONDS
        while asyncio.get_running_loop().time() < end:
            seen = self.board.seen
            assert (seen.candidate, seen.weight_percent) == (held.candidate, held.weight_percent), seen.reason
            assert seen.rejected == held.rejected
            await asyncio.sleep(1)

    async def is_promoted(self) -> None:
        await self.performing
        assert [(result.act.letter, result.verdict.as_told) for result in self.results] == [("a", True), ("b", True)]
        self.nothing_was_lost()

    async def is_rolled_back(self, reason: str, words: str) -> None:
        """The demo expects a promotion, and tells that it came otherwise."""
        await self.performing
        sentence = self.results[-1].verdict.sentence
        assert f"was rolled back, and should have been promoted. {reason}: " in sentence
        assert words in sentence
        self.nothing_was_lost()

    def nothing_was_lost(self) -> None:
        assert [str(failure) for failure in self.board.ledger.failures] == []

    async def change_analysis(self, **fields: Any) -> None:
        await self._change({"analysis": fields})

    async def be_overdue_after(self, duration: str) -> None:
        await self._change({"rollout": {"progressDeadline": duration}})

    async def _change(self, spec: dict[str, Any]) -> None:
        objects = client.CustomObjectsApi(self.kubernetes.api)
        await objects.patch_namespaced_custom_object(
            labels.GROUP,
            labels.VERSION,
            NAMESPACE,
            "claimsmodels",
            settings.MODEL,
            {"spec": spec},
            field_validation="Strict",
            _content_type="application/merge-patch+json",
            _request_timeout=20,
        )


async def scale_prometheus(kubernetes: cluster.Cluster, replicas: int) -> None:
    """Set its replicas and wait until they are as many."""
    apps = client.AppsV1Api(kubernetes.api)
    await apps.patch_namespaced_deployment_scale(
        PROMETHEUS, MONITORING, {"spec": {"replicas": replicas}}, _request_timeout=20
    )

    async def look() -> tuple[bool | None, str]:
        pods = await kubernetes.list_pods("app=prometheus", MONITORING)
        ready = [pod for pod in pods if any(status.ready for status in pod.status.container_statuses or [])]
        done = len(pods) == replicas == len(ready)
        return True if done else None, f"{len(ready)} of {len(pods)} pods of Prometheus are ready"

    await waiting.wait_for(f"{replicas} pods of Prometheus", look, limit_seconds=180)


async def configure_prometheus(kubernetes: cluster.Cluster, url: str, text: str) -> None:
    """Write its configuration, and wait until it has taken it in."""
    core = client.CoreV1Api(kubernetes.api)
    change = {"data": {"prometheus.yaml": text}}
    await core.patch_namespaced_config_map(PROMETHEUS, MONITORING, change, _request_timeout=20)
    wanted = {job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]}

    async def look() -> tuple[bool | None, str]:
        timeout = aiohttp.ClientTimeout(total=20)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                async with session.post(f"{url}/-/reload") as reloaded:
                    reloaded.raise_for_status()
                async with session.get(f"{url}/api/v1/status/config") as answer:
                    live = yaml.safe_load((await answer.json())["data"]["yaml"])
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, str(error)
        jobs = {job["job_name"] for job in live["scrape_configs"]}
        return True if jobs == wanted else None, f"it scrapes {sorted(jobs)}"

    # The kubelet brings a changed ConfigMap to a pod within a minute or two.
    await waiting.wait_for("Prometheus to take its configuration in", look, limit_seconds=240, interval_seconds=5)


async def read_configuration(kubernetes: cluster.Cluster) -> str:
    found = await client.CoreV1Api(kubernetes.api).read_namespaced_config_map(
        PROMETHEUS, MONITORING, _request_timeout=20
    )
    return str(found.data["prometheus.yaml"])


@pytest.fixture
async def rollout() -> AsyncIterator[Rollout]:
    """Version 2 at its first step. Afterwards Prometheus is what it was, and the ClaimsModel is gone."""
    given = settings.parse(["--namespace", NAMESPACE, "--acts", "ab"])
    board, results = Board(ledger=Ledger()), list[play.Result]()
    async with cluster.connect(given.kubeconfig, NAMESPACE) as kubernetes:
        configuration = await read_configuration(kubernetes)
        performing = asyncio.create_task(stage.perform(given, board, Console(), results))
        under_way = Rollout(given=given, kubernetes=kubernetes, board=board, results=results, performing=performing)
        try:
            await under_way.reached(
                "the first step of act (b)",
                lambda seen: seen.stable is not None and seen.weight_percent == 10,
                limit_seconds=900,
            )
            yield under_way
        finally:
            performing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await performing
            await scale_prometheus(kubernetes, 1)
            if await read_configuration(kubernetes) != configuration:
                await configure_prometheus(kubernetes, given.prometheus_url, configuration)
            await kubernetes.delete_claims_model(settings.MODEL, limit_seconds=180)


async def test_a_rollout_holds_while_prometheus_is_away_and_is_promoted_when_it_is_back(rollout: Rollout) -> None:
    await scale_prometheus(rollout.kubernetes, 0)

    await rollout.holds("AnalysisError", "Prometheus at ")
    await scale_prometheus(rollout.kubernetes, 1)

    await rollout.is_promoted()


async def test_a_prometheus_that_stays_away_ends_in_a_rollback_at_the_deadline(rollout: Rollout) -> None:
    await scale_prometheus(rollout.kubernetes, 0)
    await rollout.be_overdue_after("4m")

    await rollout.is_rolled_back("ProgressDeadlineExceeded", "Prometheus at ")


async def test_a_gateway_that_is_not_scraped_any_more_is_no_data(rollout: Rollout) -> None:
    configuration = yaml.safe_load(await read_configuration(rollout.kubernetes))
    configuration["scrape_configs"] = [
        job for job in configuration["scrape_configs"] if job["job_name"] != "claims-gateway"
    ]
    # It takes minutes until this reaches Prometheus: the rollout must not be over by then.
    await rollout.change_analysis(errors={"maxRatio": "0.02", "margin": "0.0001"})
    await configure_prometheus(rollout.kubernetes, rollout.given.prometheus_url, json.dumps(configuration))

    await rollout.holds("NoData", "Prometheus has had no numbers from the gateway since")


async def test_an_address_that_the_operator_was_not_told_holds_until_it_is_taken_back(rollout: Rollout) -> None:
    await rollout.change_analysis(prometheus={"address": "http://prometheus.example.com:9090"})

    await rollout.holds("AnalysisError", "the operator may not ask http://prometheus.example.com:9090")
    await rollout.change_analysis(prometheus=None)

    await rollout.is_promoted()


async def test_an_own_metric_that_fails_rolls_back(rollout: Rollout) -> None:
    metric = {
        "name": "of-our-own",
        "query": 'vector(2) and on() count(up{job="claims-gateway"})',
        "interval": "5s",
        "successCondition": {"max": "1"},
        "failureCondition": {"above": "1.5"},
        "failureLimit": 4,
    }
    await rollout.change_analysis(metrics=[metric])

    await rollout.is_rolled_back("MetricFailed", "of-our-own is 2: above 1.5, 4 times in a row")


async def test_an_own_query_with_several_series_holds_and_is_shown(rollout: Rollout) -> None:
    metric = {"name": "of-our-own", "query": 'up{namespace!="{{name}}"}', "successCondition": {"max": "1"}}
    await rollout.change_analysis(metrics=[metric])

    await rollout.holds(
        "AnalysisError",
        f'series and must come to one, by sum() or max() for example: up{{namespace!="{settings.MODEL}"}}',
    )
    await rollout.change_analysis(metrics=[])

    await rollout.is_promoted()
