"""Stores events in a real service over a real database, and prints what it measured.

    PYTHONPATH=tests:tests/bench:runtimes/contract:runtimes/feedback .venv/feedback/bin/python -m feedback

Events come in batches, each acknowledged when it is on the disk. While they are sent, and at the end, the memory of the
service, the size of the database and the time of ``GET /v1/totals`` are taken. The status is 1 when a target is missed.
"""

import argparse
import contextlib
import datetime as dt
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unit.claims_feedback import postgres_server
from unit.claims_feedback.feedback_process import TOKEN, Running, running

from feedback.traffic import Load, Senders

RATE_TARGET = 3_000.0
"""Events per second."""
TOTALS_TARGET_MILLISECONDS = 50.0
MEMORY_TARGET = 1.25
"""Memory at the end, over the memory after the first tenth."""

SAMPLES = 10
HEADINGS = ("events", "events/s", "memory MB", "database MB", "totals ms", "metrics ms")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was measured when so many events were stored."""

    events: int
    seconds: float
    """Since the first was sent."""
    memory_megabytes: float
    database_megabytes: float
    totals_milliseconds: float
    """Median of five requests, with the load going on."""
    metrics_milliseconds: float


def main() -> int:
    """Measure; return the exit status."""
    options = _options()
    load = Load(
        events=options.events,
        batch_events=options.batch,
        labelled=options.labelled,
        senders=options.senders,
        time=dt.datetime.now(dt.UTC).isoformat(),
    )
    print(
        f"{load.events:,} events in batches of {load.batch_events} from {load.senders} senders,"
        f" {load.labelled:.0%} of them labelled, in {options.database}."
    )
    with (
        tempfile.TemporaryDirectory(dir=options.folder, prefix="claims-feedback-bench-") as folder,
        _settings(options.database) as settings,
        running(Path(folder), **settings) as service,
    ):
        samples = _measure(service, load)
    return _judge(samples)


@contextlib.contextmanager
def _settings(database: str) -> Iterator[dict[str, Any]]:
    if database == "sqlite":
        yield {}
    elif database == "postgres":
        with postgres_server.started() as server:
            yield {"database": server.create_database(), "database_password_file": str(server.password_file)}
    else:
        yield {"database": database}


def _measure(service: Running, load: Load) -> list[Sample]:
    senders = Senders(load, port=service.client.base_url.port or 80, token=TOKEN)
    started = time.monotonic()
    samples: list[Sample] = []
    print(" ".join(f"{heading:>12}" for heading in HEADINGS))
    senders.start()
    while senders.are_sending:
        time.sleep(0.05)
        if senders.acknowledged_events >= load.events * (len(samples) + 1) / SAMPLES and len(samples) < SAMPLES - 1:
            samples.append(_sample(service, senders.acknowledged_events, time.monotonic() - started))
            _print(samples)
    if senders.failure is not None:
        raise senders.failure
    samples.append(_sample(service, senders.acknowledged_events, time.monotonic() - started))
    _print(samples)
    _check(service, senders)
    return samples


def _sample(service: Running, events: int, seconds: float) -> Sample:
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="utf-8")
    (memory,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    text = service.client.get("/metrics").text
    (size,) = (line.split()[1] for line in text.splitlines() if line.startswith("claims_feedback_database_bytes "))
    return Sample(
        events=events,
        seconds=seconds,
        memory_megabytes=int(memory) / 1024,
        database_megabytes=float(size) / 1e6,
        totals_milliseconds=_milliseconds(service, "/v1/totals"),
        metrics_milliseconds=_milliseconds(service, "/metrics"),
    )


def _milliseconds(service: Running, path: str) -> float:
    times = []
    for _ in range(5):
        started = time.monotonic()
        service.client.get(path).raise_for_status()
        times.append(time.monotonic() - started)
    return 1000 * statistics.median(times)


def _print(samples: list[Sample]) -> None:
    """Print the last of the samples; its rate is since the one before."""
    last = samples[-1]
    before = samples[-2] if len(samples) > 1 else None
    rate = (last.events - (before.events if before else 0)) / (last.seconds - (before.seconds if before else 0))
    numbers = (last.events, rate, last.memory_megabytes, last.database_megabytes)
    times = (last.totals_milliseconds, last.metrics_milliseconds)
    print(
        " ".join([*(f"{number:>12,.0f}" for number in numbers), *(f"{number:>12.1f}" for number in times)]), flush=True
    )


def _check(service: Running, senders: Senders) -> None:
    """Hold the totals against what was acknowledged."""
    found = service.totals()
    predictions = sum(sum(each["predictions"].values()) for each in found)
    outcomes = sum(sum(each["outcomes"].values()) for each in found)
    if (predictions, outcomes) != (senders.acknowledged_events, senders.acknowledged_outcomes):
        raise RuntimeError(
            f"Acknowledged {senders.acknowledged_events} events and {senders.acknowledged_outcomes} outcomes, and"
            f" counted {predictions} and {outcomes}."
        )


def _judge(samples: list[Sample]) -> int:
    last = samples[-1]
    rate = last.events / last.seconds
    growth = last.memory_megabytes / samples[0].memory_megabytes
    totals = max(sample.totals_milliseconds for sample in samples[-1:])
    verdicts = {
        f"{rate:,.0f} events/s over all, at least {RATE_TARGET:,.0f}": rate >= RATE_TARGET,
        f"totals in {totals:.1f} ms at the end, below {TOTALS_TARGET_MILLISECONDS:.0f}": totals
        < TOTALS_TARGET_MILLISECONDS,
        f"memory {growth:.2f} times that after a tenth, below {MEMORY_TARGET}": growth < MEMORY_TARGET,
    }
    for sentence, is_met in verdicts.items():
        print(f"{'met   ' if is_met else 'MISSED'} {sentence}")
    return 0 if all(verdicts.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="feedback", description="Measure how fast the feedback service stores.")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many predictions (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=50, help="events of a request (default: %(default)s)")
    parser.add_argument("--senders", type=int, default=8, help="requests at the same time (default: %(default)s)")
    parser.add_argument("--labelled", type=float, default=0.3, help="share with an outcome (default: %(default)s)")
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, postgres (a server of its own), or a URL (default: %(default)s)"
    )
    parser.add_argument("--folder", help="where the database goes: on the disk to be measured (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
