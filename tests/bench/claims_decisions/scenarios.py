"""What is simulated: who is compared with whom, under which traffic."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

MEDIAN_MILLISECONDS: Final = 80.0
P99_MILLISECONDS: Final = 300.0
"""Stable answers in a log-normal time with these quantiles."""

LATENCY_SIGMA: Final = math.log(P99_MILLISECONDS / MEDIAN_MILLISECONDS) / NormalDist().inv_cdf(0.99)

WHOLE: Final = ("errors", "latency", "accuracy")
ACCURACY_ONLY: Final = ("accuracy",)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one version does."""

    error_rate: float = 0.005
    slowness: float = 1.0
    """Factor of all its answer times."""
    accuracy: float = 0.89
    """Share of right decisions among those whose outcome becomes known."""
    labelled_share: float = 0.3
    """Share of decisions whose outcome becomes known."""

    def share_slower_than(self, milliseconds: float) -> float:
        """Return the probability that an answer takes longer."""
        ratio = math.log(milliseconds / (MEDIAN_MILLISECONDS * self.slowness)) / LATENCY_SIGMA
        return NormalDist().cdf(-ratio)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Both versions' accuracy changes by ``change`` at a time, as when the claims change."""

    minute: float
    change: float


@dataclass(frozen=True, kw_only=True)
class Cohorts:
    """Outcomes come from a fixed set of customers who always meet the same version, and who differ."""

    customers: int
    correlation: float
    """Of two outcomes of one customer (ICC), in (0, 1)."""
    first_only: bool
    """Whether only a customer's first outcome per epoch is evidence, as with a cohort header."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong between the gateway and the decision."""

    gateway_pods: int = 1
    resets_per_hour: float = 0.0
    """Restarts of each gateway pod: its counters start again at 0, and it takes a part of the last counts with it."""
    missed_scrape_share: float = 0.0
    """Of all looks, separately for each pod and the feedback service: Prometheus shows the scrape before."""
    failed_query_share: float = 0.0
    """Of all looks: Prometheus does not answer."""
    lost_write_share: float = 0.0
    """Of all looks: the operator dies before the state is written, and its successor goes on from the state before."""
    absence_share: float = 0.0
    """Of all looks: the operator is away for five minutes."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """What is asked of the answer times, as in spec.analysis.latency."""

    threshold_milliseconds: int = 500
    min_fraction_under: str = "0.99"
    margin: str = "0.005"
    lower_edges: tuple[int, ...] = (250,)
    """Bucket edges below the threshold that 2 to 10 % of stable's requests exceed, in milliseconds; others are of no
    use to the tests."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One row of the tables."""

    name: str
    title: str
    metrics: tuple[str, ...] = WHOLE
    """What is judged."""
    candidate: Arm = Arm()
    stable: Arm = Arm()
    requests_per_second: float = 20.0
    label_delay_minutes: float = 10.0
    """Mean of the exponential time from request to outcome."""
    drift: Drift | None = None
    burst_cv: float = 0.0
    """Coefficient of variation of each version's own error rate and share of slow answers from minute to minute."""
    cohorts: Cohorts | None = None
    faults: Faults = Faults()
    latency: Latency = Latency()
    accuracy_margin: str = "0.02"
    interval_seconds: int = 60
    """Between two looks; a multiple or a divisor of 60."""
    horizon_hours: float = 8.0
    """After this a rollout counts as undecided."""


def _arm(*, points: float = 0.0, error_rate: float = 0.005, slowness: float = 1.0) -> Arm:
    return Arm(accuracy=round(0.89 + points / 100, 4), error_rate=error_rate, slowness=slowness)


def _selected(*, sensitivity: float, specificity: float) -> Arm:
    """Return a version as it looks where outcomes are known for 60 % of its positive and 10 % of its other decisions.

    A fifth of all claims is positive. Two versions of equal accuracy look different when they decide differently.
    """
    right = 0.6 * 0.2 * sensitivity + 0.1 * 0.8 * specificity
    known = right + 0.6 * 0.8 * (1 - specificity) + 0.1 * 0.2 * (1 - sensitivity)
    return Arm(accuracy=right / known, labelled_share=known)


_MODELS: Final = (
    ("equal", "identical", _arm()),
    ("better-2", "2 points better", _arm(points=2)),
    ("worse-1", "1 point worse", _arm(points=-1)),
    ("worse-2", "2 points worse", _arm(points=-2)),
    ("worse-5", "5 points worse", _arm(points=-5)),
    ("worse-10", "10 points worse", _arm(points=-10)),
)

_P95_AT_250: Final = Latency(threshold_milliseconds=250, min_fraction_under="0.95", margin="0.01", lower_edges=())

_FAULTS: Final = Faults(
    gateway_pods=2,
    resets_per_hour=2.0,
    missed_scrape_share=0.1,
    failed_query_share=0.05,
    lost_write_share=0.05,
    absence_share=0.02,
)

