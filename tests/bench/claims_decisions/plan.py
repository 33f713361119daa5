"""What is run, and how often: the rarer what a row is to show, the more."""

from dataclasses import dataclass
from typing import Final

from claims_decisions.peers import PEERS
from claims_decisions.policies import RAMPS, SHIPPED
from claims_decisions.scenarios import BY_NAME, OUTCOMES, SCENARIOS, Scenario

OFTEN: Final = 20_000
USUALLY: Final = 2_000
SELDOM: Final = 1_000

RARE: Final = ("equal", "worse-2", "worse-5", "worse-10", "errors-1", "latency-1.5", "accuracy-equal",
               "accuracy-worse-2", "accuracy-worse-5")  # fmt: skip
"""Scenarios whose share of wrong endings is small and stated to a tenth of a point."""
SLOW: Final = ("late", "late-worse-5", "bursts-1-late")
BOTH: Final = ("equal", "better-2", "worse-1", "worse-2", "worse-5", "worse-10", "errors-1", "errors-2", "latency-1.5",
               "accuracy-equal", "accuracy-worse-2", "accuracy-worse-5", "accuracy-worse-10")  # fmt: skip
"""Scenarios in which the shipped ramp is set beside the others."""
COMPARED: Final = tuple(policy.name for policy in RAMPS if policy is not SHIPPED)
PEERED: Final = ("equal", "better-2", "worse-1", "worse-2", "worse-5", "worse-10", "errors-1", "errors-2", "errors-5",
                 "latency-1.5", "latency-2", "late", "late-worse-5", "drop", "rise-worse-2", "bursts-1", "quiet",
                 "accuracy-equal", "accuracy-worse-2", "accuracy-worse-5")  # fmt: skip
"""Scenarios that the other tools' rules meet too."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """So many runs of a scenario under a rule."""

    scenario: Scenario
    rule: str
    """Of POLICIES or PEERS."""
    runs: int


def jobs(*, scenarios: tuple[str, ...] = (), rules: tuple[str, ...] = (), runs: int | None = None) -> list[Job]:
    """Return what is to be run: all of it, or what is named; ``runs`` overrules how often."""
    found = [Job(scenario=scenario, rule="shipped", runs=_runs(scenario.name)) for scenario in SCENARIOS]
    for name in BOTH:
        found += [Job(scenario=BY_NAME[name], rule=rule, runs=USUALLY) for rule in COMPARED]
    found += [Job(scenario=each, rule=rule, runs=SELDOM) for each in OUTCOMES for rule in ("half", "tenth")]
    for name in PEERED:
        found += [Job(scenario=BY_NAME[name], rule=rule, runs=USUALLY) for rule in PEERS]
    chosen = [
        job for job in found if (not scenarios or job.scenario.name in scenarios) and (not rules or job.rule in rules)
    ]
    return [Job(scenario=job.scenario, rule=job.rule, runs=runs or job.runs) for job in chosen]


def _runs(scenario: str) -> int:
    if scenario in RARE:
        return OFTEN
    return SELDOM if scenario in SLOW else USUALLY
