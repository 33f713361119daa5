"""The command ``claims-feedback-outcomes``: ``load`` a file, ``pull`` from a database.

Exit status: 0 all is stored, 1 some rows are no outcomes (they are listed), 2 something has to be put right first,
3 the service or the database was not there for too long, 130 interrupted. Whatever it was, the same command again is
safe.
"""

import argparse
import dataclasses
import datetime as dt
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from claims_feedback import messages
from claims_feedback.outcomes import files, load, mapping, pull
from claims_feedback.outcomes.errors import CannotLoad, Unreachable
from claims_feedback.outcomes.findings import Findings
from claims_feedback.outcomes.mapping import RowMapping
from claims_feedback.outcomes.sending import Sender

DONE, BAD_ROWS, CANNOT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130

ENV_URL: Final = "CLAIMS_FEEDBACK_URL"
ENV_TOKEN: Final = "CLAIMS_FEEDBACK_TOKEN"  # noqa: S105
ENV_DATABASE_URL: Final = "CLAIMS_OUTCOMES_DATABASE_URL"

CLOCK_TOLERANCE: Final = dt.timedelta(minutes=5)
"""The service's own, unless it was set otherwise; it judges again."""

PROGRESS_SECONDS: Final = 5.0


def main() -> int:
    """Run the command of this process; return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    return run(sys.argv[1:])


def run(arguments: Sequence[str]) -> int:
    """Run a command; return the exit status. A wrong option raises `SystemExit`, as `argparse` has it."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except CannotLoad as error:
        _say(f"error: {error}")
        return CANNOT
    except Unreachable as error:
        _say(f"error: {error} What was acknowledged is stored; run it again later.")
        return UNREACHABLE
    except KeyboardInterrupt:
        _say("Interrupted. What was acknowledged is stored; run it again to go on.")
        return INTERRUPTED


def _load(options: argparse.Namespace) -> int:
    source = files.describe(options.file, kind=options.format, delimiter=options.delimiter, encoding=options.encoding)
    row_mapping, clock = _mapping(options), _clock()
    checked = load.check(source, row_mapping, clock)
    _report(checked)
    counts = f"{checked.outcomes} outcomes, {checked.without_outcome} without one yet, {checked.bad} bad"
    _say(f"{checked.rows} rows: {counts}.")
    if options.dry_run or (checked.bad and not options.skip_bad_rows):
        if checked.bad and not options.dry_run:
            _say("Nothing was sent. Mend the bad rows, or leave them out with --skip-bad-rows.")
        return BAD_ROWS if checked.bad else DONE
    with _sender(options) as sender:
        progress = load.Progress(options.progress_file, source, row_mapping, options.url)
        if progress.rows:
            _say(f"Going on after row {progress.rows}, as {options.progress_file} says.")
        read_again = Findings()
        refused = load.send(
            load.find(source, row_mapping, clock, read_again),
            sender,
            progress,
            batch_rows=options.batch_rows,
            skip_bad_rows=options.skip_bad_rows,
            observe=_Ticker(checked.outcomes),
        )
    if read_again != checked:
        raise CannotLoad(f"{source.path} changed while it was loaded. Load it again.")
    progress.finish()
    _report(refused)
    return _finish(dataclasses.replace(checked, bad=checked.bad + refused.bad), sender)


def _pull(options: argparse.Namespace) -> int:
    query = pull.Query(
        sql=_read_text(options.query_file, "--query-file"),
        column=options.watermark_column,
        kind=options.watermark_type,
        start=options.start,
        overlap=pull.DEFAULT_OVERLAP[options.watermark_type] if options.overlap is None else options.overlap,
    )
    engine = pull.connectable(_secret(options.database_url_file, ENV_DATABASE_URL, "--database-url-file"), query)
    watermark = pull.Watermark(options.state_file, query)
    row_mapping = _mapping(options)
    while True:
        status = DONE
        with _sender(options) as sender:
            try:
                pulled = pull.pull_once(
                    engine, query, watermark, row_mapping, sender, clock=_clock(), batch_rows=options.batch_rows
                )
            except Unreachable as error:
                if options.every_seconds is None:
                    raise
                _say(f"error: {error}")
            else:
                _report(pulled)
                status = _finish(pulled, sender)
        if options.every_seconds is None:
            return status
        time.sleep(options.every_seconds)


class _Ticker:
    """Says how far it is, now and then."""

    def __init__(self, outcomes: int) -> None:
        self._outcomes = outcomes
        self._said = time.monotonic()

    def __call__(self, sent: int) -> None:
        if time.monotonic() - self._said >= PROGRESS_SECONDS:
            self._said = time.monotonic()
            _say(f"{sent} of {self._outcomes} outcomes sent.")


def _report(findings: Findings) -> None:
    for row in findings.listed:
        _say(str(row))
    if findings.bad > len(findings.listed):
        _say(f"... and {findings.bad - len(findings.listed)} more bad rows.")


def _finish(findings: Findings, sender: Sender) -> int:
    """Print the counts for programs; return the exit status."""
    found = {"rows": findings.rows, "withoutOutcome": findings.without_outcome, "bad": findings.bad}
    print(json.dumps(found | dict(sender.counts)), flush=True)
    return BAD_ROWS if findings.bad else DONE


