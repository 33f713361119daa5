"""Counters that fall: by a replica of Prometheus that is behind, or by a gateway pod that began again."""

import datetime as dt

from claims_operator.core.counters import GatewayCounters
from claims_operator.core.limits import Window
from claims_operator.core.replicas import without_lagging
from claims_operator.core.snapshot import Backend, Counter, Snapshot

START = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
WINDOW = Window(
    namespace="claims", name="claim-risk", attempt=2, epoch=1, stable_slot=0, candidate_slot=1,
    stable_revision="aaa", candidate_revision="bbb", route_key="aaa,bbb", not_before=START,
)  # fmt: skip
REST = 1


class Looks:
    """Looks at two gateway pods, taken in one after another."""

    def __init__(self) -> None:
        self.state = GatewayCounters()
        self.counted = 0.0

    def look(self, seconds: float, **pods: tuple[float, float]) -> float:
        """Take in what each pod shows of stable's good and bad answers; return what it adds."""
        at = START.timestamp() + seconds
        backend = Backend(namespace="claims", route="claim-risk", rule=REST, slot=0)
        counters = tuple(
            Counter(kind=kind, instance=pod, value=value, at=at)
            for pod, values in pods.items()
            for kind, value in zip(("http:2", "http:5"), values, strict=True)
        )
        snapshot = without_lagging(Snapshot(collected_at=START, gateway={backend: counters}), WINDOW, self.state)
        readings = [(REST, 0, counter) for counter in snapshot.gateway[backend]]
        self.state, deltas = self.state.advance(WINDOW.route_key, readings, not_before=START.timestamp())
        return sum(deltas.values())


def test_a_replica_that_is_a_little_behind_adds_nothing_and_takes_nothing_away() -> None:
    looks = Looks()
    looks.look(0, one=(10_000, 20))
    assert looks.look(15, one=(10_100, 20)) == 100
    # Dated later, read earlier.
    assert looks.look(16, one=(10_090, 20)) == 0
    assert looks.look(30, one=(10_200, 21)) == 101


def test_all_of_a_pod_waits_so_that_its_counters_stay_of_one_scrape() -> None:
    looks = Looks()
    looks.look(0, one=(10_000, 20))
    assert looks.look(15, one=(9_990, 25)) == 0
    assert looks.look(30, one=(10_100, 26)) == 106


def test_other_pods_are_counted_on() -> None:
    looks = Looks()
    looks.look(0, one=(10_000, 20), two=(500, 0))
    assert looks.look(15, one=(9_990, 20), two=(550, 0)) == 50


def test_a_restart_is_a_reset_at_once() -> None:
    looks = Looks()
    looks.look(0, one=(10_000, 20))
    assert looks.look(15, one=(30, 1)) == 31


def test_a_restart_that_looks_like_a_lag_is_a_reset_after_a_minute() -> None:
    looks = Looks()
    looks.look(0, one=(10, 2))
    assert looks.look(15, one=(9, 0)) == 0
    assert looks.look(75, one=(40, 0)) == 30


def test_after_a_change_of_the_route_there_is_nothing_to_compare_with() -> None:
    looks = Looks()
    looks.state = GatewayCounters(route_key="before", last={"1/0/http:2/one": (10_000.0, START.timestamp())})
    snapshot = Snapshot(
        collected_at=START,
        gateway={
            Backend(namespace="claims", route="claim-risk", rule=REST, slot=0): (
                Counter(kind="http:2", instance="one", value=9_990, at=START.timestamp() + 15),
            )
        },
    )
    assert without_lagging(snapshot, WINDOW, looks.state) is snapshot
