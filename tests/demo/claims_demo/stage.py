"""Sets the stage: looks whether all is there, connects, turns the screen on, and plays."""

import asyncio
import contextlib

from rich.console import Console

from claims_demo import cluster, lock, play, preflight, screen
from claims_demo.board import Board
from claims_demo.settings import Settings


async def perform(given: Settings, board: Board, console: Console, results: list[play.Result]) -> None:
    """Play with the screen on; ``results`` grows act by act, so that an interrupted play leaves what it had."""
    shown = asyncio.create_task(screen.show(board, console))
    try:
        await preflight.check(given)
        async with cluster.connect(given.kubeconfig, given.namespace) as kubernetes:
            token = given.feedback_token or await kubernetes.read_secret(given.feedback_secret)
            performance = play.Play(given, kubernetes, board, token=token, results=results)
            await kubernetes.ensure_namespace()
            async with lock.held(kubernetes.api, given.namespace, performance.run):
                await performance.perform()
    finally:
        shown.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await shown
