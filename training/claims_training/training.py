"""From a claims table to a model package: read, check, split, fit, evaluate, write."""

import dataclasses
import datetime as dt
import logging
import pathlib
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from claims_training import evaluation, generator, models, package, schema, table
from claims_training.errors import TrainingError

GENERATED_MISSING_SHARE = 0.02
"""Unknown values in each optional number of a table generated to train on."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What to train. Exactly one of ``data`` (a file) and ``generated_rows`` is set."""

    algorithm: models.Algorithm
    data: pathlib.Path | None
    generated_rows: int | None
    name: str
    version: str
    folder: pathlib.Path
    seed: int
    growth: models.Parameters
    threshold: float
    """Score from which a claim is referred, in (0, 1]."""
    split: Literal["time", "random"]
    excluded_lines: tuple[str, ...]
    """Lines whose claims are not trained on. They stay among the held-out rows, so the metrics show the gap."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A written package, and what a tracking server keeps about its making."""

    package: package.Package
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def train(order: Order, *, now: dt.datetime) -> Trained:
    """Train as ordered and write the package to ``order.folder``; the same order gives the same digest."""
    package.check_folder(order.folder)  # Before minutes of training, not after.
    frame, source = _load(order)
    parts = evaluation.split(frame, order.split, order.seed)
    rows = parts.training[~parts.training["line"].isin(order.excluded_lines)]
    if rows[schema.OUTCOME].nunique() < 2:
        msg = f"{source}: the rows to train on hold one outcome only, or none; write more rows, or exclude fewer lines"
        raise TrainingError(msg)
    _log.info("training %s on %d of %d claims", order.algorithm, len(rows), len(frame))
    model = models.fit(order.algorithm, order.growth, rows, rows[schema.OUTCOME].to_numpy())
    metrics = evaluation.evaluate(model, parts.held_out, order.threshold)
    _log.info("held out: %s", ", ".join(f"{name} {value:g}" for name, value in metrics.items()))
    data: dict[str, str | int | list[str]] = {
        "source": source,
        "rows": len(frame),
        "trainingRows": len(rows),
        "sha256": table.content_hash(frame),
        "excludedLines": list(order.excluded_lines),
    }
    about = package.Description(
        name=order.name,
        version=order.version,
        threshold=order.threshold,
        created_at=now,
        training_cutoff=rows[schema.REPORTED_AT].max().to_pydatetime(),
        metrics=metrics,
        data=data,
    )
    written = package.write(order.folder, model, about)
    _log.info("package %s %s in %s, %s", order.name, order.version, order.folder, written.digest)
    parameters = {"algorithm": order.algorithm.value, "split": order.split, "threshold": str(order.threshold)}
    grown = models.resolve(order.algorithm, order.growth)
    parameters |= {name: str(value) for name, value in dataclasses.asdict(grown).items()}
    tags = {f"data.{key}": ",".join(value) if isinstance(value, list) else str(value) for key, value in data.items()}
    return Trained(package=written, parameters=parameters, metrics=metrics, tags=tags)


def _load(order: Order) -> tuple[pd.DataFrame, str]:
    """Return the checked table and how to name it."""
    if order.data is not None:
        return table.check(table.read(order.data), source=str(order.data)), order.data.name
    if order.generated_rows is None:
        msg = "neither a file nor a number of rows to generate is given"
        raise TrainingError(msg)
    source = f"generated, seed {order.seed}, {order.generated_rows} rows"
    claims = generator.generate(order.generated_rows, order.seed, missing_share=GENERATED_MISSING_SHARE)
    return table.check(table.of_claims(claims), source=source), source
