"""Under which rules the shipped tests move a rollout: the shipped ones, and those of the study they were chosen in."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from claims_decisions.scenarios import Scenario
from claims_operator.api.reasons import Reason
from claims_operator.api.status import Candidate
from claims_operator.api.v1alpha1 import ClaimsModelSpec
from claims_operator.core import decision as shipped
from claims_operator.core import judging
from claims_operator.core.analysis import Analysis
from claims_operator.core.decision import Decision, Hold, Promote, RollBack, Shift
from claims_operator.core.facts import Facts
from claims_operator.core.limits import Gate, Limits

DEFAULT_INTERVAL_SECONDS: Final = 30


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a rollout gets from step to step."""

    name: str
    title: str
    steps: tuple[tuple[int, str], ...] | None
    """Weight in percent and least duration of each step; None for the defaults of a ClaimsModel."""

    def interval_seconds(self, scenario: Scenario) -> int:
        """Return the time between two looks; the defaults have one of their own."""
        return scenario.interval_seconds if self.steps is not None else DEFAULT_INTERVAL_SECONDS

    def spec(self, scenario: Scenario) -> ClaimsModelSpec:
        """Return the ClaimsModel that is rolled out."""
        return _spec(self, scenario)

    def limits(self, scenario: Scenario) -> Limits:
        """Return what is tested."""
        limits = judging.limits(self.spec(scenario))
        asked = scenario.metrics
        return replace(
            limits,
            errors=limits.errors if "errors" in asked else None,
            latency=limits.latency if "latency" in asked else None,
            accuracy=limits.accuracy if "accuracy" in asked else None,
        )

    def gate(self, facts: Facts, step: int) -> Gate:
        """Return what the step asks for."""
        return judging.gate(facts.spec, step)

    def decide(self, facts: Facts) -> Decision:
        """Decide one tick."""
        return shipped.decide(facts)


class Timed(Policy):
    """The study's ramp: steps end by time, and the last one with a verdict; a verdict may come at any step."""

    def gate(self, facts: Facts, step: int) -> Gate:  # noqa: ARG002
        return Gate(final=True)

    def decide(self, facts: Facts) -> Decision:
        return _verdict(facts) or _when_time_is_over(facts, is_ready=True)


class Laddered(Policy):
    """The study's gated ramp: every metric, accuracy too, must pass a wide margin at every step."""

    def decide(self, facts: Facts) -> Decision:
        candidate, analysis = _under_way(facts)
        is_last = shipped.is_last_step(facts, candidate.step)
        decided = _verdict(facts)
        if isinstance(decided, RollBack) or (decided is not None and is_last):
            return decided
        return _when_time_is_over(facts, is_ready=analysis.passed)


def _under_way(facts: Facts) -> tuple[Candidate, Analysis]:
    if facts.status.candidate is None or facts.analysis is None:
        raise AssertionError("a rollout under way has a candidate and an analysis")
    return facts.status.candidate, facts.analysis


def _verdict(facts: Facts) -> Decision | None:
    _, analysis = _under_way(facts)
    if analysis.rollback is not None:
        return RollBack(reason=Reason.ANALYSIS_FAILED, message=analysis.rollback)
    return Promote(reason=Reason.ALL_PASSED, message="every test passed") if analysis.passed else None


def _when_time_is_over(facts: Facts, *, is_ready: bool) -> Decision:
    candidate, _ = _under_way(facts)
    held = shipped.hold_until_the_step_is_over(facts, candidate)
    if held is not None:
        return held
    if not is_ready or shipped.is_last_step(facts, candidate.step):
        return Hold(reason=Reason.INCONCLUSIVE, message="not shown yet")
    step = candidate.step + 1
    weight = shipped.current_step(facts, step).weight
    return Shift(step=step, weight=weight, reason=Reason.STEP_STARTED, message=f"step {step}")


@cache
def _spec(policy: Policy, scenario: Scenario) -> ClaimsModelSpec:
    changed: dict[str, Any] = {}
    if policy.steps is not None:
        steps = [{"weight": weight, "minDuration": duration} for weight, duration in policy.steps]
        changed = {"rollout": {"steps": steps, "progressDeadline": "10d"}}
    return ClaimsModelSpec.model_validate(
        {
            "model": {"version": "2.0.0", "uri": "models:/claim-risk/2", "format": {"name": "sklearn"}},
            **changed,
            "analysis": {
                "interval": f"{policy.interval_seconds(scenario)}s",
                "latency": {
                    "thresholdMilliseconds": scenario.latency.threshold_milliseconds,
                    "minFractionUnder": scenario.latency.min_fraction_under,
                    "margin": scenario.latency.margin,
                },
                "accuracy": {"margin": scenario.accuracy_margin},
            },
        }
    )


SHIPPED: Final = Policy(
    name="shipped",
    title="shipped rules, steps 5/10/25/50 % of 10 min",
    steps=((5, "10m"), (10, "10m"), (25, "10m"), (50, "10m")),
)
DEFAULTS: Final = Policy(name="defaults", title="shipped rules and defaults (5/20/50 % of 1 min)", steps=None)
TIMED: Final = Timed(name="timed", title="the study's ramp by time, 5/10/25/50 % of 10 min", steps=SHIPPED.steps)
LADDERED: Final = Laddered(
    name="laddered",
    title="the study's gated ramp, 5/10/25/50 % of 5 min",
    steps=((5, "5m"), (10, "5m"), (25, "5m"), (50, "5m")),
)

HALF: Final = Policy(name="half", title="shipped rules, one step of 50 %", steps=((50, "1m"),))
TENTH: Final = Policy(name="tenth", title="shipped rules, one step of 10 %", steps=((10, "1m"),))

RAMPS: Final = (SHIPPED, DEFAULTS, TIMED, LADDERED)
POLICIES: Final = {policy.name: policy for policy in (*RAMPS, HALF, TENTH)}
