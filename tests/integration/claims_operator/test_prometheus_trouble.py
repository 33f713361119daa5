"""Rollouts judged over HTTP by a Prometheus that is well, stopped, slow, empty or wrong, on a real API server."""

import datetime as dt
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from played_cluster import Quality
from played_prometheus import EMPTY, PlayedPrometheus
from played_world import ANALYSIS, ROLLOUT, model
from prometheus_scene import TIMEOUT_SECONDS, Scene
from prometheus_server import scalar, success, vector

from claims_operator.core import queries

OVERDUE_SOON = {**ROLLOUT, "progressDeadline": "2m"}
SELDOM = {**ANALYSIS, "interval": "40s"}
"""Of the played time; a slow Prometheus costs real time at each look."""


async def test_a_good_version_is_promoted_and_a_bad_one_rolled_back(scene: Scene) -> None:
    await scene.at_the_first_step()
    await scene.world.run_until(lambda status: status.stable.version == "2.0.0" and not status.retiring)
    scene.world.traffic.qualities["3.0.0"] = Quality(failed=0.3)
    await scene.world.change(model=model(3, "3.0.0"))

    status = await scene.world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "ErrorsFailed"


# Trouble ------------------------------------------------------------------------------------------------------------

Change = Callable[[PlayedPrometheus], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong with Prometheus, and what the status says of it."""

    begin: Change
    reason: str
    words: str


async def stop(prometheus: PlayedPrometheus) -> None:
    await prometheus.stop()


async def slow_down(prometheus: PlayedPrometheus) -> None:
    assert prometheus.server is not None
    prometheus.server.delay_seconds = 600


async def set_its_clock_wrong(prometheus: PlayedPrometheus) -> None:
    prometheus.ahead_seconds = 7_200


def answering(wrong: Callable[[str], tuple[int, str] | None]) -> Change:
    async def change(prometheus: PlayedPrometheus) -> None:
        prometheus.wrong = wrong

    return change


async def mend(prometheus: PlayedPrometheus) -> None:
    """Let it be well again, whatever was wrong."""
    prometheus.wrong, prometheus.ahead_seconds = lambda _: None, 0.0
    await prometheus.stop()
    await prometheus.start()


def nothing_scraped(query: str) -> tuple[int, str] | None:
    return None if query == queries.CLOCK else success(EMPTY)


def nothing_but_nan(query: str) -> tuple[int, str] | None:
    if not query.startswith("{__name__=~"):
        return None
    labels = {"__name__": queries.HTTP_ANSWERS, queries.CLUSTER_LABEL: "httproute/a/b/rule/1/backend/0"}
    return success({"resultType": "matrix", "result": [{"metric": labels, "values": [[1, "NaN"]]}]})


def other_buckets(query: str) -> tuple[int, str] | None:
    if query != queries.latency_edges():
        return None
    return success(vector(({"le": "100"}, (1, "1")), ({"le": "500"}, (1, "1")), ({"le": "+Inf"}, (1, "1"))))


def refused(_query: str) -> tuple[int, str]:
    return 503, json.dumps({"status": "error", "errorType": "unavailable", "error": "the TSDB is not ready"})


TROUBLES = {
    "stopped": Trouble(begin=stop, reason="AnalysisError", words="cannot be reached"),
    "slow": Trouble(begin=slow_down, reason="AnalysisError", words=f"did not answer within {TIMEOUT_SECONDS:g} s"),
    "empty": Trouble(
        begin=answering(nothing_scraped), reason="NoData", words="Prometheus has no requests from the gateway yet"
    ),
    "NaN": Trouble(
        begin=answering(nothing_but_nan), reason="NoData", words="Prometheus has no requests from the gateway yet"
    ),
    "a web page": Trouble(
        begin=answering(lambda _: (200, "<html>Sign in</html>")),
        reason="AnalysisError",
        words="did not answer as Prometheus does: HTTP 200 <html>Sign in</html>",
    ),
    "not ready": Trouble(
        begin=answering(refused), reason="AnalysisError", words="refused the query time(): the TSDB is not ready"
    ),
    "a part of the data": Trouble(
        begin=answering(lambda _: success(scalar(1.0), warnings=["store 2 is down"])),
        reason="AnalysisError",
        words="warns that data may be missing or wrong: ['store 2 is down']",
    ),
    "a wrong clock": Trouble(
        begin=set_its_clock_wrong, reason="AnalysisError", words="has a clock that is 2:00:00 ahead of the operator's"
    ),
    "other buckets": Trouble(
        begin=answering(other_buckets),
        reason="AnalysisError",
        words="thresholdMilliseconds 250 is no edge of the gateway's latency buckets; use one of 100, 500",
    ),
}
every_trouble = pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())


@every_trouble
async def test_trouble_holds_the_rollout_says_why_and_is_over_when_it_is_over(scene: Scene, trouble: Trouble) -> None:
    before = await scene.at_the_first_step(analysis=SELDOM)
    await trouble.begin(scene.prometheus)

    await scene.world.run_until(lambda status: status.reason == trouble.reason and trouble.words in status.message)
    held = await scene.world.step()
    assert (held.candidate.weight, held.traffic, held.rejected) == (10, before.traffic, ())
    analysed = {condition.type: condition for condition in held.conditions}["Analysed"]
    assert (analysed.status, analysed.reason) == ("False", trouble.reason)
    assert {metric.verdict for metric in held.analysis} <= {"Error", "NoData", "Inconclusive"}

    await mend(scene.prometheus)
    await scene.world.run_until(lambda status: status.stable.version == "2.0.0")


@every_trouble
async def test_trouble_that_stays_ends_in_a_rollback_at_the_deadline(scene: Scene, trouble: Trouble) -> None:
    await scene.at_the_first_step(analysis=SELDOM, rollout=OVERDUE_SOON)
    await trouble.begin(scene.prometheus)

    status = await scene.world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "ProgressDeadlineExceeded"
    assert trouble.words in status.rejected[0].message
    assert status.stable.version == "1.0.0"
    candidate = [weight for seen in scene.world.gateway.history for weight in seen.values() if weight not in (100, 90)]
    assert candidate == [10]


async def test_clocks_that_are_minutes_apart_change_nothing(scene: Scene) -> None:
    scene.prometheus.ahead_seconds = 240
    await scene.at_the_first_step()
    promoted = await scene.world.run_until(lambda status: status.stable.version == "2.0.0")

    scene.prometheus.ahead_seconds = -240
    scene.world.traffic.qualities["3.0.0"] = Quality(failed=0.3)
    await scene.world.change(model=model(3, "3.0.0"))
    status = await scene.world.run_until(lambda status: status.state == "RolledBack")

    assert (promoted.rejected, [rejected.version for rejected in status.rejected]) == ((), ["3.0.0"])


async def test_numbers_that_grow_old_are_no_data_by_whichever_clock(scene: Scene) -> None:
    """The gateway is not scraped any more, and the clock of Prometheus is behind: its samples look no younger."""
    scene.prometheus.ahead_seconds = -240
    await scene.at_the_first_step(analysis={**SELDOM, "errors": {"maxRatio": "0.001", "margin": "0.0001"}})
    await scene.world.run_until(lambda status: status.reason == "Inconclusive")
    scene.prometheus.wrong = nothing_scraped
    stopped_at = scene.world.clock.now()

    status = await scene.world.run_until(lambda status: "has had no numbers from the gateway since" in status.message)

    assert status.reason == "NoData"
    assert scene.world.clock.now() - stopped_at < dt.timedelta(minutes=4), "by the other clock they were fresh"
