"""Runs what is missing, in processes of its own, and keeps every result at once."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from claims_decisions import peers, rollout
from claims_decisions.peers import PEERS
from claims_decisions.plan import Job
from claims_decisions.policies import POLICIES
from claims_decisions.results import Store
from claims_decisions.rollout import Run
from claims_decisions.scenarios import BY_NAME

NICENESS = 10
CHUNK = 40
"""Runs of the shipped code between two results."""

Chunk = tuple[str, str, int, int]
"""Scenario, rule, first seed and number of runs."""


def begin(parent: int) -> None:
    """Make a process that simulates: it gives way to others, and does not outlive the one that started it."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it.

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_chunk(chunk: Chunk) -> tuple[Chunk, list[Run]]:
    """Run one chunk."""
    scenario, rule, first, number = chunk
    if rule in PEERS:
        return chunk, peers.roll_out(BY_NAME[scenario], PEERS[rule], first)
    seeds = range(first, first + number)
    return chunk, [rollout.roll_out(BY_NAME[scenario], POLICIES[rule], seed) for seed in seeds]


def missing(jobs: list[Job], store: Store) -> list[Chunk]:
    """Return the chunks that are not in the store yet."""
    chunks: list[Chunk] = []
    for job in jobs:
        known = store.load(job.scenario, job.rule)
        size = peers.CHUNK if job.rule in PEERS else CHUNK
        for first in range(0, job.runs, size):
            number = size if job.rule in PEERS else min(size, job.runs - first)
            if any(seed not in known for seed in range(first, first + number)):
                chunks.append((job.scenario.name, job.rule, first, number))
    return chunks


def run(jobs: list[Job], store: Store, *, processes: int, console: Console) -> None:
    """Run what is missing. Ctrl-C loses the chunks under way, and nothing else."""
    chunks = missing(jobs, store)
    if not chunks:
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("rollouts", total=sum(number for *_, number in chunks))
        for (scenario, rule, _, number), runs in _run_all(chunks, processes):
            store.add(BY_NAME[scenario], rule, runs)
            progress.update(task, advance=number, description=f"{scenario} under {rule}")


def _run_all(chunks: list[Chunk], processes: int) -> Iterator[tuple[Chunk, list[Run]]]:
    """Yield results as they come; only a few chunks are handed out, so that Ctrl-C is quick."""
    waiting = iter(chunks)
    pool = ProcessPoolExecutor(max_workers=processes, initializer=begin, initargs=(os.getpid(),))
    under_way: set[Future[tuple[Chunk, list[Run]]]] = set()
    try:
        while True:
            under_way |= {pool.submit(run_chunk, chunk) for chunk in islice(waiting, 2 * processes - len(under_way))}
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
