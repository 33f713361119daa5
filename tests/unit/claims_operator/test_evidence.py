"""Raw counters become deltas, and the state of the tests survives a restart."""

import datetime as dt
import json
import math

import pytest

from claims_operator.core.analysis import AccuracyLimits, ErrorLimits, Gate, LatencyLimits, Limits, Window
from claims_operator.core.counters import GatewayCounters
from claims_operator.core.evidence import Evidence, MetricEvidence
from claims_operator.core.questions import questions
from claims_operator.core.snapshot import Counter
from claims_sequential import Counts, Pair

FAILED = (1, 0, "http:5")
FINE = (1, 0, "http:2")


def reading(kind: str, value: float, at: float, instance: str = "envoy-a") -> tuple[int, int, Counter]:
    return 1, 0, Counter(kind=kind, instance=instance, value=value, at=at)


def baseline(*readings: tuple[int, int, Counter], not_before: float = 0.0) -> GatewayCounters:
    counters, deltas = GatewayCounters().advance("a,b", readings, not_before=not_before)
    assert deltas == {}, "the first sight is a baseline"
    return counters


def test_what_was_counted_before_the_first_look_is_no_evidence() -> None:
    counters = baseline(reading("http:2", 5_000, at=100))
    _, deltas = counters.advance("a,b", [reading("http:2", 5_040, at=115)], not_before=0)
    assert deltas == {FINE: 40}


def test_a_counter_that_falls_was_reset_and_counts_from_zero() -> None:
    counters = baseline(reading("http:2", 5_000, at=100))
    _, deltas = counters.advance("a,b", [reading("http:2", 30, at=115)], not_before=0)
    assert deltas == {FINE: 30}


def test_one_of_two_pods_restarts_and_the_other_is_not_touched_by_it() -> None:
    counters = baseline(reading("http:2", 900, at=100), reading("http:2", 500, at=101, instance="envoy-b"))
    later = [reading("http:2", 910, at=115), reading("http:2", 7, at=116, instance="envoy-b")]
    _, deltas = counters.advance("a,b", later, not_before=0)
    assert deltas == {FINE: 17}


def test_the_first_errors_of_a_pod_that_was_seen_before_are_not_lost() -> None:
    counters = baseline(reading("http:2", 10, at=100))
    _, deltas = counters.advance("a,b", [reading("http:2", 12, at=115), reading("http:5", 3, at=115)], not_before=0)
    assert deltas == {FINE: 2, FAILED: 3}


def test_a_pod_that_was_not_seen_before_starts_from_a_baseline() -> None:
    counters = baseline(reading("http:2", 10, at=100))
    stranger = [reading("http:2", 40_000, at=115, instance="envoy-b"), reading("http:5", 9, at=115, instance="envoy-b")]
    counters, deltas = counters.advance("a,b", stranger, not_before=0)
    assert deltas == {}
    _, deltas = counters.advance("a,b", [reading("http:2", 40_001, at=130, instance="envoy-b")], not_before=0)
    assert deltas == {FINE: 1}


def test_the_same_scrape_counts_once() -> None:
    counters = baseline(reading("http:2", 10, at=100))
    counters, deltas = counters.advance("a,b", [reading("http:2", 20, at=115)], not_before=0)
    assert deltas == {FINE: 10}
    again, deltas = counters.advance("a,b", [reading("http:2", 20, at=115)], not_before=0)
    assert (again, deltas) == (counters, {})


def test_an_older_scrape_from_a_second_prometheus_counts_nothing() -> None:
    counters = baseline(reading("http:2", 10, at=100))
    _, deltas = counters.advance("a,b", [reading("http:2", 9, at=95)], not_before=0)
    assert deltas == {}


def test_a_missed_scrape_loses_nothing() -> None:
    counters = baseline(reading("http:2", 10, at=100))
    counters, deltas = counters.advance("a,b", [], not_before=0)
    assert deltas == {}
    _, deltas = counters.advance("a,b", [reading("http:2", 70, at=160)], not_before=0)
    assert deltas == {FINE: 60}


def test_counts_of_the_settle_time_are_a_baseline_only() -> None:
    counters = baseline(reading("http:2", 10, at=100))
    counters, deltas = counters.advance("a,b", [reading("http:2", 20, at=115)], not_before=120)
    assert deltas == {}
    counters, deltas = counters.advance("a,b", [reading("http:2", 30, at=130)], not_before=120)
    assert deltas == {}, "part of it was counted before 120"
    _, deltas = counters.advance("a,b", [reading("http:2", 33, at=145)], not_before=120)
    assert deltas == {FINE: 3}


def test_another_list_of_backends_starts_from_a_new_baseline() -> None:
    counters = baseline(reading("http:2", 10, at=100))
    counters, deltas = counters.advance("b,c", [reading("http:2", 900, at=115)], not_before=0)
    assert deltas == {}
    _, deltas = counters.advance("b,c", [reading("http:2", 905, at=130)], not_before=0)
    assert deltas == {FINE: 5}


def test_series_of_pods_that_are_gone_are_forgotten() -> None:
    counters = baseline(reading("http:2", 10, at=100, instance="gone"), reading("http:2", 10, at=100))
    counters, _ = counters.advance("a,b", [reading("http:2", 11, at=4_000)], not_before=0)
    assert [key.rpartition("/")[2] for key in counters.last] == ["envoy-a"]


# The state of the tests ---------------------------------------------------------------------------------------------


