"""The simulation of decisions: that it counts, judges other tools' rules and adds results up as it says."""

import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from claims_decisions import cli, document, kayenta, peers, plan, report, rollout, running, short, targets
from claims_decisions.bounds import at_most, upper_bound
from claims_decisions.minutes import EDGES, Minute, Stream, quantile
from claims_decisions.peers import KEEP, PEERS, PROMOTE, ROLL_BACK
from claims_decisions.policies import DEFAULTS, POLICIES, SHIPPED
from claims_decisions.results import Store, Tally
from claims_decisions.rollout import Ending, Run
from claims_decisions.scenarios import BY_NAME, SCENARIOS, Arm, Cohorts, Faults, Scenario
from claims_decisions.world import World
from claims_operator.core.snapshot import Snapshot

UNLABELLED = Arm(labelled_share=0.0)
BUSY = Scenario(name="busy", title="", requests_per_second=1_000.0)


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def counted(snapshot: Snapshot, slot: int, kind: str) -> float:
    """Return a counter's sum over the gateway's pods."""
    return sum(
        counter.value
        for backend, counters in snapshot.gateway.items()
        for counter in counters
        if backend.slot == slot and counter.kind == kind
    )


def served(scenario: Scenario, *, looks: int, weight: int = 50) -> World:
    """Return a world after so many looks of a minute."""
    world = World(scenario, generator())
    world.weight = weight
    for _ in range(looks):
        world.serve(60.0)
    return world


# Bounds ---------------------------------------------------------------------------------------------------------------


def test_the_bound_without_events_is_the_rule_of_three() -> None:
    assert upper_bound(0, 2_000) == pytest.approx(1 - 0.05 ** (1 / 2_000))


@pytest.mark.parametrize(("events", "runs"), [(1, 10), (4, 2_000), (450, 20_000), (3_000, 20_000)])
def test_at_the_bound_so_few_events_have_a_chance_of_five_percent(events: int, runs: int) -> None:
    assert at_most(events, runs, upper_bound(events, runs)) == pytest.approx(0.05)


def test_binomial_probabilities_agree_with_counting() -> None:
    by_hand = sum(math.comb(7, count) * 0.3**count * 0.7 ** (7 - count) for count in range(3))
    assert at_most(2, 7, 0.3) == pytest.approx(by_hand)


def test_events_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="3 events in 2 runs"):
        upper_bound(3, 2)


# The world ------------------------------------------------------------------------------------------------------------


def test_the_world_counts_at_the_rates_of_its_scenario() -> None:
    scenario = replace(BUSY, candidate=Arm(error_rate=0.02, slowness=1.5))
    before = World(scenario, generator()).scrape()
    world = served(scenario, looks=10)
    seen = world.scrape()
    total = counted(seen, 1, "le:inf")
    assert total == world.candidate_requests == pytest.approx(300_000, rel=0.01)
    assert counted(seen, 1, "http:5") / total == pytest.approx(0.02, rel=0.1)
    assert 1 - counted(seen, 1, "le:500") / total == pytest.approx(0.006, rel=0.1)
    assert counted(seen, 0, "le:inf") - counted(before, 0, "le:inf") == pytest.approx(300_000, rel=0.01)


def test_ten_minutes_of_outcomes_wait_ten_minutes_on_average() -> None:
    world = served(replace(BUSY, stable=Arm(labelled_share=0.5), candidate=Arm(labelled_share=0.5)), looks=10)
    # Of requests at even pace for one mean delay, 1/e have their outcome by then.
    assert world.outcomes / (0.5 * 600_000) == pytest.approx(1 / math.e, rel=0.02)


def test_drift_changes_both_versions() -> None:
    scenario = BY_NAME["drop"]
    world = World(replace(scenario, requests_per_second=1_000.0, label_delay_minutes=0.01), generator())
    world.weight = 50
    for _ in range(30):
        if world.seconds == 25 * 60:
            world.epoch = 2
        world.serve(60.0)
    totals = {(t.revision, t.epoch, t.result): t.value for t in world.scrape().outcomes["claims", "claim-risk"]}
    for revision in ("old", "new"):
        for epoch, accuracy in ((1, 0.89), (2, 0.79)):
            right, wrong = totals[revision, epoch, "tp"], totals[revision, epoch, "fn"]
            assert right / (right + wrong) == pytest.approx(accuracy, abs=0.01)


