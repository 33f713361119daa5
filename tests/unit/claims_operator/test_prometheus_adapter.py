"""The collector against a real HTTP server that answers as Prometheus does."""

import asyncio
import contextlib
import datetime as dt
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_server import (
    Answer,
    answering,
    gateway_series,
    matrix,
    outcome_series,
    running,
    scalar,
    success,
    vector,
)

from claims_operator.adapters.prometheus import LARGEST_ANSWER_BYTES, Prometheus
from claims_operator.core import credentials, own_metrics, queries
from claims_operator.core.snapshot import INFINITE_EDGE, Backend, Counter, OutcomeTotal, Scope, Snapshot

SCOPE = Scope(models=None, thresholds=frozenset({250}))
START = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)


@contextlib.asynccontextmanager
async def asking(address: str, **options: Any) -> AsyncIterator[Prometheus]:
    prometheus = Prometheus(address, **options)
    try:
        yield prometheus
    finally:
        await prometheus.close()


async def collected(answer: Answer, **options: Any) -> Snapshot:
    async with running(answer) as server, asking(server.address, **options) as prometheus:
        return await prometheus.collect(SCOPE)


def answers_by_status(status: str, *, rule: int = 0, slot: int = 0) -> dict[str, str]:
    """Return the labels of a sum over the methods."""
    labels = gateway_series("", rule=rule, slot=slot, grpc_status=status)
    del labels["__name__"]
    return labels


def kinds(counters: tuple[Counter, ...]) -> dict[str, tuple[float, float]]:
    return {counter.kind: (counter.value, counter.at) for counter in counters}


async def test_counters_come_raw_with_the_time_of_their_scrape_by_backend() -> None:
    rows = matrix(
        (
            gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="2"),
            [(100.5, "10"), (115.5, "14")],
        ),
        (gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="5"), [(115.5, "1")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="250"), [(115.5, "12")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="+Inf"), [(115.5, "15")]),
        (gateway_series("envoy_cluster_upstream_rq_tx_reset"), [(115.5, "7")]),
        (gateway_series("envoy_cluster_upstream_cx_destroy_local_with_active_rq"), [(115.5, "8")]),
        (gateway_series(queries.HTTP_ANSWERS, rule=0, slot=1, envoy_response_code_class="2"), [(115.5, "9")]),
    )
    statuses = vector((answers_by_status("14", rule=0, slot=1), (120.0, "3")))
    snapshot = await collected(answering(gateway=rows, grpc=statuses))
    assert snapshot.error is None
    rest = Backend(namespace="claims", route="claim-risk", rule=1, slot=0)
    grpc = Backend(namespace="claims", route="claim-risk", rule=0, slot=1)
    assert kinds(snapshot.gateway[rest]) == {
        "http:2": (14, 115.5),
        "http:5": (1, 115.5),
        "le:250": (12, 115.5),
        INFINITE_EDGE: (15, 115.5),
        "abandoned:stream": (7, 115.5),
        "abandoned:connection": (8, 115.5),
    }
    # Prometheus adds the methods up, and the time of the sum is that of the scrape.
    assert kinds(snapshot.gateway[grpc]) == {"http:2": (9, 115.5), "grpc:14": (3, 115.5)}
    instances = {counter.instance for found in snapshot.gateway.values() for counter in found}
    assert len(instances) == 1, "all of them are one gateway pod's"


async def test_the_two_spellings_of_a_bucket_edge_are_one() -> None:
    rows = matrix((gateway_series(queries.REQUEST_TIME_BUCKET, le="250.0"), [(1, "12")]))
    edges = vector(({"le": "0.5"}, (1, "1")), ({"le": "250.0"}, (1, "1")), ({"le": "+Inf"}, (1, "1")))
    snapshot = await collected(answering(gateway=rows, edges=edges))
    assert [counter.kind for found in snapshot.gateway.values() for counter in found] == ["le:250"]
    assert snapshot.latency_edges == (0.5, 250.0)


async def test_nan_and_foreign_series_are_no_values() -> None:
    rows = matrix(
        (gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="2"), [(1, "NaN")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="+Inf"), [(1, "+Inf")]),
        ({"__name__": queries.HTTP_ANSWERS, "envoy_cluster_name": "prometheus_stats"}, [(1, "5")]),
        (gateway_series(queries.REQUEST_TIME_BUCKET, le="wide"), [(1, "5")]),
    )
    outcomes = matrix(
        (outcome_series("tp"), [(1, "NaN")]),
        (outcome_series("unknown"), [(1, "5")]),
        (outcome_series("tp", epoch="first"), [(1, "5")]),
    )
    snapshot = await collected(answering(gateway=rows, outcomes=outcomes))
    assert (snapshot.error, snapshot.gateway, snapshot.outcomes) == (None, {}, {})


