"""The short form: few runs, fixed seeds, bounds that a right rule would miss once in 100,000 choices of the seeds."""

import time
from dataclasses import dataclass
from typing import Final

from claims_decisions import peers, rollout
from claims_decisions.bounds import at_most
from claims_decisions.peers import PEERS
from claims_decisions.policies import SHIPPED
from claims_decisions.results import Tally
from claims_decisions.rollout import Ending
from claims_decisions.scenarios import BY_NAME

ALPHA: Final = 0.05
CHANCE: Final = 1e-5


@dataclass(frozen=True, kw_only=True)
class Check:
    """A wrong ending that may happen in at most ALPHA of all rollouts, and the right one that has to happen mostly."""

    scenario: str
    runs: int
    wrong: Ending
    right: Ending
    least_right: float = 0.8


CHECKS: Final = (
    Check(scenario="equal", runs=50, wrong=Ending.ROLLED_BACK, right=Ending.PROMOTED),
    Check(scenario="worse-2", runs=40, wrong=Ending.PROMOTED, right=Ending.ROLLED_BACK),
    Check(scenario="worse-5", runs=80, wrong=Ending.PROMOTED, right=Ending.ROLLED_BACK),
    Check(scenario="errors-5", runs=60, wrong=Ending.PROMOTED, right=Ending.ROLLED_BACK),
    Check(scenario="latency-1.5", runs=60, wrong=Ending.PROMOTED, right=Ending.ROLLED_BACK),
    Check(scenario="drop", runs=25, wrong=Ending.ROLLED_BACK, right=Ending.PROMOTED),
    Check(scenario="rise-worse-2", runs=25, wrong=Ending.PROMOTED, right=Ending.ROLLED_BACK),
    Check(scenario="bursts-1", runs=60, wrong=Ending.ROLLED_BACK, right=Ending.PROMOTED),
    Check(scenario="faults", runs=30, wrong=Ending.ROLLED_BACK, right=Ending.PROMOTED),
    Check(scenario="faults-worse-5", runs=60, wrong=Ending.PROMOTED, right=Ending.ROLLED_BACK),
)


def allowed(runs: int) -> int:
    """Return how many wrong endings of so many runs still agree with ALPHA."""
    return next(events for events in range(runs + 1) if 1 - at_most(events, runs, ALPHA) < CHANCE)


def trouble(check: Check, tally: Tally) -> str | None:
    """Return what a check found wrong; None where nothing."""
    wrong, right = tally.count(check.wrong), tally.share(check.right)
    if wrong > allowed(check.runs):
        return f"{check.scenario}: {wrong} of {check.runs} {check.wrong.value}, more than {allowed(check.runs)}"
    if right < check.least_right:
        return f"{check.scenario}: {right:.0%} {check.right.value}, less than {check.least_right:.0%}"
    return None


def run(check: Check) -> Tally:
    """Run one check's rollouts."""
    scenario = BY_NAME[check.scenario]
    return Tally(runs=tuple(rollout.roll_out(scenario, SHIPPED, seed) for seed in range(check.runs)))


def main() -> int:
    """Run all checks; return 1 where one found something wrong."""
    started, troubles = time.monotonic(), []
    for check in CHECKS:
        tally = run(check)
        found = trouble(check, tally)
        troubles += [found] if found else []
        print(
            f"{'WRONG' if found else 'right'}  {check.scenario:16} {tally.count(check.wrong):3} of {check.runs} wrongly"
            f" {check.wrong.value}, {tally.share(check.right):.0%} {check.right.value}",
            flush=True,
        )
    tally = Tally(runs=tuple(peers.roll_out(BY_NAME["equal"], PEERS["argo-0"], 0)))
    print(
        f"beside it: {tally.share(Ending.ROLLED_BACK):.0%} of identical models rolled back by {PEERS['argo-0'].title}"
    )
    print(*troubles, f"{len(CHECKS)} checks in {time.monotonic() - started:.0f} s", sep="\n")
    return 1 if troubles else 0