def test_a_customer_always_meets_the_same_version_and_counts_once_per_epoch() -> None:
    cohorts = Cohorts(customers=200, correlation=0.1, first_only=True)
    world = served(replace(BUSY, cohorts=cohorts, label_delay_minutes=0.01), looks=20)
    assert world.outcomes == 200
    world.epoch = 2
    world.serve(600.0)
    world.serve(600.0)
    assert world.outcomes == 400


def test_a_gateway_pod_that_restarts_counts_from_nothing() -> None:
    faults = Faults(gateway_pods=2, resets_per_hour=60.0)
    world = served(replace(BUSY, faults=faults), looks=5)
    assert 0 < counted(world.scrape(), 1, "le:inf") < 3 * 30_000


def test_a_missed_scrape_shows_the_one_before() -> None:
    world = served(BUSY, looks=1)
    first = world.scrape()
    world.scenario = replace(BUSY, faults=Faults(missed_scrape_share=1.0))
    world.serve(60.0)
    again = world.scrape()
    assert again.gateway == first.gateway
    assert again.outcomes == first.outcomes


# Rollouts by the shipped code -----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_rollout() -> None:
    scenario = BY_NAME["faults"]
    assert rollout.roll_out(scenario, SHIPPED, 3) == rollout.roll_out(scenario, SHIPPED, 3)


@pytest.mark.parametrize("rule", POLICIES)
def test_a_model_ten_points_worse_is_rolled_back_for_its_accuracy(rule: str) -> None:
    run = rollout.roll_out(BY_NAME["worse-10"], POLICIES[rule], 1)
    assert (run.ending, run.cause) == (Ending.ROLLED_BACK, "accuracy")
    assert run.outcomes > 0


def test_the_rollout_looks_through_the_deadline_of_the_default_policy() -> None:
    scenario = replace(BY_NAME["equal"], stable=UNLABELLED, candidate=UNLABELLED, horizon_hours=0.5)
    run = rollout.roll_out(scenario, DEFAULTS, 1)
    assert (run.ending, run.outcomes) == (Ending.UNDECIDED, 0)


def test_every_scenario_runs_to_its_first_look_under_the_shipped_rules() -> None:
    for scenario in SCENARIOS:
        run = rollout.roll_out(replace(scenario, horizon_hours=0.1), SHIPPED, 1)
        assert run.candidate_requests > 0


# Other tools' rules ---------------------------------------------------------------------------------------------------


def minute(*, failed: int = 0, slow: int = 0, requests: int = 100) -> Minute:
    """Return a minute of one rollout whose stable version is faultless."""
    buckets = np.zeros((1, 2, len(EDGES) + 1), dtype=np.int64)
    buckets[0, :, 2] = requests
    buckets[0, 1, 2] -= slow
    buckets[0, 1, 6] += slow
    return Minute(
        requests=np.array([[requests, requests]]),
        failed=np.array([[0, failed]]),
        buckets=buckets,
        outcomes=np.array([[0, 0]]),
        wrong=np.array([[0, 0]]),
    )


def looks(rule: str, minutes: list[Minute]) -> list[int]:
    """Return what a rule says after each minute."""
    judge = PEERS[rule].begin(BY_NAME["equal"], 1)
    return [int(judge.look(each)[0]) for each in minutes]


def test_flagger_rolls_back_at_the_fifth_failed_check_of_the_rollout() -> None:
    good, bad = minute(), minute(failed=2)
    assert looks("flagger-10", [bad, good, bad, good, bad, good, bad, good, bad]) == [KEEP] * 8 + [ROLL_BACK]


def test_flagger_promotes_after_five_checks_where_a_step_has_one() -> None:
    assert looks("flagger-1", [minute()] * 5) == [KEEP] * 4 + [PROMOTE]


def test_flagger_takes_the_absence_of_values_for_a_failed_check() -> None:
    assert looks("flagger-10-accuracy", [minute()] * 5) == [KEEP] * 4 + [ROLL_BACK]


def test_argo_counts_each_metric_by_itself() -> None:
    assert looks("argo-3", [minute(failed=2)] * 3 + [minute(slow=2)] * 3) == [KEEP] * 6
    assert looks("argo-3", [minute(failed=2)] * 4) == [KEEP] * 3 + [ROLL_BACK]