async def test_replicas_of_the_feedback_service_count_once() -> None:
    outcomes = matrix(
        (outcome_series("tp"), [(10, "40")]),
        (outcome_series("tp", instance="feedback-1"), [(12, "41")]),
        (outcome_series("fn"), [(10, "3")]),
    )
    snapshot = await collected(answering(outcomes=outcomes))
    assert snapshot.outcomes == {
        ("claims", "claim-risk"): (
            OutcomeTotal(revision="aaa", attempt=2, epoch=1, result="tp", value=41, at=12),
            OutcomeTotal(revision="aaa", attempt=2, epoch=1, result="fn", value=3, at=10),
        )
    }


async def test_an_empty_prometheus_is_an_empty_snapshot_and_no_error() -> None:
    snapshot = await collected(answering())
    assert (snapshot.error, snapshot.gateway, snapshot.outcomes, snapshot.latency_edges) == (None, {}, {}, ())


async def test_a_look_is_five_queries_however_many_models_there_are() -> None:
    series: list[tuple[dict[str, str], list[tuple[float, str]]]] = [
        (
            {
                "__name__": queries.HTTP_ANSWERS,
                "envoy_cluster_name": f"httproute/claims/model-{number}/rule/1/backend/0",
                "envoy_response_code_class": "2",
            },
            [(1, "5")],
        )
        for number in range(1_000)
    ]
    rows = matrix(*series)
    async with running(answering(gateway=rows)) as server, asking(server.address + "/prefix/") as prometheus:
        snapshot = await prometheus.collect(SCOPE)
        assert len(snapshot.gateway) == 1_000
        assert [request.path for request in server.requests] == ["/prefix/api/v1/query"] * 5
        gateway = next(query for query in server.queries if query.startswith("{"))
        assert gateway.endswith("[60s]"), "nothing older than the window is returned"


async def test_a_look_is_for_the_models_that_are_judged_and_for_edges_up_to_the_largest_threshold() -> None:
    edges = vector(*(({"le": le}, (1, "1")) for le in ("0.5", "100", "250.0", "500", "+Inf")))
    scope = Scope(models=frozenset({("claims", "claim-risk"), ("fraud", "triage")}), thresholds=frozenset({250}))
    async with running(answering(edges=edges)) as server, asking(server.address) as prometheus:
        await prometheus.collect(scope)
        _, _, gateway, grpc, outcomes = server.queries
    routes = 'envoy_cluster_name=~"httproute/(claims/claim-risk|fraud/triage)/rule/[0-9]+/backend/[0-9]+"'
    assert routes in gateway
    assert routes in grpc
    named = 'model_namespace=~"claims|fraud",model_name=~"claim-risk|triage"'
    totals = "|".join(queries.OUTCOME_TOTALS)
    assert outcomes == f'{{__name__=~"{totals}",{named}}}[60s]'
    assert r'le=~"|0\\.5|100|100\\.0|250|250\\.0|\\+Inf"' in gateway


async def test_of_several_clusters_only_series_with_the_labels_of_ours_are_asked_for() -> None:
    of_ours = (("cluster", "eu-1"), ("team", 'the "risk" team'))
    async with running(answering()) as server, asking(server.address, match_labels=of_ours) as prometheus:
        await prometheus.collect(SCOPE)
        assert all(r',cluster="eu-1",team="the \"risk\" team"}' in query for query in server.queries[1:])


async def test_all_queries_of_a_look_are_for_one_instant_and_want_no_partial_answer() -> None:
    async with running(answering(clock=lambda: time.time() - 30)) as server, asking(server.address) as prometheus:
        await prometheus.collect(SCOPE)
        first, *others = server.requests
        assert (first.query, "time" in first.form) == ("time()", False)
        assert len({request.form["time"] for request in others}) == 1
        assert {request.form["partial_response"] for request in server.requests} == {"false"}


