"""What the decisions have to keep to at confidence 0.95, and whether they did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from claims_decisions.results import Tally
from claims_decisions.rollout import Ending


@dataclass(frozen=True, kw_only=True)
class Target:
    """An upper bound for one number of one scenario under the shipped rules."""

    sentence: str
    scenario: str
    measure: str
    """A key of MEASURES."""
    limit: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A target and what was measured."""

    target: Target
    runs: int
    seen: float
    bound: float
    """What is compared with the limit: the upper 95 % bound of a share, or the median itself."""

    @property
    def is_kept(self) -> bool:
        """Whether the target is reached."""
        return self.bound <= self.target.limit


def _rolled_back(tally: Tally) -> tuple[float, float]:
    return tally.share(Ending.ROLLED_BACK, Ending.OVERDUE), tally.bound(Ending.ROLLED_BACK, Ending.OVERDUE)


def _promoted(tally: Tally) -> tuple[float, float]:
    return tally.share(Ending.PROMOTED), tally.bound(Ending.PROMOTED)


def _requests(tally: Tally) -> tuple[float, float]:
    found = tally.middle(Ending.ROLLED_BACK, "candidate_requests")
    requests = float("inf") if found is None else found
    return requests, requests


MEASURES: Final[Mapping[str, Callable[[Tally], tuple[float, float]]]] = {
    "rolled back": _rolled_back,
    "promoted": _promoted,
    "median requests": _requests,
}

TARGETS: Final = (
    Target(sentence="An identical model is rolled back", scenario="equal", measure="rolled back", limit=0.03),
    Target(sentence="A model 2 points worse is promoted at margin 2", scenario="worse-2", measure="promoted",
           limit=0.03),
    Target(sentence="A model 5 points worse is promoted", scenario="worse-5", measure="promoted", limit=0.005),
    Target(sentence="A model with 1 % errors is promoted", scenario="errors-1", measure="promoted", limit=0.01),
    Target(sentence="A model 1.5 times as slow is promoted", scenario="latency-1.5", measure="promoted", limit=0.005),
    Target(sentence="Requests that meet a model 5 points worse, accuracy alone (median)", scenario="accuracy-worse-5",
           measure="median requests", limit=2_700),
    Target(sentence="Requests that meet a model 5 points worse, three metrics (median)", scenario="worse-5",
           measure="median requests", limit=3_600),
    Target(sentence="An identical model is rolled back under bursts (cv 1)", scenario="bursts-1", measure="rolled back",
           limit=0.06),
    Target(sentence="An identical model is rolled back, sticky customers (ICC .10), by a customer's first outcome",
           scenario="cohorts-first", measure="rolled back", limit=0.06),
    Target(sentence="An identical model is rolled back, sticky customers (ICC .10), all outcomes", scenario="cohorts",
           measure="rolled back", limit=0.06),
)  # fmt: skip


def measure(target: Target, tally: Tally) -> Measured:
    """Return what a tally says about a target."""
    seen, bound = MEASURES[target.measure](tally)
    return Measured(target=target, runs=len(tally.runs), seen=seen, bound=bound)
