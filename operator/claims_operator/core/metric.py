"""All that is known about one metric of one attempt."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, TypeVar

from claims_operator.core.comparison import (
    SHORTEST_BATCH_SECONDS,
    Comparison,
    Pending,
    pair_from_json,
    pair_to_json,
)
from claims_operator.core.limits import MARGIN_FACTORS
from claims_operator.core.pace import Pace
from claims_operator.core.questions import (
    LATENCY,
    LIMIT_FRACTIONS,
    Question,
    above_limit_test,
    gross_limit_test,
    gross_test,
    promotion_tests,
    worse_test,
)
from claims_operator.core.terms import Claim
from claims_sequential import ConfidenceSequence, Counts, OneSampleTest, Pair, RateHistory, SuddenChange, TwoSampleTest

SEED_OBSERVATIONS: Final = 1_000.0
"""What stable counted before the attempt weighs no more than so many observations."""
SCALE_MARGINS: Final = 1.5
"""The tests that allow for bursts are quickest at a difference of so many margins."""

UNKNOWN_DISPERSION: Final = 4.0
"""After n batches a dispersion of less than 1 + UNKNOWN_DISPERSION / (1 + n) is not believed where it matters most."""

Test = TypeVar("Test", TwoSampleTest, OneSampleTest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a metric cannot be judged at present."""

    is_error: bool
    """True where somebody has to change something; False where data may still come."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Burstiness:
    """How much more counts vary than those of independent events, as far as that is known."""

    measured: float = 1.0
    """Dispersion of the batches so far, at least 1."""
    batches: int | None = None
    """So many; None where less caution is asked for: a step risks less than a promotion."""

    def dispersion(self, *, more_batches: float = 0.0) -> float:
        """Return by how much evidence for the candidate is tempered, after so many more batches of the same kind."""
        if self.batches is None:
            return self.measured
        return max(self.measured, 1.0 + UNKNOWN_DISPERSION / (1.0 + self.batches + more_batches))


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerEdge:
    """Requests above a bucket edge below the latency threshold, where stable has some: a slowdown shows there first."""

    edge_milliseconds: float
    history: RateHistory
    comparison: Comparison = field(default_factory=Comparison)
    total: Pair = field(default_factory=Pair)
    """Everything that was tested."""

    def after(self, batch: Pair, epoch: int, *, seconds: float, margin: float) -> "LowerEdge":
        """Return it after the counts of one look."""
        return LowerEdge(
            edge_milliseconds=self.edge_milliseconds,
            history=self.history.after(batch.stable),
            comparison=self.comparison.after(
                batch, epoch, seconds=seconds, stable_rate=self.history.rate, least_rate=margin, limit=None
            ),
            total=self.total + batch,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the whole state."""
        return {
            "edge": self.edge_milliseconds,
            "history": self.history.to_json(),
            "comparison": self.comparison.to_json(),
            "total": pair_to_json(self.total),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls(
            edge_milliseconds=float(data["edge"]),
            history=RateHistory.from_json(data["history"]),
            comparison=Comparison.from_json(data["comparison"]),
            total=pair_from_json(data["total"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEvidence:
    """The tests of one metric, and what they were fed with.

    Against the candidate: for its decisions the exact tests `worse` and `above_limit`; for errors and latency, which
    come in bursts, the mixtures of `comparison` and the exact tests for gross faults. For it: `promotion` and
    `below_limit`.
    """

    question: Question
    history: RateHistory
    """Stable's rate, from the past only."""
    promotion: tuple[TwoSampleTest, ...]
    """One test for each of MARGIN_FACTORS."""
    below_limit: OneSampleTest | None
    worse: TwoSampleTest | None
    above_limit: OneSampleTest | None
    gross: SuddenChange[TwoSampleTest] | None
    gross_limit: SuddenChange[OneSampleTest] | None
    comparison: Comparison = field(default_factory=Comparison)
    lower: LowerEdge | None = None
    """Latency only; None where no edge is suitable."""
    total: Pair = field(default_factory=Pair)
    """Everything that was tested."""
    epoch: int = 0
    epoch_requests: float = 0.0
    """The candidate's observations in ``epoch``."""
    pace: Pace = field(default_factory=Pace)
    last_at: float | None = None
    """Time of the newest scrape, in seconds since 1970; None before the first."""
    trouble: Trouble | None = None
    """As of the latest look."""

    @classmethod
    def start(cls, question: Question) -> Self:
        """Return the evidence before the first observation."""
        limit, is_bursty = question.limit, question.is_bursty
        gross_limit = gross_limit_test(question)
        return cls(
            question=question,
            history=RateHistory(),
            promotion=promotion_tests(question),
            below_limit=None if limit is None else OneSampleTest.that_rate_is_below(limit, LIMIT_FRACTIONS),
            worse=None if is_bursty else worse_test(question),
            above_limit=None if is_bursty else above_limit_test(question),
            gross=SuddenChange.of(gross_test(question)) if is_bursty else None,
            gross_limit=SuddenChange.of(gross_limit) if is_bursty and gross_limit is not None else None,
        )

    def seeded(self, past: Counts) -> Self:
        """Return it with what stable counted before the attempt; only the first such past is taken."""
        if self.history.total or not past.total:
            return self
        return replace(self, history=_seed(past))

    def with_lower_edge(self, edge_milliseconds: float, past: Counts) -> Self:
        """Return it with a lower edge, and what stable counted there before; it takes part from the next batch on."""
        return replace(self, lower=LowerEdge(edge_milliseconds=edge_milliseconds, history=_seed(past)))

    def after(
        self, batch: Pair, epoch: int, *, seconds: float = SHORTEST_BATCH_SECONDS, lower: Pair | None = None
    ) -> "MetricEvidence":
        """Return the evidence after one batch of requests that were served in ``epoch``.

        ``seconds``: time that the batch covers. ``lower``: the same requests, counted at the lower edge.
        """
        if batch.is_empty:
            return self
        stable_rate, question, candidate = self.history.rate, self.question, batch.candidate
        gross, gross_limit, edge = self.gross, self.gross_limit, self.lower
        if edge is not None and lower is not None and not lower.is_empty:
            edge = edge.after(lower, epoch, seconds=seconds, margin=question.margin)
        return MetricEvidence(
            question=question,
            history=self.history.after(batch.stable),
            promotion=tuple([test.after(batch, stable_rate=stable_rate) for test in self.promotion]),
            below_limit=None if self.below_limit is None else self.below_limit.after(candidate),
            worse=None if self.worse is None else self.worse.after(batch, stable_rate=stable_rate),
            above_limit=None if self.above_limit is None else self.above_limit.after(candidate),
            gross=None if gross is None else gross.after(gross.test.after(batch, stable_rate=stable_rate)),
            gross_limit=None if gross_limit is None else gross_limit.after(gross_limit.test.after(candidate)),
            comparison=self.comparison.after(
                batch,
                epoch,
                seconds=seconds,
                stable_rate=stable_rate,
                least_rate=question.margin,
                limit=question.limit if question.is_bursty else None,
            ),
            lower=edge,
            total=self.total + batch,
            epoch=epoch,
            epoch_requests=self.requests_in(epoch) + candidate.total,
            pace=self.pace,
            last_at=self.last_at,
            trouble=self.trouble,
        )

    def paced(self, batch: Pair, at: float, epoch: int) -> Self:
        """Return it with the pace after a look at ``at`` that found ``batch``. Outcomes come in whatever the epoch."""
        return replace(self, pace=self.pace.after(batch, at, epoch if self.question.is_bursty else None))

    def burstiness(self, *, is_final: bool) -> Burstiness:
        """Return how bursty the differences are; ``is_final``: for a promotion, which must not come too early."""
        return self._burstiness_of(self.comparison.difference, is_final=is_final)

    def limit_burstiness(self, *, is_final: bool) -> Burstiness:
        """Return the same for the candidate's rate alone."""
        return self._burstiness_of(self.comparison.excess, is_final=is_final)

    def _burstiness_of(self, sequence: ConfidenceSequence, *, is_final: bool) -> Burstiness:
        if not self.question.is_bursty:
            return Burstiness()
        return Burstiness(measured=sequence.dispersion, batches=sequence.batches if is_final else None)

    @property
    def estimated_difference(self) -> float | None:
        """Candidate - stable, drawn towards none while there is little data: a normal prior as wide as the margin."""
        difference = self.comparison.difference
        if difference.estimate is None:
            return None
        precision = difference.precision / difference.dispersion
        return difference.estimate * precision / (precision + self.question.margin**-2)

    def requests_in(self, epoch: int) -> float:
        """Return how many observations of the candidate were made in an epoch that is the latest."""
        return self.epoch_requests if epoch == self.epoch else 0.0

    def promotion_at(self, factor: float) -> TwoSampleTest:
        """Return the test of ``factor`` (one of MARGIN_FACTORS) times the margin."""
        return self.promotion[MARGIN_FACTORS.index(factor)]

    def claims(self) -> Iterator[tuple[Claim, float]]:
        """Yield the claim and the log e-value of each test against the candidate; the question alone says which.

        The mixtures' e-values are asymptotic, the others exact: see `ConfidenceSequence`.
        """
        question, comparison = self.question, self.comparison
        if self.worse is not None:
            yield Claim.WORSE, self.worse.log_e_value
        if self.above_limit is not None:
            yield Claim.ABOVE_LIMIT, self.above_limit.log_e_value
        if self.gross is not None:
            scale = SCALE_MARGINS * question.margin
            yield Claim.WORSE, comparison.difference.log_e_value(border=0.0, scale=scale)
            yield Claim.GROSSLY_WORSE, self.gross.log_e_value
            if question.metric == LATENCY:
                lower = None if self.lower is None else self.lower.comparison.difference
                log_e_value = 0.0 if lower is None else lower.log_e_value(border=question.margin, scale=scale)
                yield Claim.SLOWER, log_e_value
        if self.gross_limit is not None:
            yield Claim.ABOVE_LIMIT, comparison.excess.log_e_value(border=0.0, scale=question.limit_scale)
            yield Claim.GROSSLY_ABOVE_LIMIT, self.gross_limit.log_e_value

    def summary(self) -> dict[str, Any]:
        """Return what a ClaimsRollout records of a step."""
        stable, candidate = self.total.stable, self.total.candidate
        logs = {
            f"promotionAtMargin{factor:g}": self.promotion_at(factor).tempered(
                self.burstiness(is_final=factor == 1).dispersion()
            )
            for factor in MARGIN_FACTORS
        }
        logs |= {claim.value: log_e_value for claim, log_e_value in self.claims()}
        if self.below_limit is not None:
            logs["belowLimit"] = self.below_limit.tempered(self.limit_burstiness(is_final=True).dispersion())
        difference = self.comparison.difference
        return {
            "stable": {"samples": round(stable.total), "bad": round(stable.bad)},
            "candidate": {"samples": round(candidate.total), "bad": round(candidate.bad)},
            "difference": difference.estimate,
            "dispersion": round(difference.dispersion, 3),
            "logEValues": {name: round(value, 3) for name, value in logs.items()},
        }

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same tests."""
        data: dict[str, Any] = {
            "question": self.question.to_json(),
            "history": self.history.to_json(),
            "promotion": [test.to_json() for test in self.promotion],
            "comparison": self.comparison.to_json(),
            "total": pair_to_json(self.total),
            "epoch": self.epoch,
            "epochRequests": self.epoch_requests,
            "pace": self.pace.to_json(),
        }
        tests = {
            "belowLimit": self.below_limit,
            "rollback": self.worse,
            "aboveLimit": self.above_limit,
            "gross": self.gross,
            "grossLimit": self.gross_limit,
            "lower": self.lower,
        }
        data |= {name: test.to_json() for name, test in tests.items() if test is not None}
        if self.last_at is not None:
            data["lastAt"] = self.last_at
        if self.trouble is not None:
            data["trouble"] = [self.trouble.is_error, self.trouble.message]
        return data

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned.

        States of before the mixtures and the gross tests go on: the comparison from its sums, the gross tests from
        here, and the damped exact tests of errors and latency, which the mixtures replace, are left behind.
        """
        question = Question.from_json(data["question"])
        fresh = cls.start(question)
        is_exact = not question.is_bursty
        return cls(
            question=question,
            history=RateHistory.from_json(data["history"]),
            promotion=tuple(TwoSampleTest.from_json(test) for test in data["promotion"]),
            below_limit=OneSampleTest.from_json(data["belowLimit"]) if "belowLimit" in data else None,
            worse=TwoSampleTest.from_json(data["rollback"]) if is_exact else None,
            above_limit=OneSampleTest.from_json(data["aboveLimit"]) if is_exact and "aboveLimit" in data else None,
            gross=_sudden(TwoSampleTest, data["gross"]) if "gross" in data else fresh.gross,
            gross_limit=_sudden(OneSampleTest, data["grossLimit"]) if "grossLimit" in data else fresh.gross_limit,
            comparison=Comparison.from_json(data["comparison"]) if "comparison" in data else _old_comparison(data),
            lower=LowerEdge.from_json(data["lower"]) if "lower" in data else None,
            total=pair_from_json(data["total"]),
            epoch=int(data["epoch"]),
            epoch_requests=float(data["epochRequests"]),
            pace=Pace.from_json(data["pace"]) if "pace" in data else Pace(),
            last_at=data.get("lastAt"),
            trouble=Trouble(is_error=data["trouble"][0], message=data["trouble"][1]) if "trouble" in data else None,
        )


def _seed(past: Counts) -> RateHistory:
    share = min(1.0, SEED_OBSERVATIONS / past.total)
    return RateHistory(total=share * past.total, bad=share * past.bad)


def _sudden(of: type[Test], data: Any) -> SuddenChange[Test]:
    return SuddenChange(test=of.from_json(data["test"]), batches=int(data["batches"]))


def _old_comparison(data: Any) -> Comparison:
    candidate = pair_from_json(data["total"]).candidate
    return Comparison(
        difference=ConfidenceSequence.from_json(data["sequence"]),
        candidate=RateHistory(total=candidate.total, bad=candidate.bad),
        pending={int(epoch): Pending(pair=pair_from_json(pair)) for epoch, pair in data["pending"].items()},
    )
