"""When passes are made."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from rollout_builders import KEY

from claims_operator.api.names import ObjectKey
from claims_operator.errors import ClusterUnavailable, InvalidSettings
from claims_operator.publishing import Metrics
from claims_operator.settings import Settings
from claims_operator.worker import Pass, Worker

OTHER = ObjectKey("claims", "claim-fraud")


class Passes:
    """Counts passes, and how many of one key are made at once."""

    def __init__(self, *, seconds: float = 0.0, failures: int = 0, result: Pass | None = None) -> None:
        self.made: list[ObjectKey] = []
        self.most_at_once = 0
        self._running: dict[ObjectKey, int] = {}
        self._seconds, self._failures, self._result = seconds, failures, result or Pass()

    async def __call__(self, key: ObjectKey) -> Pass:
        self._running[key] = self._running.get(key, 0) + 1
        self.most_at_once = max(self.most_at_once, self._running[key])
        try:
            await asyncio.sleep(self._seconds)
            self.made.append(key)
            if len(self.made) <= self._failures:
                raise ClusterUnavailable("the API server is away")
            return self._result
        finally:
            self._running[key] -= 1


def worker(passes: Passes, *, deadline_seconds: float = 5.0) -> Worker:
    return Worker(passes, Metrics(CollectorRegistry()), resync_seconds=100, deadline_seconds=deadline_seconds)


async def test_many_wakes_make_one_pass_and_a_wake_during_a_pass_makes_another() -> None:
    passes = Passes(seconds=0.05)
    working = worker(passes)
    for _ in range(5):
        working.wake(KEY)
    await asyncio.sleep(0.02)
    working.wake(KEY)
    await asyncio.sleep(0.2)
    await working.close()

    assert (passes.made, passes.most_at_once) == ([KEY, KEY], 1)


async def test_one_slow_claims_model_does_not_hold_up_another() -> None:
    passes = Passes(seconds=0.05)
    working = worker(passes)
    working.wake(KEY)
    working.wake(OTHER)
    await asyncio.sleep(0.09)
    await working.close()

    assert sorted(passes.made, key=str) == sorted([KEY, OTHER], key=str)


async def test_a_failure_is_tried_again_without_a_wake() -> None:
    passes = Passes(failures=1)
    working = worker(passes)
    working.wake(KEY)
    await asyncio.sleep(0.5)
    await working.close()

    assert len(passes.made) == 2


async def test_a_pass_that_hangs_is_given_up() -> None:
    passes = Passes(seconds=30)
    working = worker(passes, deadline_seconds=0.05)
    working.wake(KEY)
    await asyncio.sleep(0.1)
    working.wake(OTHER)
    await asyncio.sleep(0.1)
    await working.close()

    assert passes.made == []


async def test_a_pass_asks_for_the_next() -> None:
    passes = Passes(result=Pass(recheck_seconds=0.02))
    working = worker(passes)
    working.wake(KEY)
    await asyncio.sleep(0.2)
    await working.close()

    assert len(passes.made) > 3


async def test_what_is_gone_is_forgotten_until_it_is_woken_again() -> None:
    passes = Passes(result=Pass(is_gone=True))
    working = worker(passes)
    working.wake(KEY)
    await asyncio.sleep(0.02)
    working.wake(KEY)
    await asyncio.sleep(0.02)
    await working.close()

    assert passes.made == [KEY, KEY]


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment({"CLAIMS_HTTP_PORT": "9000", "CLAIMS_SETTLE_SECONDS": "0", "OTHER": "x"})

    assert (settings.http_port, settings.settle_seconds, settings.gateway_name) == (9000, 0.0, "claims")


def test_every_bad_setting_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as refusal:
        Settings.from_environment(
            {"CLAIMS_HTTP_PORT": "http", "CLAIMS_MLFLOW_URL": "mlflow:5000", "CLAIMS_DRAIN_SECONDS": "nan"}
        )

    assert [problem.partition("=")[0] for problem in refusal.value.problems] == [
        "CLAIMS_MLFLOW_URL",
        "CLAIMS_HTTP_PORT",
        "CLAIMS_DRAIN_SECONDS",
    ]