def limits(**changed: object) -> Limits:
    every = {
        "confidence": 0.95,
        "interval_seconds": 30.0,
        "errors": ErrorLimits(max_ratio=0.01, margin=0.005),
        "latency": LatencyLimits(threshold_milliseconds=250, min_fraction_under=0.99, margin=0.005),
        "accuracy": AccuracyLimits(margin=0.02, min=0.85),
    }
    return Limits(**(every | changed))  # type: ignore[arg-type]


BATCH = Pair(stable=Counts(total=900, bad=4), candidate=Counts(total=50, bad=1))


def fed(evidence: MetricEvidence, batches: int) -> MetricEvidence:
    for number in range(batches):
        evidence = evidence.after(BATCH, epoch=number // 2)
    return evidence


def test_a_restart_continues_every_test() -> None:
    for question in questions(limits()):
        evidence = fed(MetricEvidence.start(question).seeded(Counts(total=50_000, bad=100)), 3)
        restarted = MetricEvidence.from_json(json.loads(json.dumps(evidence.to_json())))
        assert restarted == evidence
        assert fed(restarted, 2) == fed(evidence, 2)


def test_the_state_is_small() -> None:
    evidence = Evidence.empty(limits())
    grown = Evidence(metrics=tuple(fed(metric, 50) for metric in evidence.metrics))
    assert len(json.dumps(grown.to_json())) < 8_000


def test_what_a_rollout_records_holds_counts_and_e_values() -> None:
    summary = Evidence(metrics=tuple(fed(metric, 2) for metric in Evidence.empty(limits()).metrics)).summary()
    assert set(summary) == {"errors", "latency", "accuracy", "rollbackLogEValue"}
    assert summary["errors"]["candidate"] == {"samples": 100, "bad": 2}
    assert {"worse", "promotionAtMargin1", "aboveLimit", "belowLimit"} <= set(summary["errors"]["logEValues"])
    assert json.loads(json.dumps(summary)) == summary


def test_a_changed_margin_starts_its_own_test_and_leaves_the_others() -> None:
    evidence = Evidence(metrics=tuple(fed(metric, 2) for metric in Evidence.empty(limits()).metrics))
    changed = evidence.asked(limits(errors=ErrorLimits(max_ratio=0.01, margin=0.002)))
    assert changed.metrics[0].total == Pair()
    assert changed.metrics[1:] == evidence.metrics[1:]


def test_the_past_of_stable_steers_but_is_no_evidence() -> None:
    start = MetricEvidence.start(questions(limits())[0])
    seeded = start.seeded(Counts(total=1_000_000, bad=2_000))
    assert seeded.history.rate == pytest.approx(0.002, rel=0.3)
    assert seeded.history.total == 1_000
    assert seeded.total == Pair()
    assert [log_e_value for _, log_e_value in seeded.claims()] == pytest.approx([0, 0, 0, 0])
    assert seeded.seeded(Counts(total=10, bad=10)) == seeded, "only the first past is taken"


def test_the_shares_of_the_tests_that_may_roll_back_sum_to_one() -> None:
    every = limits()
    for asked in (every, limits(errors=None), limits(accuracy=None), limits(accuracy=AccuracyLimits(margin=0.02))):
        evidence = Evidence.empty(asked)
        assert sum(math.exp(term.log_share) for term in evidence.rollback_terms) == pytest.approx(1)
        assert evidence.rollback_log_e_value == pytest.approx(0)
    assert len(Evidence.empty(every).rollback_terms) == 11
    assert Evidence.empty(limits(errors=None, latency=None, accuracy=None)).rollback_log_e_value == -math.inf


# What is refused ----------------------------------------------------------------------------------------------------


def test_a_gate_takes_the_widest_tested_margin_that_is_not_above_its_own() -> None:
    assert Gate(final=False, margin_factor=4).tested_factor == 3
    assert Gate(final=False, margin_factor=10).tested_factor == 5
    assert Gate(final=True).tested_factor == 1


@pytest.mark.parametrize(("final", "factor"), [(True, 2.0), (False, 0.5)])
def test_a_gate_narrower_than_the_margin_or_a_wide_promotion_is_refused(final: bool, factor: float) -> None:
    with pytest.raises(ValueError, match="margin_factor"):
        Gate(final=final, margin_factor=factor)


def test_limits_outside_their_range_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"errors\.margin must be between 0 and 1, not 0"):
        ErrorLimits(max_ratio=0.01, margin=0)
    with pytest.raises(ValueError, match="threshold_milliseconds"):
        LatencyLimits(threshold_milliseconds=0, min_fraction_under=0.99, margin=0.1)
    with pytest.raises(ValueError, match=r"accuracy\.min"):
        AccuracyLimits(margin=0.02, min=1.0)
    with pytest.raises(ValueError, match="confidence"):
        limits(confidence=0.3)
    with pytest.raises(ValueError, match="interval_seconds"):
        limits(interval_seconds=0)


def test_a_window_needs_a_time_zone_and_two_slots() -> None:
    fields = {
        "namespace": "claims", "name": "claim-risk", "attempt": 2, "epoch": 1, "stable_slot": 0, "candidate_slot": 1,
        "stable_revision": "aaa", "candidate_revision": "bbb", "route_key": "aaa,bbb",
        "not_before": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    }  # fmt: skip
    with pytest.raises(ValueError, match="time zone"):
        Window(**(fields | {"not_before": dt.datetime(2026, 1, 1)}))  # type: ignore[arg-type]  # noqa: DTZ001
    with pytest.raises(ValueError, match="share slot 0"):
        Window(**(fields | {"candidate_slot": 0}))  # type: ignore[arg-type]
