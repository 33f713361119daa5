"""What Prometheus sees: the totals of the database, and counters of this process.

The totals are read from the database at every scrape, so they are right from the first scrape after a restart.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from claims_contract import metrics as names
from claims_feedback.reader import Reader, Totals


class TotalsCollector(Collector):
    """The totals of every stratum. Every result of a stratum is there from its first prediction, also at zero."""

    def __init__(self, read: Callable[[], Iterable[Totals]]) -> None:
        """``read`` returns the totals of all strata; what it raises fails the scrape."""
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Name the metrics without reading the database."""
        return self._families()

    def collect(self) -> Iterator[Metric]:
        """Read the database."""
        predictions, outcomes, corrections = families = self._families()
        for totals in self._read():
            of = totals.stratum
            labels = [of.namespace, of.model, of.revision, str(of.attempt), str(of.epoch)]
            for decision, count in totals.decisions.items():
                predictions.add_metric([*labels, decision.value], count)
            for result, count in totals.results.items():
                outcomes.add_metric([*labels, result.value], count)
            corrections.add_metric(labels, totals.corrections)
        yield from families

    def _families(self) -> tuple[CounterMetricFamily, CounterMetricFamily, CounterMetricFamily]:
        stratum = list(names.STRATUM_LABELS)
        return (
            CounterMetricFamily(names.PREDICTIONS_TOTAL, "Predictions stored.", labels=[*stratum, "decision"]),
            CounterMetricFamily(
                names.OUTCOMES_TOTAL,
                "First outcomes joined to a prediction, by how the decision compares with them.",
                labels=[*stratum, "result"],
            ),
            CounterMetricFamily(
                names.CORRECTIONS_TOTAL,
                "Predictions of which a later outcome differed from the first, which still counts.",
                labels=stratum,
            ),
        )


class Instruments:
    """The counters of this process; they start at zero with it."""

    def __init__(self, reader: Reader) -> None:
        """Make a registry of their own, together with the totals that ``reader`` reads."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        registry.register(TotalsCollector(reader.totals))
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
