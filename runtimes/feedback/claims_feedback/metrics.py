"""What Prometheus sees: the totals of the database, and counters of this process.

The totals are read from the database at every scrape, so they are right from the first scrape after a restart.
"""

import itertools
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from claims_contract import metrics as names
from claims_feedback.reader import Histogram as Observed
from claims_feedback.reader import Reader, RelativeErrors, Totals
from claims_feedback.totals import DELAY_EDGES_SECONDS, SCORE_EDGES


class TotalsCollector(Collector):
    """The totals of the database.

    A stratum has 7 series, all from its first prediction, also at zero; those of cohorts, testers and the random sample
    only where there are some. A revision has 13 of its scores, and 14 of its delays from its first outcome.
    """

    def __init__(self, reader: Reader) -> None:
        """What ``reader`` raises fails the scrape: no total is better than an old one."""
        self._reader = reader

    def describe(self) -> Iterable[Metric]:
        """Name the metrics without reading the database."""
        return (*_counters([]), *_histograms([], []), *_relative_errors([], []))

    def collect(self) -> Iterator[Metric]:
        """Read the database."""
        yield from _counters(self._reader.totals())
        yield from _histograms(self._reader.scores(), self._reader.delays())
        yield from _relative_errors(
            self._reader.relative_errors(is_sample=False), self._reader.relative_errors(is_sample=True)
        )


def _counters(found: Iterable[Totals]) -> tuple[Metric, ...]:
    predictions = _counter(names.PREDICTIONS_TOTAL, "Predictions stored, but for testers'.", "decision")
    outcomes = _counter(
        names.OUTCOMES_TOTAL, "First outcomes that are evidence, by how the decision compares with them.", "result"
    )
    representative = _counter(
        names.REPRESENTATIVE_OUTCOMES_TOTAL, "First outcomes of a random sample of all predictions.", "result"
    )
    corrections = _counter(
        names.CORRECTIONS_TOTAL, "Predictions of which a later outcome differed from the first, which still counts."
    )
    others = {
        names.COHORT_REPEATS_TOTAL: "First outcomes that are no evidence, since their cohort had given some.",
        names.TESTER_PREDICTIONS_TOTAL: "Predictions for testers.",
        names.TESTER_OUTCOMES_TOTAL: "First outcomes of predictions for testers.",
    }
    families = {name: _counter(name, text) for name, text in others.items()}
    for totals in found:
        of = totals.stratum
        labels = [of.namespace, of.model, of.revision, str(of.attempt), str(of.epoch)]
        for decision, count in totals.decisions.items():
            predictions.add_metric([*labels, decision.value], count)
        if totals.numbers:
            predictions.add_metric([*labels, "number"], totals.numbers)
        for result, count in totals.results.items():
            outcomes.add_metric([*labels, result.value], count)
        for result, count in totals.representative.items():
            if any(totals.representative.values()):
                representative.add_metric([*labels, result.value], count)
        corrections.add_metric(labels, totals.corrections)
        counts = (totals.cohort_repeats, totals.tester_predictions, totals.tester_outcomes)
        for family, count in zip(families.values(), counts, strict=True):
            if count:
                family.add_metric(labels, count)
    return predictions, outcomes, representative, corrections, *families.values()


def _relative_errors(found: Iterable[RelativeErrors], of_sample: Iterable[RelativeErrors]) -> Iterator[Metric]:
    texts = {
        names.RELATIVE_ERROR: "Relative errors of numeric predictions with a first outcome that is evidence.",
        names.REPRESENTATIVE_RELATIVE_ERROR: "Relative errors of numeric predictions of a random sample.",
    }
    for (name, text), observed in zip(texts.items(), (found, of_sample), strict=True):
        family = HistogramMetricFamily(name, text, labels=list(names.STRATUM_LABELS))
        for errors in observed:
            of = errors.stratum
            labels = [of.namespace, of.model, of.revision, str(of.attempt), str(of.epoch)]
            bounds = [*names.RELATIVE_ERROR_EDGES, "+Inf"]
            family.add_metric(labels, list(zip(bounds, itertools.accumulate(errors.counts), strict=True)), None)
        yield family


def _counter(name: str, text: str, *further: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=[*names.STRATUM_LABELS, *further])


def _histograms(scores: Iterable[Observed], delays: Iterable[Observed]) -> tuple[Metric, ...]:
    return (
        _histogram(names.SCORES, "Scores of predictions, but for testers'.", SCORE_EDGES, scores),
        _histogram(
            names.LABEL_DELAY,
            "Time from when a prediction was served to when its first outcome came.",
            DELAY_EDGES_SECONDS,
            delays,
        ),
    )


def _histogram(name: str, text: str, edges: Iterable[float], found: Iterable[Observed]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=list(names.REVISION_LABELS))
    bounds = [*map(floatToGoString, edges), "+Inf"]
    for observed in found:
        cumulated = itertools.accumulate(observed.counts)
        labels = [observed.namespace, observed.model, observed.revision]
        family.add_metric(labels, list(zip(bounds, cumulated, strict=True)), observed.sum)
    return family


class Instruments:
    """The counters of this process; they start at zero with it."""

    def __init__(self, reader: Reader) -> None:
        """Make a registry of their own, together with the totals that ``reader`` reads."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        registry.register(TotalsCollector(reader))
        self.requests = Counter(
            "claims_feedback_requests_total", "Requests answered.", ["endpoint", "status"], registry=registry
        )
        self.refusals = Counter(
            "claims_feedback_refused_total",
            "Requests of which nothing was stored, by reason.",
            ["endpoint", "reason"],
            registry=registry,
        )
        self.rows = Counter(
            "claims_feedback_rows_total",
            "Events and outcomes acknowledged; a duplicate had been stored before.",
            ["kind", "result"],
            registry=registry,
        )
        self.clocks_ahead = Counter(
            "claims_feedback_events_clock_ahead_total",
            "Events from a clock ahead of ours, stored with the time at which they arrived.",
            registry=registry,
        )
        self.logger_halves = Counter(
            "claims_feedback_logger_events_total",
            "Requests and responses from KServe's logger, by what became of them.",
            ["kind", "result"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "claims_feedback_commit_seconds",
            "Duration of a commit, its wait for the disk included.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )
        self.commit_rows = Histogram(
            "claims_feedback_commit_rows",
            "Rows of a commit.",
            buckets=(1, 10, 50, 100, 250, 500, 1000, 2500, 5000),
            registry=registry,
        )
        self.queue_rows = Gauge("claims_feedback_queue_rows", "Rows that wait for their commit.", registry=registry)
        database_bytes = Gauge(
            "claims_feedback_database_bytes",
            "Size of the database with its write-ahead log.",
            registry=registry,
        )
        database_bytes.set_function(lambda: float(reader.stored_bytes()))

    def observe_commit(self, seconds: float, rows: int) -> None:
        """Count a commit that was made."""
        self.commit_seconds.observe(seconds)
        self.commit_rows.observe(rows)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
