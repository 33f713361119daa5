"""The table: redrawn on a terminal, plain lines in a log."""

import asyncio

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from claims_demo.board import Board
from claims_demo.view import View

LINES_SHOWN = 8
REDRAW_SECONDS = 0.5
PLAIN_SECONDS = 10.0
"""A log gets a line this often, and one at once when something changes."""

COLOURS = {"Pass": "green", "Fail": "red", "Error": "red"}


def say(console: Console, text: str) -> None:
    """Print text as it stands: no markup, no colours, no line breaks of the console's own."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def draw(board: Board) -> Group:
    """Return the table, the counts and the last lines of the story."""
    seen = board.seen
    head = Table(title=board.act, title_justify="left", expand=True)
    for name in ("elapsed", "state", "stable", "candidate", "weight", "doing"):
        head.add_column(name)
    head.add_row(
        f"{board.elapsed_seconds():.0f} s",
        seen.state,
        seen.stable or "-",
        seen.candidate or "-",
        f"{seen.weight_percent} %",
        board.doing,
    )
    metrics = Table(expand=True)
    for name in ("metric", "verdict", "candidate - stable", "interval", "samples (stable, candidate)"):
        metrics.add_column(name)
    for each in seen.evidence:
        samples = f"{each.stable_samples}, {each.candidate_samples}"
        verdict = Text(each.verdict, style=COLOURS.get(each.verdict, "yellow"))
        metrics.add_row(each.metric, verdict, each.estimate, each.interval, samples)
    failed = len(board.ledger.failures)
    counts = Text(_counts(board), style="bold red" if failed else "bold")
    return Group(head, metrics, counts, *(Text(line) for line in board.lines[-LINES_SHOWN:]))


def _counts(board: Board) -> str:
    ledger = board.ledger
    return (
        f"requests {ledger.sent}, failed {len(ledger.failures)}, "
        f"outcomes posted {ledger.outcomes_posted} (waiting {ledger.outcomes_due})"
    )


def describe(board: Board) -> str:
    """Return the table as one line."""
    seen = board.seen
    evidence = "; ".join(f"{each.metric} {each.verdict} {each.estimate}".rstrip() for each in seen.evidence)
    return (
        f"{board.elapsed_seconds():4.0f} s  {seen.state}  stable {seen.stable or '-'}  "
        f"candidate {seen.candidate or '-'} at {seen.weight_percent} %  [{evidence}]  {_counts(board)}  {board.doing}"
    )


def _signature(seen: View) -> tuple[object, ...]:
    """Return what makes a line in the log worth its place."""
    verdicts = tuple(each.verdict for each in seen.evidence)
    return seen.state, seen.stable, seen.candidate, seen.weight_percent, verdicts


async def show(board: Board, console: Console) -> None:
    """Show the board until cancelled."""
    if console.is_terminal:
        await _redraw(board, console)
    else:
        await _print_lines(board, console)


async def _redraw(board: Board, console: Console) -> None:
    with Live(draw(board), console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(draw(board), refresh=True)
            await asyncio.sleep(REDRAW_SECONDS)


async def _print_lines(board: Board, console: Console) -> None:
    loop = asyncio.get_running_loop()
    printed, shown, next_line = 0, None, loop.time()
    while True:
        for line in board.lines[printed:]:
            say(console, line)
        printed = len(board.lines)
        if _signature(board.seen) != shown or loop.time() >= next_line:
            shown, next_line = _signature(board.seen), loop.time() + PLAIN_SECONDS
            say(console, f"         {describe(board)}")
        await asyncio.sleep(REDRAW_SECONDS)
