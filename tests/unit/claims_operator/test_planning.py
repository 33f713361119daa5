"""The time that a rollout is said to take, against rollouts that are drawn."""

import dataclasses
import math
import random
import statistics

import pytest

from claims_operator.core.evidence import Evidence, MetricEvidence
from claims_operator.core.limits import AccuracyLimits, ErrorLimits, Limits
from claims_operator.core.planning import Ending, PlannedStep, Workload, expected_rollout, plan
from claims_operator.core.questions import questions
from claims_sequential import Counts, Pair

RAMP = tuple(PlannedStep(weight=weight, seconds=600) for weight in (0.05, 0.10, 0.25, 0.50))
BUSY = Workload(requests_per_second=20, labelled_share=0.3, label_delay_seconds=600)
ACCURACY = Limits(confidence=0.95, interval_seconds=60, accuracy=AccuracyLimits(margin=0.02))
ERRORS = Limits(confidence=0.95, interval_seconds=60, errors=ErrorLimits(max_ratio=0.01, margin=0.005))
HALF = (PlannedStep(weight=0.5),)


def drawn_minutes(rng: random.Random, limits: Limits, rate: float, candidate_rate: float) -> float:
    """Return when a rollout at half of 20 requests/s, labelled at once, is decided by one metric."""
    (question,) = questions(limits)
    metric = MetricEvidence.start(question).seeded(Counts(total=1_000, bad=1_000 * rate))
    needed = math.log(20)
    for minute in range(1, 600):
        counts = []
        for each in (rate, candidate_rate):
            bad = 600 * each + math.sqrt(600 * each * (1 - each)) * rng.gauss(0, 1)
            counts.append(Counts(total=600, bad=min(max(round(bad), 0), 600)))
        metric = metric.after(Pair(stable=counts[0], candidate=counts[1]), 0, seconds=60)
        is_promoted = metric.promotion_at(1.0).log_e_value >= needed
        if is_promoted or Evidence(metrics=(metric,)).rollback_log_e_value >= needed:
            return minute
    return math.inf


@pytest.mark.parametrize(("rate", "candidate_rate"), [(0.11, 0.11), (0.11, 0.13), (0.11, 0.16), (0.11, 0.09)])
def test_the_time_is_near_the_median_of_rollouts_that_are_drawn(rate: float, candidate_rate: float) -> None:
    rates = {"accuracy": (rate, candidate_rate)}
    said = expected_rollout(ACCURACY, rates=rates, workload=Workload(requests_per_second=20), steps=HALF)
    median = statistics.median(drawn_minutes(random.Random(seed), ACCURACY, *rates["accuracy"]) for seed in range(31))
    assert said.seconds / 60 == pytest.approx(median, rel=0.4, abs=1)


def test_an_equal_model_is_promoted_and_worse_ones_are_refused_the_sooner_the_worse() -> None:
    planned = plan(margin=0.02, rate=0.11, workload=BUSY, steps=RAMP, interval_seconds=60)
    assert planned.equal.ending == Ending.PROMOTED
    assert {expected.ending for expected in planned.worse.values()} == {Ending.ROLLED_BACK}
    assert planned.worse[2.5].seconds < planned.worse[1.0].seconds
    assert 2_400 < planned.equal.seconds < 3_600, "the study: 42 to 48 minutes, at least 40 by the ramp"
    assert planned.worse[2.5].candidate_requests < 3_600


def test_all_metrics_together_are_planned_with_the_steps_that_errors_hold() -> None:
    both = dataclasses.replace(ERRORS, accuracy=AccuracyLimits(margin=0.02))
    rates = {"errors": (0.005, 0.005), "accuracy": (0.11, 0.11)}
    whole = expected_rollout(both, rates=rates, workload=BUSY, steps=RAMP)
    alone = expected_rollout(ACCURACY, rates=rates, workload=BUSY, steps=RAMP)
    assert whole.ending == alone.ending == Ending.PROMOTED
    assert whole.seconds >= alone.seconds
    failing = expected_rollout(both, rates=rates | {"errors": (0.005, 0.9)}, workload=BUSY, steps=RAMP)
    assert (failing.ending, failing.seconds) == (Ending.ROLLED_BACK, 60)


def test_steps_without_a_least_time_wait_for_their_gates() -> None:
    steps = tuple(dataclasses.replace(step, seconds=0.0) for step in RAMP)
    found = expected_rollout(ERRORS, rates={"errors": (0.005, 0.005)}, workload=BUSY, steps=steps)
    assert found.ending == Ending.PROMOTED
    assert found.seconds > 4 * 60


def test_a_step_may_ask_for_requests() -> None:
    asked = dataclasses.replace(HALF[0], min_requests=100_000)
    found = expected_rollout(ERRORS, rates={"errors": (0.0, 0.0)}, workload=BUSY, steps=(asked,))
    assert found.candidate_requests >= 100_000


def test_fewer_and_later_labels_take_longer() -> None:
    def promoted_after(workload: Workload) -> float:
        found = plan(margin=0.02, rate=0.11, workload=workload, steps=RAMP).equal
        assert found.ending == Ending.PROMOTED
        return found.seconds

    times = [
        promoted_after(BUSY),
        promoted_after(dataclasses.replace(BUSY, labelled_share=0.1)),
        promoted_after(dataclasses.replace(BUSY, labelled_share=0.1, label_delay_seconds=86_400)),
        promoted_after(Workload(requests_per_second=0.02, labelled_share=0.1, label_delay_seconds=86_400)),
    ]
    assert times == sorted(times)
    assert times[-1] > 30 * 86_400


def test_every_outcome_comes_in_the_end() -> None:
    workload = Workload(requests_per_second=20, labelled_share=0.5, label_delay_seconds=60)
    found = plan(margin=0.005, rate=0.11, workload=workload, steps=HALF).equal
    assert found.outcomes == pytest.approx(0.5 * 20 * found.seconds, rel=0.05)


def test_what_is_in_the_middle_of_nothing_is_undecided_at_the_horizon() -> None:
    rates = {"accuracy": (0.11, 0.11)}
    found = expected_rollout(ACCURACY, rates=rates, workload=BUSY, steps=RAMP, horizon_seconds=900)
    assert found.ending == Ending.UNDECIDED
    assert found.seconds >= 900


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: PlannedStep(weight=1.0), "weight must be between 0 and 1"),
        (lambda: PlannedStep(weight=0.5, seconds=-1), "must not be below 0"),
        (lambda: Workload(requests_per_second=0), "requests_per_second must be above 0"),
        (lambda: Workload(requests_per_second=1, labelled_share=0), "labelled_share must be above 0"),
        (lambda: Workload(requests_per_second=1, label_delay_seconds=math.nan), "label_delay_seconds"),
        (lambda: plan(margin=0.02, rate=0.0, workload=BUSY, steps=RAMP), "rate must be between 0 and 1"),
        (lambda: plan(margin=0.02, rate=0.1, workload=BUSY, steps=()), "at least one step"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(build: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build()  # type: ignore[operator]
