"""What the commands share: how a cluster is named, forms of output, completion of names, running to the end."""

import asyncio
import datetime as dt
import functools
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from kubectl_claims.connection import Target
from kubectl_claims.errors import Trouble

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""

MACHINE_FORMS: Final = ("json", "yaml")

COMPLETION_SECONDS: Final = 3.0
"""Nobody waits longer for a name."""

_DURATION: Final = re.compile(r"([0-9]+[smhd])+")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def utc_now() -> dt.datetime:
    """Return the time; everything else is given it."""
    return dt.datetime.now(dt.UTC)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end; after Ctrl-C, end in order with the exit code of that."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def cluster_options(command: Callable[Parameters, Result]) -> Callable[..., Result]:
    """Add the options that name a cluster and a namespace; the command gets them as ``target``."""

    @click.option("-n", "--namespace", metavar="NAME", help="Namespace; else that of the context.")
    @click.option("--context", metavar="NAME", help="Context of the kubeconfig; else its current one.")
    @click.option(
        "--kubeconfig", metavar="FILE", type=click.Path(path_type=Path), help="Else $KUBECONFIG, else ~/.kube/config."
    )
    @functools.wraps(command)
    def gather(
        *arguments: Any, namespace: str | None, context: str | None, kubeconfig: Path | None, **rest: Any
    ) -> Result:
        rest["target"] = Target(kubeconfig=kubeconfig, context=context, namespace=namespace)
        return command(*arguments, **rest)

    return gather


def output_option(*forms: str) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Add ``-o``; the command gets it as ``form``, None for the usual one."""
    return click.option("-o", "--output", "form", type=click.Choice(forms), help="Form of the output.")


def complete_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of ClaimsModels that begin so; none where the cluster cannot be asked."""
    from kubectl_claims import scene

    options = context.params
    target = Target(
        kubeconfig=options.get("kubeconfig"), context=options.get("context"), namespace=options.get("namespace")
    )
    try:
        names = asyncio.run(asyncio.wait_for(scene.list_names(target), COMPLETION_SECONDS))
    except (Trouble, TimeoutError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def model_argument(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Add the name of a ClaimsModel."""
    return click.argument("name", shell_complete=complete_names)(command)


class Duration(click.ParamType[dt.timedelta | None]):
    """A length of time: ``90s``, ``10m``, ``1h30m``, ``30d``; 0 for none."""

    name = "duration"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> dt.timedelta | None:
        """Read what was written."""
        if value is None or isinstance(value, dt.timedelta):
            return value
        if str(value) == "0":
            return None
        if not _DURATION.fullmatch(str(value)):
            self.fail(f"{value!r}: write numbers with units, for example 90s, 10m, 1h30m or 30d", parameter, context)
        parts = re.findall(r"([0-9]+)([smhd])", str(value))
        return dt.timedelta(seconds=sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts))