async def test_credentials_are_sent_and_not_shown() -> None:
    keys = {"token": b"very-secret\n", "header.X-Scope-OrgID": b"claims"}
    of = credentials.parse(keys)

    def repeating(_query: str) -> tuple[int, str]:
        return 401, "who is very-secret of claims?"

    async with running(repeating) as server, asking(server.address, credentials=of) as prometheus:
        error = (await prometheus.collect(SCOPE)).error
        assert server.requests[0].headers["x-scope-orgid"] == "claims"
        assert server.requests[0].headers["authorization"] == "Bearer very-secret"
    assert error is not None
    assert error.endswith("HTTP 401 who is [hidden] of [hidden]?")
    assert "very-secret" not in repr(of)


async def test_a_redirect_is_not_followed() -> None:
    of = credentials.parse({"token": b"very-secret"})
    async with running(answering()) as other, running(lambda _: (302, "{}")) as server:
        server.headers = f"Location: {other.address}/api/v1/query\r\n"
        async with asking(server.address, credentials=of) as prometheus:
            error = str((await prometheus.collect(SCOPE)).error)
    assert "answers HTTP 302, a redirect, which is not followed; name the address itself" in error
    assert other.requests == []


async def test_a_proxy_of_the_environment_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(answering()) as proxy, running(answering()) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        monkeypatch.setenv("ALL_PROXY", proxy.address)
        async with asking(server.address) as prometheus:
            assert (await prometheus.collect(SCOPE)).error is None
        assert (len(server.requests), proxy.requests) == (5, [])


# Clocks -------------------------------------------------------------------------------------------------------------


async def looked_at_by(ahead_seconds: float) -> Snapshot:
    """Return a look at a scrape of 20 s ago, by a Prometheus whose clock is ahead."""
    scraped_at = START.timestamp() + ahead_seconds - 20
    rows = matrix((gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="2"), [(scraped_at, "10")]))
    return await collected(answering(gateway=rows, clock=lambda: START.timestamp() + ahead_seconds), now=lambda: START)


@pytest.mark.parametrize("ahead_seconds", [0, 0.9, -0.9, 180, -180])
async def test_the_age_of_a_sample_is_told_by_the_clock_of_prometheus(ahead_seconds: float) -> None:
    snapshot = await looked_at_by(ahead_seconds)
    [[counter]] = snapshot.gateway.values()
    assert START.timestamp() - counter.at == pytest.approx(20, abs=1)


async def test_the_time_of_one_scrape_is_the_same_at_each_look() -> None:
    """A clock that is ahead, and answers that take their time: what was seen before must not look new."""
    rows = matrix((gateway_series(queries.HTTP_ANSWERS, envoy_response_code_class="2"), [(START.timestamp(), "10")]))
    seconds = iter([0, 1, 1, 1, 1, 1])  # What the operator's clock says: asked, told the time, done; and again.
    seen = set()
    async with (
        running(answering(gateway=rows, clock=lambda: START.timestamp() + 301)) as server,
        asking(server.address, now=lambda: START + dt.timedelta(seconds=next(seconds))) as prometheus,
    ):
        for _ in range(2):
            [[counter]] = (await prometheus.collect(SCOPE)).gateway.values()
            seen.add(counter.at)
    assert seen == {START.timestamp() - 301}


@pytest.mark.parametrize(
    ("ahead_seconds", "words"), [(7200, "2:00:00 ahead of the operator's"), (-660, "0:11:00 behind the operator's")]
)
async def test_clocks_that_are_too_far_apart_are_an_error(ahead_seconds: float, words: str) -> None:
    snapshot = await looked_at_by(ahead_seconds)
    assert f"has a clock that is {words}; set both by NTP" in str(snapshot.error)
    assert snapshot.gateway == {}


# Trouble ------------------------------------------------------------------------------------------------------------


def refusing(_query: str) -> tuple[int, str]:
    return 400, json.dumps({"status": "error", "errorType": "bad_data", "error": "unexpected end of input"})


