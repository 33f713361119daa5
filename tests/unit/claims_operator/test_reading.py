"""From series to counters: gateway pods that are seen once, twice, or by replicas that lag behind."""

from typing import Any

import pytest
from prometheus_server import gateway_series

from claims_operator.core import queries
from claims_operator.core.counters import GatewayCounters
from claims_operator.core.reading import Series, read_gateway
from claims_operator.core.snapshot import Counter

REPLICA_LABELS = frozenset({"prometheus_replica", "__replica__"})


def answered(value: float, at: float, *, response_class: str = "2", **labels: str) -> Series:
    """Return a sample of HTTP answers."""
    name = queries.HTTP_ANSWERS
    return Series(labels=gateway_series(name, envoy_response_code_class=response_class, **labels), value=value, at=at)


def by_status(value: float, at: float, *, status: str = "0", **labels: str) -> Series:
    return Series(labels={**gateway_series("", grpc_status=status, **labels), "__name__": ""}, value=value, at=at)


def read(*counters: Series, grpc: tuple[Series, ...] = ()) -> tuple[Counter, ...]:
    """Return what is counted at the one backend of the tests."""
    found = read_gateway(counters, grpc, REPLICA_LABELS)
    return tuple(counter for its in found.values() for counter in its)


TWICE: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "by two scrape jobs": ({"job": "claims-gateway", "pod": "envoy-1"}, {"job": "all-pods", "app": "envoy"}),
    "by two jobs that both name the pod": (
        {"job": "one", "pod": "envoy-1", "namespace": "infra"},
        {"job": "two", "pod": "envoy-1", "namespace": "infra", "instance": "envoy-1"},
    ),
    "by two replicas of Prometheus": ({"prometheus_replica": "a"}, {"prometheus_replica": "b"}),
    "by two replicas and no address": (
        {"instance": "", "prometheus_replica": "a"},
        {"instance": "", "prometheus_replica": "b"},
    ),
}


@pytest.mark.parametrize(("first", "second"), TWICE.values(), ids=TWICE.keys())
@pytest.mark.parametrize("newest_is_second", [True, False])
def test_a_pod_that_is_seen_twice_counts_once_as_the_newest_scrape_has_it(
    first: dict[str, str], second: dict[str, str], *, newest_is_second: bool
) -> None:
    old, new = (first, second) if newest_is_second else (second, first)
    series = [
        answered(100, 50, **old),
        answered(3, 50, response_class="5", **old),
        answered(108, 60, **new),
        answered(4, 60, response_class="5", **new),
    ]
    # Prometheus has no empty labels.
    series = [Series(labels={k: v for k, v in one.labels.items() if v}, value=one.value, at=one.at) for one in series]
    found = read(*series)
    assert sorted((counter.kind, counter.value, counter.at) for counter in found) == [
        ("http:2", 108, 60),
        ("http:5", 4, 60),
    ]


def test_the_name_of_a_pod_is_the_same_whoever_saw_it_last() -> None:
    one = answered(100, 50, job="claims-gateway", pod="envoy-1", namespace="infra")
    other = answered(108, 60, job="all-pods")
    [early], [late] = read(one, answered(90, 40, job="all-pods")), read(one, other)
    assert early.instance == late.instance


@pytest.mark.parametrize(
    "labels",
    [{"instance": "10.1.0.8:19001"}, {"pod": "envoy-2", "instance": "10.1.0.8:19001"}],
    ids=["by address", "by name"],
)
def test_two_pods_are_two(labels: dict[str, str]) -> None:
    found = read(answered(100, 50), answered(5, 51, **labels))
    assert sorted(counter.value for counter in found) == [5, 100]
    assert len({counter.instance for counter in found}) == 2


def test_labels_that_no_replica_has_tell_pods_apart_where_they_have_no_name() -> None:
    def unnamed(**labels: str) -> Series:
        series = answered(7, 50, **labels)
        return Series(labels={k: v for k, v in series.labels.items() if k != "instance"}, value=7, at=50)

    assert len(read(unnamed(zone="a"), unnamed(zone="b"))) == 2


def test_grpc_answers_have_the_time_of_the_scrape_that_they_are_of() -> None:
    found = read(
        answered(100, 50),
        answered(60, 55, pod="envoy-2", instance="10.1.0.8:19001"),
        grpc=(
            by_status(40, 70),
            by_status(2, 70, status="14"),
            by_status(9, 70, pod="envoy-2", instance="10.1.0.8:19001"),
        ),
    )
    assert sorted((counter.kind, counter.value, counter.at) for counter in found) == [
        ("grpc:0", 9, 55),
        ("grpc:0", 40, 50),
        ("grpc:14", 2, 50),
        ("http:2", 60, 55),
        ("http:2", 100, 50),
    ]


def test_grpc_answers_of_a_target_that_counts_no_http_answers_are_not_believed() -> None:
    assert [counter.kind for counter in read(answered(100, 50), grpc=(by_status(40, 70, rule=0),))] == ["http:2"]  # type: ignore[arg-type]


def test_replicas_in_turn_are_no_resets() -> None:
    """Two replicas behind one address: each look is answered by the other, ten seconds apart."""
    state, total = GatewayCounters(), 0.0
    seen: list[tuple[float, float]] = [(1000, 100), (990, 95), (1010, 110), (1005, 105), (1020, 120)]
    for value, at in seen:
        [counter] = read(answered(value, at))
        state, deltas = state.advance("route", [(1, 0, counter)], not_before=0.0)
        total += sum(deltas.values())
    assert total == 20


def test_foreign_and_broken_series_are_left_out() -> None:
    def changed(**labels: Any) -> Series:
        return Series(labels={**answered(1, 1).labels, **labels}, value=1, at=1)

    assert read(changed(envoy_cluster_name="prometheus_stats"), changed(__name__="up")) == ()
    assert read(changed(__name__=queries.REQUEST_TIME_BUCKET, le="wide")) == ()
    assert [one.kind for one in read(answered(1, 1), grpc=(by_status(1, 1, status="x"),))] == ["http:2"]
