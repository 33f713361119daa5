"""Run the demo: ``python -m claims_demo``. Exit 0: every act as told and no request failed; 1: not; 130: Ctrl-C."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence

from kubernetes.aio.client.exceptions import ApiException
from rich.console import Console

from claims_demo import cluster, lock, outcomes, play, preflight, report, screen, settings, stage, training, waiting
from claims_demo.board import Board
from claims_demo.ledger import Ledger

TOLD_IN_A_SENTENCE = (
    ApiException,
    cluster.JobFailedError,
    cluster.NoClusterError,
    cluster.NoKeyError,
    lock.StageTakenError,
    outcomes.OutcomesRefusedError,
    preflight.NotReadyError,
    training.NoResultError,
    waiting.WaitedInVainError,
)
"""Troubles of the cluster. Anything else is a fault of the demo, and keeps its traceback."""

LOG_COLUMNS = 160
"""How wide tables may be where no terminal says."""


def find_trouble(results: Sequence[play.Result], ledger: Ledger) -> str | None:
    """Return why the demo did not come out, or None where it did."""
    if wrong := [result.verdict.sentence for result in results if not result.verdict.as_told]:
        return wrong[0]
    if ledger.failures:
        return f"{len(ledger.failures)} of {ledger.sent} requests failed"
    return None


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def describe(error: BaseException) -> str:
    """Return what to tell of an expected trouble."""
    return cluster.describe_api_error(error) if isinstance(error, ApiException) else str(error)


def main() -> int:
    """Run, report, and return the exit code."""
    given = settings.parse()
    console = Console(stderr=given.json)
    if not console.is_terminal:
        console.width = LOG_COLUMNS
    board = Board(ledger=Ledger())
    results: list[play.Result] = []
    code = 1
    try:
        asyncio.run(stage.perform(given, board, console, results))
        trouble = find_trouble(results, board.ledger)
        code = 1 if trouble else 0
    except KeyboardInterrupt:
        trouble, code = f"{board.act}: stopped by Ctrl-C", 130
    except (ExceptionGroup, *TOLD_IN_A_SENTENCE) as error:
        if not all(isinstance(leaf, TOLD_IN_A_SENTENCE) for leaf in leaves(error)):
            raise
        trouble = f"{board.act}:\n" + "\n".join(describe(leaf) for leaf in leaves(error))
    if results or board.ledger.sent:
        report.show(console, results, board.ledger)
        report.show_next(console, given)
    screen.say(console, f"\n{trouble or 'Every act came out as told.'}")
    if given.json:
        sys.stdout.write(json.dumps(report.as_json(results, board.ledger, trouble), indent=2) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
