"""One metric's tests: batches, shares, the lower latency edge, the pace, and what is still to be shown."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_traffic import CANDIDATE, ERRORS, LATENCY, REST, STABLE, Traffic

from claims_operator.core import sentences
from claims_operator.core.analysis import Gate, Verdict
from claims_operator.core.comparison import Comparison
from claims_operator.core.metric import Burstiness, MetricEvidence
from claims_operator.core.pace import Pace
from claims_operator.core.proof import Wanted, seconds_to_show, wanted
from claims_operator.core.questions import Question
from claims_operator.core.snapshot import bucket_kind
from claims_operator.core.terms import Claim, log_sum, shared
from claims_sequential import Counts, Pair

QUESTION = Question(metric="errors", margin=0.005, limit=0.01)
NEEDED = math.log(20)


def pair(stable: tuple[float, float], candidate: tuple[float, float]) -> Pair:
    return Pair(stable=Counts(total=stable[0], bad=stable[1]), candidate=Counts(total=candidate[0], bad=candidate[1]))


# Batches ------------------------------------------------------------------------------------------------------------


def compared(comparison: Comparison, batch: Pair, *, seconds: float = 60.0, epoch: int = 1) -> Comparison:
    return comparison.after(batch, epoch, seconds=seconds, stable_rate=0.01, least_rate=0.005, limit=0.02)


def test_a_batch_is_closed_when_it_is_large_enough_and_lasts_long_enough() -> None:
    few = compared(Comparison(), pair((500, 5), (6, 0)))
    assert few.difference.batches == 0
    assert compared(few, pair((500, 5), (6, 0))).difference.batches == 1
    short = compared(Comparison(), pair((500, 5), (60, 0)), seconds=30.0)
    assert short.difference.batches == 0
    closed = compared(short, pair((500, 5), (60, 0)), seconds=30.0)
    assert (closed.difference.batches, closed.excess.batches, closed.pending) == (1, 1, {})


def test_counts_of_different_epochs_are_never_one_batch() -> None:
    waiting = compared(compared(Comparison(), pair((500, 5), (6, 0))), pair((500, 5), (6, 0)), epoch=2)
    assert waiting.difference.batches == 0
    assert sorted(waiting.pending) == [1, 2]


def test_without_stable_only_the_limit_is_compared_with() -> None:
    alone = compared(Comparison(), pair((0, 0), (60, 1)))
    assert (alone.difference.batches, alone.excess.batches) == (0, 1)


def test_a_restart_continues_the_comparison() -> None:
    comparison = compared(compared(Comparison(), pair((500, 5), (60, 0))), pair((5, 0), (60, 1)), epoch=2)
    assert Comparison.from_json(json.loads(json.dumps(comparison.to_json()))) == comparison


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(0, 3_000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 120)),
        max_size=12,
    ),
    metric=st.sampled_from(["errors", "latency", "accuracy"]),
)
def test_any_batches_give_finite_evidence_that_a_restart_continues(
    batches: list[tuple[int, int, float, float, float]], metric: str
) -> None:
    evidence = restarted = MetricEvidence.start(Question(metric=metric, margin=0.02, limit=0.1))
    for stable, candidate, stable_share, candidate_share, seconds in batches:
        batch = pair((stable, round(stable * stable_share)), (candidate, round(candidate * candidate_share)))
        evidence = evidence.after(batch, epoch=stable % 3, seconds=seconds)
        restarted = MetricEvidence.from_json(json.loads(json.dumps(restarted.to_json())))
        restarted = restarted.after(batch, epoch=stable % 3, seconds=seconds)
    assert restarted == evidence
    assert all(math.isfinite(log_e_value) for _, log_e_value in evidence.claims())


@settings(max_examples=40, deadline=None)
@given(bad=st.integers(0, 60), more=st.integers(1, 60), metric=st.sampled_from(["errors", "accuracy"]))
def test_more_bad_events_of_the_candidate_speak_more_against_it(bad: int, more: int, metric: str) -> None:
    def fed(total_bad: int) -> MetricEvidence:
        evidence = MetricEvidence.start(Question(metric=metric, margin=0.02, limit=0.1))
        evidence = evidence.seeded(Counts(total=1_000, bad=50))
        for _ in range(8):
            evidence = evidence.after(pair((500, 25), (200, total_bad)), epoch=1)
        return evidence

    fewer, many = dict(fed(bad).claims()), dict(fed(bad + more).claims())
    assert all(many[claim] >= fewer[claim] - 1e-9 for claim in fewer)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(6)))
def test_steps_may_bring_their_late_outcomes_in_any_order(order: list[int]) -> None:
    """What is learnt on the way differs a little with the order; what is concluded does not."""

    def fed(epochs: list[int]) -> dict[Claim, float]:
        evidence = MetricEvidence.start(Question(metric="accuracy", margin=0.02, limit=None))
        evidence = evidence.seeded(Counts(total=1_000, bad=110))
        for _ in range(5):
            for epoch in epochs:
                evidence = evidence.after(pair((200, 22 + epoch), (60 + 20 * epoch, 9 + 2 * epoch)), epoch=epoch)
        return dict(evidence.claims())

    assert fed(list(order))[Claim.WORSE] == pytest.approx(fed(list(range(6)))[Claim.WORSE], abs=1.5)


# Shares -------------------------------------------------------------------------------------------------------------


def test_the_weighted_mean_of_e_values_decides_and_accuracy_has_the_largest_share() -> None:
    terms = shared([("errors", Claim.WORSE, 3.0), ("errors", Claim.GROSSLY_WORSE, 0.0), ("accuracy", Claim.WORSE, 1.0)])
    assert sum(math.exp(term.log_share) for term in terms) == pytest.approx(1)
    assert log_sum(terms) == pytest.approx(math.log(sum(math.exp(term.log_share + term.log_e_value) for term in terms)))
    assert max(terms, key=lambda term: term.log_share).metric == "accuracy"
    assert log_sum([]) == -math.inf


def test_which_tests_share_does_not_depend_on_what_is_seen() -> None:
    """Shares that followed the data would be no shares: the lower edge has its own before there is one."""
    before = MetricEvidence.start(Question(metric="latency", margin=0.01, limit=0.05))
    after = before.with_lower_edge(100, Counts(total=10_000, bad=500)).after(pair((900, 9), (100, 50)), epoch=1)
    assert [claim for claim, _ in before.claims()] == [claim for claim, _ in after.claims()]


@pytest.mark.parametrize(("limit", "gross"), [(None, 0.05), (0.01, 0.05), (0.05, 0.1), (0.4, 0.5)])
def test_what_is_gross_grows_with_the_limit(limit: float | None, gross: float) -> None:
    assert Question(metric="errors", margin=0.005, limit=limit).gross_difference == pytest.approx(gross)


# The lower latency edge ---------------------------------------------------------------------------------------------


def timed(traffic: Traffic, slot: int, total: float, *, slow: float, above_100: float) -> None:
    traffic.requests(slot, total, slow=slow)
    traffic.count(REST, slot, bucket_kind(100), total - above_100)


def slowed(looks: int, *, above_100: float, edges: tuple[float, ...] = (100.0, 250.0)) -> Traffic:
    """Serve a candidate with so many of 100 requests above 100 ms, and as few above 250 ms as stable."""
    traffic = Traffic(latency=dataclasses.replace(LATENCY, margin=0.01))
    traffic.edges = edges
    traffic.count(REST, STABLE, bucket_kind(100), 9_500)
    traffic.count(REST, CANDIDATE, bucket_kind(100), 0)
    traffic.look()
    for _ in range(looks):
        timed(traffic, STABLE, 1_000, slow=5, above_100=50)
        timed(traffic, CANDIDATE, 100, slow=0, above_100=above_100)
        traffic.look()
    return traffic


def test_a_slowdown_shows_at_the_lower_edge_first() -> None:
    traffic = slowed(30, above_100=25)
    (metric,) = traffic.evidence.metrics
    assert metric.lower is not None
    assert metric.lower.edge_milliseconds == 100
    assert traffic.judge().rollback == (
        "latency: more requests above 100 ms than stable, beyond chance: requests above 100 ms 25 % of 3000 requests,"
        " stable 5 % of 30000"
    )


def test_a_difference_within_the_margin_at_the_lower_edge_is_no_reason() -> None:
    traffic = slowed(60, above_100=5.5)
    assert traffic.judge().rollback is None
    assert traffic.only().verdict == Verdict.PASS


def test_without_an_edge_that_stable_exceeds_there_is_none() -> None:
    (metric,) = slowed(3, above_100=5, edges=(250.0,)).evidence.metrics
    assert metric.lower is None


def test_an_edge_that_is_asked_for_later_does_not_bring_its_past_along() -> None:
    traffic = Traffic(latency=LATENCY)
    traffic.look()
    traffic.requests(STABLE, 1_000, slow=5)
    traffic.look()
    traffic.count(REST, STABLE, bucket_kind(100), 10_400)
    traffic.count(REST, CANDIDATE, bucket_kind(100), 0)
    traffic.look()
    timed(traffic, STABLE, 1_000, slow=5, above_100=50)
    timed(traffic, CANDIDATE, 100, slow=0, above_100=4)
    traffic.look()
    (metric,) = traffic.evidence.metrics
    assert metric.lower is not None
    assert metric.lower.total == pair((1_000, 50), (100, 4))


# The pace, and the time that is left --------------------------------------------------------------------------------


def test_the_pace_is_that_of_the_last_quarter_of_the_time() -> None:
    pace = Pace()
    for minute in range(240):
        batch = pair((900, 0), (100, 0)) if minute < 120 else pair((300, 0), (300, 0))
        pace = pace.after(batch, 1e9 + 60 * minute, epoch=None)
    assert pace.stable_per_second == pytest.approx(5, rel=0.15)
    assert pace.candidate_per_second == pytest.approx(5, rel=0.1)
    assert Pace.from_json(json.loads(json.dumps(pace.to_json()))) == pace


def test_a_new_epoch_has_a_pace_of_its_own_and_one_scrape_counts_once() -> None:
    pace = Pace().after(Pair(), 1_000.0, epoch=1).after(pair((900, 0), (100, 0)), 1_060.0, epoch=1)
    assert pace.candidate_per_second == pytest.approx(100 / 60)
    assert pace.after(pair((900, 0), (100, 0)), 1_060.0, epoch=1) == pace
    assert pace.after(pair((500, 0), (500, 0)), 1_120.0, epoch=2).candidate_per_second == 0


def paced(question: Question, *, looks: int, candidate_bad: float, stable_bad: float = 5) -> MetricEvidence:
    """Serve 950 and 50 requests a minute."""
    metric = MetricEvidence.start(question).seeded(Counts(total=1_000, bad=5))
    batch = pair((950, stable_bad), (50, candidate_bad))
    metric = metric.paced(Pair(), 1_000.0, 1)
    for look in range(looks):
        metric = metric.after(batch, 1, seconds=60.0).paced(batch, 1_060.0 + 60 * look, 1)
    return metric


@pytest.mark.parametrize(("candidate_bad", "final"), [(0.25, False), (0.25, True), (0.1, True)])
def test_the_time_that_is_said_is_the_time_that_it_takes_when_things_go_on_like_that(
    candidate_bad: float, final: bool
) -> None:
    gate = Gate(final=final, margin_factor=1.0 if final else 2.0)
    half_way = paced(QUESTION, looks=12, candidate_bad=candidate_bad)
    claims = wanted(half_way, gate, has_stable=True)
    assert len(claims) == (2 if final else 1)
    said = [seconds_to_show(half_way, claim, NEEDED) for claim in claims]
    taken = []
    for number in range(len(claims)):
        looks = 12
        while (
            wanted(paced(QUESTION, looks=looks, candidate_bad=candidate_bad), gate, has_stable=True)[number].log_e_value
            < NEEDED
        ):
            looks += 1
        taken.append(60.0 * (looks - 12))
    assert said == [pytest.approx(seconds, rel=0.35, abs=120) for seconds in taken]


def test_a_promotion_waits_until_bursts_would_be_known_and_a_step_does_not() -> None:
    assert Burstiness().dispersion() == 1
    assert Burstiness(measured=1.3).dispersion() == 1.3
    assert Burstiness(measured=1.3, batches=1).dispersion() == 3
    assert Burstiness(measured=1.3, batches=1).dispersion(more_batches=2) == 2
    assert Burstiness(measured=1.3, batches=99).dispersion() == 1.3
    quick = paced(QUESTION, looks=3, candidate_bad=0.25)
    (step,) = wanted(quick, Gate(final=False, margin_factor=5), has_stable=True)
    (end, _) = wanted(quick, Gate(final=True), has_stable=True)
    assert step.burstiness.dispersion() < end.burstiness.dispersion() == 2


def test_a_claim_that_the_rates_speak_against_is_not_to_be_expected() -> None:
    worse = paced(QUESTION, looks=60, candidate_bad=0.6)
    (claim, _) = wanted(worse, Gate(final=True), has_stable=True)
    assert seconds_to_show(worse, claim, NEEDED) == math.inf
    assert "not to be expected at the rates seen so far" in sentences.not_shown(worse, claim, NEEDED)


def test_before_there_are_numbers_the_time_cannot_be_said() -> None:
    start = MetricEvidence.start(QUESTION)
    (claim, _) = wanted(start, Gate(final=True), has_stable=True)
    assert seconds_to_show(start, claim, NEEDED) is None
    assert "how long that takes cannot be said yet" in sentences.not_shown(start, claim, NEEDED)


def test_what_is_shown_already_takes_no_time() -> None:
    shown = paced(QUESTION, looks=300, candidate_bad=0.25)
    claim = Wanted(test=shown.promotion_at(5.0), difference=0.025, burstiness=Burstiness())
    assert seconds_to_show(shown, claim, NEEDED) == 0


def test_few_bad_events_are_drawn_towards_stable() -> None:
    none_yet = paced(QUESTION, looks=2, candidate_bad=0)
    assert none_yet.comparison.difference.estimate == pytest.approx(-0.005, rel=0.1)
    assert none_yet.estimated_difference == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (5, "1 min"), (61, "1 min"), (570, "10 min"), (2_400, "40 min"), (2_520, "40 min"), (6_100, "2 h"),
        (40_000, "11 h"), (200_000, "2 days"), (2e6, "23 days"),
    ],
)  # fmt: skip
def test_durations_are_said_to_one_unit(seconds: float, said: str) -> None:
    assert sentences.duration(seconds) == said


def test_a_status_says_what_is_seen_what_is_missing_and_how_long_it_takes() -> None:
    traffic = Traffic(errors=dataclasses.replace(ERRORS, margin=0.005))
    traffic.look()
    for _ in range(4):
        traffic.requests(STABLE, 950, failed=4)
        traffic.requests(CANDIDATE, 50)
        traffic.look()
    message = traffic.only().message
    assert message.startswith("failed requests 0 % of 200 requests, stable 0.421 % of 3800; difference -0.42 points, b")
    assert (
        "not shown yet: failed requests at most 0.5 points above stable's (evidence 1.4 of 20, about 10 min" in message
    )
    assert message.endswith("more at the present rate)")
    assert traffic.only(Gate(final=True, min_requests=500)).message == (
        "200 of the 500 requests that the step asks for were counted, about 3 min more at the present rate"
    )
