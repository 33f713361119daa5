"""``kubectl claims get --watch``: the picture again whenever something in it changed, until Ctrl-C."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Final

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from claims_contract import labels
from claims_operator.api import names
from claims_operator.api.names import Kind
from kubectl_claims import scene, tables
from kubectl_claims.connection import Api
from kubectl_claims.errors import NotFound, Trouble, Unreachable
from kubectl_claims.scene import Scene

Render = Callable[[Scene], Iterable[RenderableType]]

LEAST_SECONDS: Final = 0.5
"""Time between two reads: what changes together is read once."""
OLDEST_SECONDS: Final = 10.0
"""So often everything is read again: for the ages in it, and for whoever may read but not watch."""
ASK_AGAIN_SECONDS: Final = 2.0


async def watch(api: Api, name: str, render: Render) -> None:
    """Show the ClaimsModel until it is gone, which raises NotFound, or the caller cancels."""
    console = tables.console()
    if not console.is_terminal:
        await _append(api, name, render)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as picture:
        async with contextlib.aclosing(_scenes(api, name)) as scenes:
            async for seen in scenes:
                parts = [Text(seen, style="bold red")] if isinstance(seen, str) else list(render(seen))
                picture.update(Group(*parts), refresh=True)


async def _append(api: Api, name: str, render: Render) -> None:
    """Write the picture below the one before, where it is another; ages alone make no other."""
    before: tuple[object, ...] = ()
    async with contextlib.aclosing(_scenes(api, name)) as scenes:
        async for seen in scenes:
            if isinstance(seen, str):
                click.echo(seen, err=True)
                continue
            content = (seen.model, seen.inference_services, seen.pods, seen.unseen)
            if content != before:
                click.echo(("\n" if before else "") + tables.plain(render(seen)), nl=False)
                before = content


async def _scenes(api: Api, name: str) -> AsyncGenerator[Scene | str, None]:
    """Yield what there is to see, after each change; a sentence while the API server does not answer."""
    changed = asyncio.Event()
    seen = await scene.read(api, name)
    followed = [_follow(api, names.CLAIMS_MODEL, changed, fields=f"metadata.name={name}")]
    followed += [_follow(api, kind, changed, labels_=f"{labels.MODEL}={name}") for kind in scene.CHILDREN]
    async with _running(followed):
        yield seen
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), OLDEST_SECONDS)
            await asyncio.sleep(LEAST_SECONDS)
            changed.clear()
            try:
                yield await scene.read(api, name)
            except Unreachable as error:
                yield f"{error.message}; trying again"
                changed.set()
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            except NotFound as error:
                raise NotFound(f"ClaimsModel {name} was deleted") from error


@contextlib.asynccontextmanager
async def _running(coroutines: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run in the background for the length of a block."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(api: Api, kind: Kind, changed: asyncio.Event, *, labels_: str = "", fields: str = "") -> None:
    """Tell of every change to objects of a kind, for as long as they may be seen."""
    while True:
        try:
            async with contextlib.aclosing(api.changes(kind, labels=labels_, fields=fields)) as changes:
                async for _ in changes:
                    changed.set()
        except Unreachable:
            pass
        except Trouble:
            return
        await asyncio.sleep(ASK_AGAIN_SECONDS)
        # Whatever happened meanwhile, no watch told of it.
        changed.set()
