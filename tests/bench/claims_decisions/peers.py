"""The rules of Flagger, Argo Rollouts and Kayenta, and a repeated z-test, re-implemented from what their source does.

Read at: flagger 15bd6ad, argo-rollouts 9f8d111, kayenta a69573be. Each looks once a minute at the same traffic and the
same ramp: 5, 10, 25, 50 and 100 % for ten minutes each where nothing else is said. A value that does not exist (no
request, no outcome in the window) fails a check of Flagger; Argo Rollouts is given the condition that its documentation
advises, which lets it pass.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from claims_decisions import kayenta
from claims_decisions.minutes import Floats, Minute, Stream
from claims_decisions.rollout import Ending, Run, generator
from claims_decisions.scenarios import Scenario

WEIGHTS: Final = np.array([5.0, 10.0, 25.0, 50.0, 100.0])
MINUTES_PER_STEP: Final = 10
END_MINUTE: Final = MINUTES_PER_STEP * len(WEIGHTS)
LAST_MINUTE: Final = 60
MIN_SUCCESS: Final = 0.99
MAX_P99_MILLISECONDS: Final = 500.0
MIN_ACCURACY: Final = 0.85
MIN_OBSERVATIONS: Final = 30
CHUNK: Final = 500
"""So many rollouts are simulated at once; chunk n has the seeds from n times CHUNK."""

Bools = npt.NDArray[np.bool_]
KEEP, PROMOTE, ROLL_BACK = 0, 1, -1


class Judge:
    """A rule at work on many rollouts: by default, the ramp by time, and a promotion at its end."""

    def __init__(self, scenario: Scenario, runs: int) -> None:
        self.scenario, self.runs = scenario, runs
        self.minute = 0

    def weights(self) -> Floats:
        """Return the candidate's share of the next minute, in percent; shape (runs,)."""
        step = min(self.minute // MINUTES_PER_STEP, len(WEIGHTS) - 1)
        return np.full(self.runs, WEIGHTS[step])

    def look(self, minute: Minute) -> npt.NDArray[np.int64]:
        """Return KEEP, PROMOTE or ROLL_BACK for each rollout."""
        self.minute += 1
        fails = self.fails(minute)
        kept = PROMOTE if self.minute >= END_MINUTE else KEEP
        return np.where(fails, ROLL_BACK, kept)

    def fails(self, minute: Minute) -> Bools:
        """Return which rollouts are to be rolled back."""
        raise NotImplementedError

    def asks(self, metric: str) -> bool:
        """Return whether the scenario judges a metric."""
        return metric in self.scenario.metrics


class Flagger(Judge):
    """``threshold`` failed checks in the whole rollout roll back; every passing one moves the weight on."""

    def __init__(self, scenario: Scenario, runs: int, *, checks_per_step: int, accuracy: bool) -> None:
        super().__init__(scenario, runs)
        self.checks_per_step, self.accuracy, self.threshold = checks_per_step, accuracy, 5
        self.passed = np.zeros(runs, dtype=np.int64)
        self.failed = np.zeros(runs, dtype=np.int64)

    def weights(self) -> Floats:
        return np.asarray(WEIGHTS[np.minimum(self.passed // self.checks_per_step, len(WEIGHTS) - 1)])

    def look(self, minute: Minute) -> npt.NDArray[np.int64]:
        good = np.ones(self.runs, dtype=np.bool_)
        if self.asks("errors"):
            good &= 1 - minute.error_share[:, 1] >= MIN_SUCCESS
        if self.asks("latency"):
            good &= minute.p99_milliseconds[:, 1] <= MAX_P99_MILLISECONDS
        if self.accuracy:
            good &= 1 - minute.wrong_share[:, 1] >= MIN_ACCURACY
        self.passed += good
        self.failed += ~good
        is_over = self.passed >= self.checks_per_step * len(WEIGHTS)
        return np.where(self.failed >= self.threshold, ROLL_BACK, np.where(is_over, PROMOTE, KEEP))


class Argo(Judge):
    """A metric with more than ``limit`` failed measurements, one a minute, aborts the rollout."""

    def __init__(self, scenario: Scenario, runs: int, *, limit: int, accuracy: str) -> None:
        super().__init__(scenario, runs)
        self.limit, self.accuracy = limit, accuracy
        self.failed = np.zeros((runs, 3), dtype=np.int64)
        self.window: list[Minute] = []

    def fails(self, minute: Minute) -> Bools:
        if self.asks("errors"):
            self.failed[:, 0] += 1 - minute.error_share[:, 1] < MIN_SUCCESS
        if self.asks("latency"):
            self.failed[:, 1] += minute.p99_milliseconds[:, 1] >= MAX_P99_MILLISECONDS
        limits = np.array([self.limit, self.limit, self.limit])
        if self.accuracy == "absolute":
            self.failed[:, 2] += 1 - minute.wrong_share[:, 1] < MIN_ACCURACY
        if self.accuracy == "relative":
            limits[2] = 0
            self.failed[:, 2] += self._is_worse_over_ten_minutes(minute)
        return np.asarray((self.failed > limits).any(axis=1))

    def _is_worse_over_ten_minutes(self, minute: Minute) -> Bools:
        self.window = [*self.window, minute][-MINUTES_PER_STEP:]
        if self.minute % MINUTES_PER_STEP:
            return np.zeros(self.runs, dtype=np.bool_)
        wrong = np.sum([each.wrong for each in self.window], axis=0)
        outcomes = np.sum([each.outcomes for each in self.window], axis=0)
        shares = np.divide(wrong, outcomes, out=np.full(wrong.shape, np.nan), where=outcomes > 0)
        return np.asarray(shares[:, 1] - shares[:, 0] > 0.01)


class Kayenta(Judge):
    """A judgement at the end of each step by Mann-Whitney tests of the minutes' values; any bad metric fails it."""

    def __init__(self, scenario: Scenario, runs: int, *, growing: bool) -> None:
        super().__init__(scenario, runs)
        self.growing = growing
        self.series: list[Floats] = []

    def fails(self, minute: Minute) -> Bools:
        values = {"errors": minute.error_share, "latency": minute.p99_milliseconds, "accuracy": minute.wrong_share}
        self.series.append(np.stack([values[metric] for metric in self.scenario.metrics], axis=2))
        failed = np.zeros(self.runs, dtype=np.bool_)
        if self.minute % MINUTES_PER_STEP or self.minute >= END_MINUTE:
            return failed  # Between two judgements, or at 100 %, where there is nothing to compare with.
        window = np.stack(self.series if self.growing else self.series[-MINUTES_PER_STEP:], axis=1)
        for metric in range(window.shape[3]):
            failed |= kayenta.is_high(control=window[:, :, 0, metric], canary=window[:, :, 1, metric])
        return failed


class RepeatedZ(Judge):
    """A z-test at 95 % for each metric, on everything counted so far, every minute once there are 30 of each arm."""

    def __init__(self, scenario: Scenario, runs: int) -> None:
        super().__init__(scenario, runs)
        self.total = np.zeros((runs, 2, 3))
        self.bad = np.zeros((runs, 2, 3))
        self.needed = NormalDist().inv_cdf(0.95)

    def fails(self, minute: Minute) -> Bools:
        slow = minute.slow_requests(self.scenario.latency.threshold_milliseconds)
        self.total += np.stack([minute.requests, minute.requests, minute.outcomes], axis=2)
        self.bad += np.stack([minute.failed, slow, minute.wrong], axis=2)
        stable, candidate = self.total[:, 0], self.total[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            pooled = self.bad.sum(axis=1) / (stable + candidate)
            variance = pooled * (1 - pooled) * (1 / stable + 1 / candidate)
            z = (self.bad[:, 1] / candidate - self.bad[:, 0] / stable) / np.sqrt(variance)
        asked = np.array([self.asks(metric) for metric in ("errors", "latency", "accuracy")])
        has_data = np.minimum(stable, candidate) >= MIN_OBSERVATIONS
        return np.asarray(((z > self.needed) & has_data & asked).any(axis=1))


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A rule by name."""

    name: str
    title: str
    judge: type[Judge]
    settings: tuple[tuple[str, object], ...] = ()

    def begin(self, scenario: Scenario, runs: int) -> Judge:
        """Return the rule before the first minute."""
        return self.judge(scenario, runs, **dict(self.settings))


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(name="flagger-1", title="Flagger, success 99 %, p99 500 ms, 1 check per step", judge=Flagger,
             settings=(("checks_per_step", 1), ("accuracy", False))),
        Peer(name="flagger-10", title="Flagger, the same, 10 checks per step", judge=Flagger,
             settings=(("checks_per_step", 10), ("accuracy", False))),
        Peer(name="flagger-10-accuracy", title="Flagger, 10 checks per step, and accuracy 85 %", judge=Flagger,
             settings=(("checks_per_step", 10), ("accuracy", True))),
        Peer(name="argo-0", title="Argo Rollouts, success 99 %, p99 500 ms, failureLimit 0", judge=Argo,
             settings=(("limit", 0), ("accuracy", ""))),
        Peer(name="argo-3", title="Argo Rollouts, the same, failureLimit 3", judge=Argo,
             settings=(("limit", 3), ("accuracy", ""))),
        Peer(name="argo-3-accuracy", title="Argo Rollouts, failureLimit 3, and accuracy 85 %", judge=Argo,
             settings=(("limit", 3), ("accuracy", "absolute"))),
        Peer(name="argo-3-relative", title="Argo Rollouts, failureLimit 3, accuracy of 10 min at most 1 point below",
             judge=Argo, settings=(("limit", 3), ("accuracy", "relative"))),
        Peer(name="kayenta-sliding", title="Kayenta, all metrics, each step's minutes", judge=Kayenta,
             settings=(("growing", False),)),
        Peer(name="kayenta-growing", title="Kayenta, all metrics, all minutes so far", judge=Kayenta,
             settings=(("growing", True),)),
        Peer(name="z", title="z-tests of all metrics, looked at every minute", judge=RepeatedZ),
    )
}  # fmt: skip


def roll_out(scenario: Scenario, peer: Peer, first_seed: int) -> list[Run]:
    """Run CHUNK rollouts; the same arguments always give the same result."""
    judge = peer.begin(scenario, CHUNK)
    stream = Stream(scenario, CHUNK, generator(f"{scenario.name}/minutes", first_seed))
    verdicts = np.zeros(CHUNK, dtype=np.int64)
    ended = np.full(CHUNK, float(LAST_MINUTE))
    requests, outcomes = np.zeros(CHUNK, dtype=np.int64), np.zeros(CHUNK, dtype=np.int64)
    for number in range(1, LAST_MINUTE + 1):
        minute = stream.next(judge.weights())
        is_open = verdicts == KEEP
        requests += np.where(is_open, minute.requests[:, 1], 0)
        outcomes += np.where(is_open, minute.outcomes.sum(axis=1), 0)
        found = np.where(is_open, judge.look(minute), KEEP)
        verdicts = np.where(is_open, found, verdicts)
        ended = np.where(found != KEEP, number, ended)
    endings = {KEEP: Ending.UNDECIDED, PROMOTE: Ending.PROMOTED, ROLL_BACK: Ending.ROLLED_BACK}
    return [
        Run(
            seed=first_seed + run,
            ending=endings[int(verdicts[run])],
            minutes=float(ended[run]),
            candidate_requests=int(requests[run]),
            outcomes=int(outcomes[run]),
            cause="",
        )
        for run in range(CHUNK)
    ]