def test_argo_promotes_when_its_steps_are_over_though_no_outcome_came() -> None:
    assert looks("argo-3-accuracy", [minute()] * 50) == [KEEP] * 49 + [PROMOTE]


def test_a_quantile_is_interpolated_within_its_bucket_as_prometheus_does() -> None:
    buckets = np.zeros((3, len(EDGES) + 1), dtype=np.int64)
    buckets[0, 4] = 100  # 250 to 500 ms.
    buckets[1, -1] = 100
    assert quantile(buckets, 0.99) == pytest.approx([497.5, EDGES[-1], float("nan")], nan_ok=True)


def test_kayenta_agrees_with_a_search_for_the_lower_bound_of_the_interval() -> None:
    rng = generator()
    # Many zeros, as in the error rate of a quiet minute.
    control = rng.binomial(1, 0.7, size=(60, 10)) * rng.exponential(1.0, size=(60, 10))
    canary = rng.binomial(1, 0.9, size=(60, 10)) * rng.exponential(rng.uniform(1, 20, size=(60, 1)), size=(60, 10))
    expected = []
    for x, y in zip(canary, control, strict=True):
        estimate = np.median(x[:, None] - y[None, :])
        low = _lower_bound(x, y)
        expected.append(low > 0.25 * abs(estimate) and x.mean() >= y.mean())
    found = kayenta.is_high(control=control, canary=canary)
    assert 5 < found.sum() < 55
    assert found.tolist() == expected