WRONG_ANSWERS: dict[str, tuple[Answer, str]] = {
    "a refused query": (refusing, "refused the query"),
    "a web page": (lambda _: (200, "<html>Sign in</html>"), "did not answer as Prometheus does: HTTP 200 <html>"),
    "a proxy's error": (lambda _: (502, "bad gateway"), "did not answer as Prometheus does: HTTP 502 bad gateway"),
    "other JSON": (lambda _: (200, '{"status": "success"}'), "did not answer as Prometheus does"),
    "JSON without an end": (lambda _: (200, "[" * 100_000), "did not answer as Prometheus does"),
    "a warning": (
        lambda _: success(scalar(1.0), warnings=["store 10.1.0.9 is down"]),
        "warns that data may be missing or wrong: ['store 10.1.0.9 is down']",
    ),
    "no time": (lambda _: success(vector()), "does not tell its time"),
    "too much": (
        lambda _: (200, " " * (LARGEST_ANSWER_BYTES + 1)),
        "answers time() with more than 48 MiB",
    ),
    "a list": (lambda _: (200, "[1]"), "refused the query"),
    "a broken series": (
        lambda _: (200, '{"status": "success", "data": {"result": [{"metric": {}, "values": []}]}}'),
        "did not answer as Prometheus does",
    ),
    "a number": (lambda _: (200, '{"status": "success", "data": {"result": 7}}'), "did not answer as Prometheus does"),
}


@pytest.mark.parametrize(("answer", "words"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS.keys())
async def test_a_wrong_answer_is_an_error_that_quotes_it(answer: Answer, words: str) -> None:
    snapshot = await collected(answer)
    assert snapshot.error is not None
    assert snapshot.error.startswith("Prometheus at http://127.0.0.1:")
    assert words in snapshot.error
    assert snapshot.gateway == {}


async def test_the_words_of_prometheus_are_passed_on() -> None:
    assert "unexpected end of input" in str((await collected(refusing)).error)


async def test_a_prometheus_that_does_not_listen_is_an_error() -> None:
    async with running(answering()) as server:
        address = server.address
    async with asking(address) as prometheus:
        assert f"Prometheus at {address} cannot be reached" in str((await prometheus.collect(SCOPE)).error)


async def test_a_slow_prometheus_is_an_error_after_the_time_limit() -> None:
    async with (
        running(answering(), delay_seconds=60) as server,
        asking(server.address, timeout_seconds=0.2) as prometheus,
        asyncio.timeout(30),
    ):
        assert "did not answer within 0.2 s" in str((await prometheus.collect(SCOPE)).error)


@pytest.mark.parametrize("address", ["http://[bad", "prometheus:9090", "ftp://prometheus", ""])
async def test_a_wrong_address_is_an_error(address: str) -> None:
    async with asking(address) as prometheus:
        assert (await prometheus.collect(SCOPE)).error is not None


async def test_a_prometheus_that_comes_back_is_believed_again() -> None:
    async with running(refusing) as server, asking(server.address) as prometheus:
        assert (await prometheus.collect(SCOPE)).error is not None
        server.answer = answering()
        assert (await prometheus.collect(SCOPE)).error is None


# Own metrics --------------------------------------------------------------------------------------------------------


async def asked(data: dict[str, Any], **more: Any) -> own_metrics.Answer:
    async with running(lambda _: success(data, **more)) as server, asking(server.address) as prometheus:
        return await prometheus.ask("up")


async def test_an_own_query_comes_to_one_value_per_series() -> None:
    assert await asked(scalar(3.5)) == own_metrics.Answer(values=(3.5,))
    assert await asked(vector()) == own_metrics.Answer()
    assert (await asked(vector(({"a": "1"}, (1, "2")), ({"a": "2"}, (1, "3"))))).values == (2.0, 3.0)
    assert str(await asked(vector(({}, (1, "NaN"))))) == str(own_metrics.Answer(values=(float("nan"),)))


async def test_an_own_query_that_comes_to_a_range_is_an_error() -> None:
    answer = await asked(matrix(({}, [(1, "2")])))
    assert "answers the query up with a matrix; it has to be one number now" in str(answer.error)


async def test_an_own_query_that_is_refused_answered_late_or_warned_about_is_an_error() -> None:
    async with running(refusing) as server, asking(server.address) as prometheus:
        assert "refused the query rate(: unexpected end of input" in str((await prometheus.ask("rate(")).error)
    async with (
        running(answering(), delay_seconds=60) as server,
        asking(server.address, timeout_seconds=0.2) as prometheus,
        asyncio.timeout(30),
    ):
        assert "did not answer within 0.2 s" in str((await prometheus.ask("up")).error)
    answer = await asked(vector(({}, (1, "2"))), warnings=["partial"])
    assert (answer.values, "data may be missing" in str(answer.error)) == ((), True)


async def test_an_own_query_with_thousands_of_series_is_cut_off() -> None:
    many = vector(*(({"claim": str(number)}, (1.0, "1")) for number in range(20_000)))
    assert "with more than 1 MiB; ask it for less" in str((await asked(many)).error)
