"""The command ``claims-train``: generate claims, train on claims, register what came out."""

import argparse
import datetime as dt
import json
import logging
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Final

from claims_training import generator, schema
from claims_training.errors import InvalidSetting, TrainingError

_SEMANTIC_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_ALGORITHMS: Final = (
    "random-forest",
    "xgboost",
)  # Spelled here too: importing models costs two seconds of every --help.

_MLFLOW_SETTINGS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when done, 2 when something was refused (one message on stderr)."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return int(options.run(options))
    except (TrainingError, OSError) as error:
        print(f"claims-train: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every subcommand."""
    parser = argparse.ArgumentParser(prog="claims-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_generate(commands.add_parser("generate", help="write a table of generated claims"))
    _add_train(commands.add_parser("train", help="train a model, write its package and register it in MLflow"))
    return parser


def _add_generate(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_generate)
    command.add_argument("--rows", type=_at_least(1), required=True)
    command.add_argument("--seed", type=_at_least(0), required=True)
    command.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE", help="ends in .csv or .parquet")
    command.add_argument("--start", type=_at_least(0), default=0, help="number of the first claim (default 0)")
    command.add_argument("--drift", type=float, default=0.0, help="0 (none, the default) to 1")
    command.add_argument("--missing-share", type=float, default=0.02, help="of optional numbers (default 0.02)")
    command.add_argument(
        "--label-delay-days", type=float, default=14.0, help="mean, from report to outcome (default 14)"
    )


def _add_train(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_train)
    data = command.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=pathlib.Path, metavar="FILE", help="claims, .csv or .parquet")
    data.add_argument("--generate", type=_at_least(1), metavar="ROWS", help="train on that many generated claims")
    command.add_argument("--algorithm", choices=_ALGORITHMS, required=True)
    command.add_argument("--name", type=_model_name, required=True, help="of the registered model, like claim-risk")
    command.add_argument("--version", type=_semantic_version, required=True, help="semantic, like 1.2.0")
    command.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR", help="folder of the package")
    command.add_argument(
        "--seed", type=_at_least(0), default=7, help="of generated claims, split and trees (default 7)"
    )
    command.add_argument("--trees", type=_at_least(1), help="default 200 (random-forest), 300 (xgboost)")
    command.add_argument("--max-depth", type=_at_least(1), help="of a tree; default 16 (random-forest), 4 (xgboost)")
    command.add_argument("--rows-per-tree", type=_share, help="share above 0, at most 1; default 1.0, 0.8 (xgboost)")
    command.add_argument("--threshold", type=_share, default=0.5, help="score from which a claim is referred (0.5)")
    command.add_argument(
        "--split",
        choices=("time", "random"),
        default="time",
        help="hold out the last fifth of the claims, or a random fifth (default time)",
    )
    command.add_argument(
        "--exclude-line",
        choices=schema.LINES,
        action="append",
        default=[],
        help="never train on claims of this line, though they are evaluated; repeatable",
    )
    command.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI"),
        metavar="URL",
        help="of the MLflow server (default: MLFLOW_TRACKING_URI)",
    )
    command.add_argument("--wait-seconds", type=float, default=120.0, help="for MLflow to come up (default 120)")
    command.add_argument("--alias", help="registry alias to set on the version, like champion")
    command.add_argument("--git-commit", help="of the data or code, kept as a tag of the run")
    command.add_argument("--no-register", action="store_true", help="write the package only")
    command.add_argument("--json", action="store_true", help="print one line of JSON instead of the model's URI")


def _generate(options: argparse.Namespace) -> int:
    from claims_training import table

    claims = generator.generate(
        options.rows,
        options.seed,
        start=options.start,
        drift=options.drift,
        missing_share=options.missing_share,
        label_delay_days=options.label_delay_days,
    )
    table.write(table.of_claims(claims), options.out)
    print(f"{len(claims)} claims written to {options.out}")
    return 0


def _train(options: argparse.Namespace) -> int:
    from claims_training import models, training

    if not options.no_register:
        _check_tracking_uri(options.tracking_uri)
    growth = models.Parameters(
        trees=options.trees, max_depth=options.max_depth, rows_per_tree=options.rows_per_tree, seed=options.seed
    )
    order = training.Order(
        algorithm=models.Algorithm(options.algorithm),
        data=options.data,
        generated_rows=options.generate,
        name=options.name,
        version=options.version,
        folder=options.out,
        seed=options.seed,
        growth=growth,
        threshold=options.threshold,
        split=options.split,
        excluded_lines=tuple(sorted(set(options.exclude_line))),
    )
    trained = training.train(order, now=dt.datetime.now(dt.UTC))
    answer: dict[str, object] = {
        "name": options.name,
        "version": options.version,
        "digest": trained.package.digest,
        "package": str(trained.package.folder),
        "metrics": dict(trained.metrics),
    }
    if options.no_register:
        print(json.dumps(answer) if options.json else trained.package.folder)
        return 0
    # MLflow reads these when it is imported, which takes seconds, so that is done only here. It must not phone home,
    # nor look for git, nor print to where scripts read the answer.
    for variable, value in _MLFLOW_SETTINGS.items():
        os.environ.setdefault(variable, value)
    from claims_training import registry

    registry.wait_until_up(options.tracking_uri, timeout_seconds=options.wait_seconds)
    tags = {"mlflow.source.git.commit": options.git_commit} if options.git_commit else {}
    record = registry.Record(parameters=trained.parameters, metrics=trained.metrics, tags={**trained.tags, **tags})
    registered = registry.register(
        options.tracking_uri,
        trained.package,
        name=options.name,
        version=options.version,
        record=record,
        alias=options.alias,
    )
    if registered.existed:
        logging.getLogger(__name__).info("%s %s was registered already: nothing to do", options.name, options.version)
    answer |= {"uri": registered.uri, "modelVersion": registered.number, "existed": registered.existed}
    print(json.dumps(answer) if options.json else registered.uri)
    return 0


def _check_tracking_uri(uri: str | None) -> None:
    if uri is None:
        msg = "no MLflow server is named: write --tracking-uri http://HOST:PORT, or --no-register"
        raise TrainingError(msg)
    if not uri.startswith(("http://", "https://")):
        msg = f"--tracking-uri is {uri!r}; write the address of an MLflow server, like http://mlflow:5000"
        raise TrainingError(msg)


def _at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < minimum:
            msg = f"{text!r} is not a whole number of {minimum} or more"
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return parse


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        msg = f"{text!r} is not a number above 0 and at most 1"
        raise argparse.ArgumentTypeError(msg)
    return value


def _semantic_version(text: str) -> str:
    if _SEMANTIC_VERSION.fullmatch(text) is None:
        msg = f"{text!r} is not a semantic version; write MAJOR.MINOR.PATCH, like 1.2.0"
        raise argparse.ArgumentTypeError(msg)
    return text


def _model_name(text: str) -> str:
    try:
        return schema.check_model_name(text)
    except InvalidSetting as error:
        raise argparse.ArgumentTypeError(str(error)) from error