def _sender(options: argparse.Namespace) -> Sender:
    token = _secret(options.token_file, ENV_TOKEN, "--token-file").split()[0]
    if not token.isascii():
        raise CannotLoad("The token has characters that none of the service's has. Is it the right file?")
    if not options.url:
        raise CannotLoad(f"Name the feedback service with --url, or set {ENV_URL}.")
    return Sender(options.url, token, give_up_seconds=options.give_up_seconds, warn=_say)


def _secret(path: Path | None, variable: str, option: str) -> str:
    text = _read_text(path, option) if path is not None else os.environ.get(variable, "")
    if not text.strip():
        raise CannotLoad(f"Nothing is in {path or variable}. Name a file with {option}, or set {variable}.")
    return text.strip()


def _read_text(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotLoad(f"The file {path} of {option} cannot be read: {error}.") from error


def _mapping(options: argparse.Namespace) -> RowMapping:
    columns = dict(_column(text) for text in options.column)
    constants = {"namespace": options.namespace, "model": options.model, "observedAt": options.observed_at}
    constants["audit"] = "true" if options.audit else None
    plain = RowMapping()
    positive = frozenset(text.lower() for text in options.positive) or plain.positive
    negative = frozenset(text.lower() for text in options.negative) or plain.negative
    if positive & negative:
        raise CannotLoad(f"`{min(positive & negative)}` is said to be positive and negative.")
    try:
        zone = ZoneInfo(options.time_zone) if options.time_zone else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise CannotLoad(f"There is no time zone `{options.time_zone}`; write one such as Europe/Berlin.") from error
    return dataclasses.replace(
        plain,
        columns=columns,
        constants={name: value for name, value in constants.items() if value},
        positive=positive,
        negative=negative,
        zone=zone,
    )


def _column(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if name not in mapping.FIELDS or not equals or not column:
        raise CannotLoad(f"--column {text}: write FIELD=COLUMN, with a field of {', '.join(mapping.FIELDS)}.")
    return name, column


def _clock() -> messages.Clock:
    return messages.Clock(now=dt.datetime.now(dt.UTC), tolerance=CLOCK_TOLERANCE)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="claims-feedback-outcomes", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    loading = commands.add_parser("load", help="send the outcomes of a CSV, JSON lines or Parquet file")
    loading.set_defaults(command=_load)
    loading.add_argument("file", type=Path)
    loading.add_argument("--format", type=files.Format, choices=tuple(files.Format), help="default: by the file's name")
    loading.add_argument("--delimiter", help="of CSV; default: a comma, a tab for .tsv")
    loading.add_argument("--encoding", help="of CSV and JSON lines; default: utf-8")
    loading.add_argument("--dry-run", action="store_true", help="read and check every row, and send nothing")
    loading.add_argument("--skip-bad-rows", action="store_true", help="send the others; default: send nothing")
    loading.add_argument("--progress-file", type=Path, help="where to record how far it is, to go on from there")
    _add_common(loading)
    pulling = commands.add_parser("pull", help="send what is new in a database")
    pulling.set_defaults(command=_pull)
    pulling.add_argument("--query-file", type=Path, required=True, help="a SELECT with :watermark, in its order")
    pulling.add_argument("--database-url-file", type=Path, help=f"default: the variable {ENV_DATABASE_URL}")
    pulling.add_argument("--watermark-column", required=True, help="column of the query that says what is new")
    pulling.add_argument("--watermark-type", type=pull.WatermarkType, choices=tuple(pull.WatermarkType), default="time")
    pulling.add_argument(
        "--start", required=True, help="the watermark of the first run, such as 2025-01-01T00:00:00+00:00"
    )
    pulling.add_argument("--overlap", type=_whole, help="seconds or numbers to look back; default: 600, 1000; text: 0")
    pulling.add_argument("--state-file", type=Path, required=True, help="where to keep the watermark")
    pulling.add_argument("--every-seconds", type=_seconds, help="go on for ever; default: once")
    _add_common(pulling)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default=os.environ.get(ENV_URL, ""), help=f"of the service; default: ${ENV_URL}")
    parser.add_argument("--token-file", type=Path, help=f"file with the bearer token; default: ${ENV_TOKEN}")
    parser.add_argument("--namespace", help="of the ClaimsModel, where no column says it")
    parser.add_argument("--model", help="name of the ClaimsModel, where no column says it")
    parser.add_argument("--observed-at", help="moment of all outcomes, where no column says it")
    parser.add_argument("--audit", action="store_true", help="all claims were drawn at random, whatever was decided")
    parser.add_argument("--column", action="append", default=[], metavar="FIELD=COLUMN", help="e.g. claimId=claim_no")
    parser.add_argument("--positive", action="append", default=[], metavar="VALUE", help="of the outcome's column")
    parser.add_argument("--negative", action="append", default=[], metavar="VALUE", help="of the outcome's column")
    parser.add_argument("--time-zone", help="of moments that name none, such as Europe/Berlin")
    parser.add_argument("--batch-rows", type=_batch_rows, default=2_000, help="outcomes of one request; default: 2000")
    parser.add_argument(
        "--give-up-seconds", type=_seconds, default=300.0, help="how long a request is tried; default: 300"
    )


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 86400")
    return seconds


def _batch_rows(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 10000")
    return number
