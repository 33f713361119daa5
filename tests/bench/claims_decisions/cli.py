"""``python -m claims_decisions``: run what is missing, print the tables, and say whether the targets are kept."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console

from claims_decisions import document, plots, report, running, short, targets
from claims_decisions.peers import PEERS
from claims_decisions.plan import jobs
from claims_decisions.policies import POLICIES
from claims_decisions.results import Store
from claims_decisions.scenarios import BY_NAME

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / ".build" / "bench-decisions"
PAGE = ROOT / "docs" / "decisions.md"
IMAGES = ROOT / "docs" / "images"


def _names(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return read


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="claims_decisions", description=__doc__)
    parser.add_argument("--scenario", type=_names(BY_NAME), default=(), metavar="A,B", help="only these")
    parser.add_argument("--rule", type=_names([*POLICIES, *PEERS]), default=(), metavar="A,B", help="only these")
    parser.add_argument("--runs", type=_positive, help="runs of each scenario; each has a number of its own otherwise")
    parser.add_argument("--processes", type=_positive, default=1, help="processes that simulate (default 1), with nice")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder that a later call continues")
    parser.add_argument("--tables-only", action="store_true", help="run nothing, print what is there")
    parser.add_argument("--write", action="store_true", help="write the tables and pictures of docs/decisions.md")
    parser.add_argument("--short", action="store_true", help="a minute of the same, with generous bounds, for CI")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 where every target that was measured is kept, 1 otherwise."""
    asked = parse(arguments)
    if asked.short:
        return short.main()
    console = Console(stderr=True)
    store = Store(asked.results)
    wanted = jobs(scenarios=asked.scenario, rules=asked.rule, runs=asked.runs)
    if not asked.tables_only:
        running.run(wanted, store, processes=asked.processes, console=console)
    found = report.tallies(wanted, store)
    print("\n\n".join(report.tables(found).values()))
    if asked.write:
        everything = report.tallies(jobs(), store)
        document.write(PAGE, report.tables(everything))
        plots.draw(everything, IMAGES)
    missed = [
        measured
        for target in targets.TARGETS
        if (target.scenario, "shipped") in found
        and not (measured := targets.measure(target, found[target.scenario, "shipped"])).is_kept
    ]
    for measured in missed:
        console.print(
            f"not reached: {measured.target.sentence}: {measured.bound:.4g}, at most {measured.target.limit:g}"
        )
    return 1 if missed else 0


def run() -> None:
    """Run the command; Ctrl-C is no fault, what was run is kept."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