def _lower_bound(x: np.ndarray, y: np.ndarray) -> float:
    """Search the shift at which the rank-sum test of R's wilcox.test (normal, corrected) stops rejecting."""

    def z(shift: float) -> float:
        values = np.concatenate([x - shift, y])
        ranks = np.array([(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values])
        _, ties = np.unique(values, return_counts=True)
        distance = ranks[: len(x)].sum() - len(x) * (len(x) + 1) / 2 - len(x) * len(y) / 2
        count = len(values)
        spread = (count + 1) - (ties**3 - ties).sum() / (count * (count - 1))
        return float((distance - 0.5 * np.sign(distance)) / np.sqrt(len(x) * len(y) / 12 * spread))

    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if z(middle) > kayenta.Z_NEEDED else (low, middle)
    return low


def test_the_rules_of_other_tools_meet_the_same_rates_as_the_shipped_code() -> None:
    stream = Stream(replace(BY_NAME["latency-1.5"], requests_per_second=1_000.0), 20, generator())
    seen = stream.next(np.full(20, 50.0))
    total = seen.requests.sum(axis=0)
    assert seen.slow_requests(500)[:, 1].sum() / total[1] == pytest.approx(0.006, rel=0.05)
    assert seen.failed.sum(axis=0) / total == pytest.approx([0.005, 0.005], rel=0.05)


def test_a_chunk_of_another_rule_is_reproducible_and_ends() -> None:
    runs = peers.roll_out(BY_NAME["equal"], PEERS["z"], 0)
    assert runs == peers.roll_out(BY_NAME["equal"], PEERS["z"], 0)
    assert {run.ending for run in runs} == {Ending.PROMOTED, Ending.ROLLED_BACK}


# Results --------------------------------------------------------------------------------------------------------------


def run_of(seed: int, ending: Ending = Ending.PROMOTED, requests: int = 100) -> Run:
    return Run(seed=seed, ending=ending, minutes=10.0, candidate_requests=requests, outcomes=5, cause="")


def test_results_are_added_by_seed_and_survive_a_new_start(tmp_path: Path) -> None:
    scenario = BY_NAME["equal"]
    Store(tmp_path, lambda _: "abc").add(scenario, "shipped", [run_of(1), run_of(0)])
    Store(tmp_path, lambda _: "abc").add(scenario, "shipped", [run_of(1), run_of(2)])
    assert list(Store(tmp_path, lambda _: "abc").load(scenario, "shipped")) == [0, 1, 2]


def test_results_of_other_code_or_another_scenario_are_not_added_up(tmp_path: Path) -> None:
    scenario = BY_NAME["equal"]
    Store(tmp_path, lambda _: "abc").add(scenario, "shipped", [run_of(0)])
    assert not Store(tmp_path, lambda _: "def").load(scenario, "shipped")
    assert not Store(tmp_path, lambda _: "abc").load(replace(scenario, label_delay_minutes=5.0), "shipped")
    assert Store(tmp_path, lambda _: "abc").load(replace(scenario, title="another title"), "shipped")


def test_only_what_is_missing_is_run(tmp_path: Path) -> None:
    store, jobs = Store(tmp_path, lambda _: "abc"), plan.jobs(scenarios=("worse-10",), rules=("shipped",), runs=50)
    assert [chunk[2:] for chunk in running.missing(jobs, store)] == [(0, 40), (40, 10)]
    store.add(BY_NAME["worse-10"], "shipped", [run_of(seed) for seed in range(40)])
    assert [chunk[2:] for chunk in running.missing(jobs, store)] == [(40, 10)]
    running.run(jobs, store, processes=1, console=Console(quiet=True))
    assert not running.missing(jobs, store)


def is_running(process: str) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.timeout(300)
def test_processes_that_simulate_do_not_outlive_the_one_that_started_them(tmp_path: Path) -> None:
    arguments = ["--scenario", "equal", "--rule", "shipped", "--runs", "100000", "--results", str(tmp_path)]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-m", "claims_decisions", *arguments]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL) as started:
        try:
            children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
            while not (found := children.read_text().split()):
                time.sleep(0.1)
        finally:
            started.kill()
    while any(is_running(child) for child in found):
        time.sleep(0.1)


def test_a_target_is_kept_by_its_upper_bound_and_not_by_what_was_seen() -> None:
    target = next(target for target in targets.TARGETS if target.scenario == "equal")
    few = Tally(runs=tuple(run_of(seed) for seed in range(50)))
    many = Tally(runs=tuple(run_of(seed) for seed in range(1_000)))
    assert not targets.measure(target, few).is_kept
    assert targets.measure(target, many).is_kept


def test_every_target_is_in_the_plan() -> None:
    planned = {(job.scenario.name, job.rule) for job in plan.jobs()}
    assert {(target.scenario, "shipped") for target in targets.TARGETS} <= planned


def test_a_table_shows_how_many_runs_it_stands_on() -> None:
    tally = Tally(runs=tuple(run_of(seed, Ending.ROLLED_BACK if seed < 3 else Ending.PROMOTED) for seed in range(300)))
    (row,) = [
        line for line in report.scenarios_table({("equal", "shipped"): tally}).splitlines() if "identical" in line
    ]
    assert f"| 300 | 1.00 % ({100 * upper_bound(3, 300):.2f} %) | 99.00 % (" in row


def test_tables_are_written_between_their_marks_only() -> None:
    text = "before\n<!-- table: targets -->\nold\n<!-- end of table -->\nafter\n"
    once = document.fill(text, {"targets": "| new |"})
    assert once == "before\n<!-- table: targets -->\n| new |\n<!-- end of table -->\nafter\n"
    assert document.fill(once, {"targets": "| new |"}) == once
    with pytest.raises(ValueError, match="there is no table targets; there are peers"):
        document.fill(text, {"peers": ""})


def test_an_unknown_scenario_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(["--scenario", "nonsense"])
    assert "there is no nonsense; there are accuracy-equal" in capsys.readouterr().err


def test_the_command_prints_a_table_and_says_what_was_not_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--scenario", "worse-5", "--rule", "shipped", "--runs", "2", "--results", str(tmp_path)]
    assert cli.main(arguments) == 1
    shown = capsys.readouterr()
    assert "| 5 points worse | 2 |" in shown.out
    assert "not reached: A model 5 points worse is promoted" in shown.err


# The short form -------------------------------------------------------------------------------------------------------


def test_the_short_form_finds_a_rule_that_promotes_everything() -> None:
    check = next(check for check in short.CHECKS if check.scenario == "worse-5")
    everything = Tally(runs=tuple(run_of(seed) for seed in range(check.runs)))
    assert "worse-5: 80 of 80 promoted, more than" in str(short.trouble(check, everything))


def test_the_short_form_finds_a_rule_that_never_decides() -> None:
    check = short.CHECKS[0]
    nothing = Tally(runs=tuple(run_of(seed, Ending.UNDECIDED) for seed in range(check.runs)))
    assert short.trouble(check, nothing) == "equal: 0% promoted, less than 80%"


@pytest.mark.parametrize("check", short.CHECKS, ids=lambda check: check.scenario)
def test_the_shipped_rules_decide_rightly(check: short.Check) -> None:
    assert short.trouble(check, short.run(check)) is None
