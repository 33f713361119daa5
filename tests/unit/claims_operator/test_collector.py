"""Snapshots that ClaimsModels share: who is looked for, and how often."""

import asyncio
import datetime as dt
from dataclasses import dataclass, field

from claims_operator.collector import FORGET_SECONDS, LONGEST_LIST, Collector
from claims_operator.core.own_metrics import Answer
from claims_operator.core.snapshot import Scope, Snapshot

NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)


@dataclass
class Source:
    """Remembers what it was asked for; a look takes ``seconds``."""

    seconds: float = 0.0
    time: float = 0.0
    scopes: list[Scope] = field(default_factory=list)

    async def collect(self, scope: Scope) -> Snapshot:
        self.scopes.append(scope)
        await asyncio.sleep(0)
        self.time += self.seconds
        return Snapshot(collected_at=NOW)

    async def ask(self, query: str) -> Answer:
        raise AssertionError(query)

    async def close(self) -> None:
        pass

    def collector(self) -> Collector:
        return Collector(self, least_seconds=5, monotonic=lambda: self.time)


def scope(*names: str, thresholds: tuple[int, ...] = (250,)) -> Scope:
    return Scope(models=frozenset(("claims", name) for name in names), thresholds=frozenset(thresholds))


async def test_a_snapshot_is_shared_while_it_is_fresh_and_covers_who_asks() -> None:
    source = Source()
    collector = source.collector()
    for source.time, name, threshold in (
        (0, "a", 250), (1, "a", 250), (2, "b", 250), (3, "a", 250), (4, "a", 500), (8, "b", 250), (9, "a", 500),
    ):  # fmt: skip
        await collector.snapshot("claims", name, threshold)

    both = (250, 500)
    assert source.scopes == [
        scope("a"), scope("a", "b"), scope("a", "b", thresholds=both), scope("a", "b", thresholds=both),
    ]  # fmt: skip


async def test_whoever_looks_looks_for_all_who_wait() -> None:
    source = Source()
    collector = source.collector()

    await asyncio.gather(*(collector.snapshot("claims", name, 250) for name in "abcdef"))

    assert source.scopes == [scope("a"), scope(*"abcdef")]


async def test_who_does_not_ask_any_more_is_not_looked_for() -> None:
    source = Source()
    collector = source.collector()
    await collector.snapshot("claims", "a", 500)
    source.time = FORGET_SECONDS + 1

    await collector.snapshot("claims", "b", 250)

    assert source.scopes[-1] == scope("b")


async def test_a_long_list_is_all_there_are() -> None:
    source = Source()
    collector = source.collector()
    for number in range(LONGEST_LIST + 1):
        source.time = 0.0
        await collector.snapshot("claims", f"model-{number}", 250)
    looks = len(source.scopes)

    await collector.snapshot("claims", "another", 250)

    assert source.scopes[-1] == Scope(models=None, thresholds=frozenset({250}))
    assert len(source.scopes) == looks


async def test_a_look_that_takes_long_is_not_repeated_soon() -> None:
    source = Source(seconds=10)
    collector = source.collector()
    await collector.snapshot("claims", "a", 250)
    for source.time, looks in ((29.0, 1), (30.0, 2)):
        await collector.snapshot("claims", "a", 250)
        assert len(source.scopes) == looks


def test_lower_edges_are_read_unless_all_models_are() -> None:
    few, all_of_them = scope("a", thresholds=(100, 250)), Scope(models=None, thresholds=frozenset({100, 250}))
    edges = (0.5, 50, 100, 250, 500)
    assert [edge for edge in edges if few.reads(edge)] == [0.5, 50, 100, 250]
    assert [edge for edge in edges if all_of_them.reads(edge)] == [100, 250]