SCENARIOS: Final = (
    *(
        Scenario(name=f"accuracy-{name}", title=f"{title}, accuracy alone is judged", candidate=arm,
                 metrics=ACCURACY_ONLY)
        for name, title, arm in _MODELS
    ),
    *(Scenario(name=name, title=title, candidate=arm) for name, title, arm in _MODELS),
    Scenario(name="errors-1", title="1 % errors instead of 0.5 %", candidate=_arm(error_rate=0.01)),
    Scenario(name="errors-2", title="2 % errors", candidate=_arm(error_rate=0.02)),
    Scenario(name="errors-5", title="5 % errors", candidate=_arm(error_rate=0.05)),
    Scenario(name="latency-1.5", title="1.5 times as slow, p99 judged at 500 ms", candidate=_arm(slowness=1.5)),
    Scenario(name="latency-2", title="2 times as slow, p99 judged at 500 ms", candidate=_arm(slowness=2.0)),
    Scenario(name="latency-1.5-at-250", title="1.5 times as slow, p95 judged at 250 ms", candidate=_arm(slowness=1.5),
             latency=_P95_AT_250),
    Scenario(name="equal-at-250", title="identical, p95 judged at 250 ms", latency=_P95_AT_250),
    Scenario(name="late", title="identical, outcomes after 24 h on average", label_delay_minutes=1440.0,
             interval_seconds=120, horizon_hours=48.0),
    Scenario(name="late-worse-5", title="5 points worse, outcomes after 24 h on average", candidate=_arm(points=-5),
             label_delay_minutes=1440.0, interval_seconds=120, horizon_hours=48.0),
    Scenario(name="drop", title="identical, both drop from 89 to 79 % at minute 25",
             drift=Drift(minute=25, change=-0.10)),
    Scenario(name="rise-worse-2", title="2 points worse, both rise from 79 to 89 % at minute 25",
             stable=Arm(accuracy=0.79), candidate=Arm(accuracy=0.77), drift=Drift(minute=25, change=0.10)),
    Scenario(name="bursts-0.5", title="identical, bursts (cv 0.5)", burst_cv=0.5),
    Scenario(name="bursts-1", title="identical, bursts (cv 1)", burst_cv=1.0),
    Scenario(name="bursts-1-late", title="identical, bursts (cv 1), outcomes after 24 h on average", burst_cv=1.0,
             label_delay_minutes=1440.0, interval_seconds=120, horizon_hours=48.0),
    Scenario(name="bursts-1-errors-1", title="1 % errors, bursts (cv 1)", candidate=_arm(error_rate=0.01),
             burst_cv=1.0),
    Scenario(name="bursts-1-errors-2", title="2 % errors, bursts (cv 1)", candidate=_arm(error_rate=0.02),
             burst_cv=1.0),
    Scenario(name="cohorts", title="identical, sticky customers (ICC .10, 14 outcomes each in 4 h)",
             cohorts=Cohorts(customers=6000, correlation=0.10, first_only=False), metrics=ACCURACY_ONLY),
    Scenario(name="cohorts-first", title="the same, a customer's first outcome per epoch counts",
             cohorts=Cohorts(customers=6000, correlation=0.10, first_only=True), metrics=ACCURACY_ONLY),
    Scenario(name="cohorts-worse-2", title="2 points worse, sticky customers, all outcomes", candidate=_arm(points=-2),
             cohorts=Cohorts(customers=6000, correlation=0.10, first_only=False), metrics=ACCURACY_ONLY),
    Scenario(name="cohorts-first-worse-2", title="2 points worse, sticky customers, the first outcome per epoch",
             candidate=_arm(points=-2), metrics=ACCURACY_ONLY,
             cohorts=Cohorts(customers=6000, correlation=0.10, first_only=True)),
    Scenario(name="quiet", title="identical, 1 request/s", requests_per_second=1.0, interval_seconds=300,
             horizon_hours=72.0),
    Scenario(name="quiet-worse-5", title="5 points worse, 1 request/s", candidate=_arm(points=-5),
             requests_per_second=1.0, interval_seconds=300, horizon_hours=72.0),
    Scenario(name="resets", title="identical, two gateway pods that restart twice an hour",
             faults=Faults(gateway_pods=2, resets_per_hour=2.0)),
    Scenario(name="scrapes", title="identical, 10 % of the scrapes and 5 % of the queries fail",
             faults=Faults(gateway_pods=2, missed_scrape_share=0.1, failed_query_share=0.05)),
    Scenario(name="restarts", title="identical, the operator dies at 5 % of the looks and is away after 2 %",
             faults=Faults(lost_write_share=0.05, absence_share=0.02)),
    Scenario(name="faults", title="identical, all these faults", faults=_FAULTS),
    Scenario(name="faults-worse-2", title="2 points worse, all these faults", candidate=_arm(points=-2),
             faults=_FAULTS),
    Scenario(name="faults-worse-5", title="5 points worse, all these faults", candidate=_arm(points=-5),
             faults=_FAULTS),
    Scenario(name="selective", title="equally accurate, outcomes known for 60 % of positive decisions, 10 % of others",
             stable=_selected(sensitivity=0.70, specificity=0.9375),
             candidate=_selected(sensitivity=0.90, specificity=0.8875)),
)  # fmt: skip

LABEL_MARGINS: Final = (1, 2, 3, 5)
LABEL_LOSSES: Final = (0, 2, 5, 10)
"""Margins and losses in points for which the number of outcomes is looked up."""


def outcomes_scenario(margin: int, loss: int) -> Scenario:
    """Return the scenario in which outcomes are counted until the verdict: they come at once.

    Between two looks come so many that a verdict takes about as many looks at every margin.
    """
    return Scenario(
        name=f"outcomes-margin-{margin}-loss-{loss}",
        title=f"{loss} points worse at margin {margin}",
        metrics=ACCURACY_ONLY,
        stable=Arm(labelled_share=1.0),
        candidate=Arm(accuracy=round(0.89 - loss / 100, 4), labelled_share=1.0),
        requests_per_second=round(4 / margin**2, 3),
        label_delay_minutes=0.01,
        accuracy_margin=f"{margin / 100:g}",
        horizon_hours=200.0,
    )


OUTCOMES: Final = tuple(outcomes_scenario(margin, loss) for margin in LABEL_MARGINS for loss in LABEL_LOSSES)

BY_NAME: Final = {scenario.name: scenario for scenario in (*SCENARIOS, *OUTCOMES)}
