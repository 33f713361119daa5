"""How results are written: tables without lines, colours on terminals only, JSON and YAML for programs."""

import io
import json
import sys
from collections.abc import Iterable
from typing import Any, Final

import click
import yaml
from rich.console import Console, RenderableType
from rich.table import Table

WIDTH_OF_A_PIPE: Final = 10_000
"""What is not a terminal has no width: nothing is folded, one row is one line."""


LONG: Final = frozenset({"NAME", "EVIDENCE", "INFO", "DETAILS", "MESSAGE", "QUERY"})
"""Columns that are folded where a terminal is too narrow."""


def plain_table(*columns: str) -> Table:
    """Return a table as kubectl writes them: a head, columns, no lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in LONG, overflow="fold")
    return table


def console() -> Console:
    """Return what writes to stdout: with colours on a terminal, unless NO_COLOR is set."""
    if sys.stdout.isatty():
        return Console(highlight=False, soft_wrap=False, emoji=False, markup=False)
    return Console(
        highlight=False, emoji=False, markup=False, width=WIDTH_OF_A_PIPE, no_color=True, force_terminal=False
    )


def show(renderables: Iterable[RenderableType]) -> None:
    """Write to stdout."""
    writer = console()
    if writer.is_terminal:
        for item in renderables:
            writer.print(item)
    else:
        click.echo(plain(renderables), nl=False)


def plain(renderables: Iterable[RenderableType]) -> str:
    """Return what a pipe gets: no colours, no folding, no blanks at the ends of lines."""
    text = io.StringIO()
    writer = Console(file=text, highlight=False, emoji=False, markup=False, width=WIDTH_OF_A_PIPE, no_color=True)
    for item in renderables:
        writer.print(item)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def dump(content: Any, form: str) -> None:
    """Write JSON or YAML to stdout."""
    if form == "json":
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120), nl=False)


def dump_documents(contents: Iterable[Any]) -> None:
    """Write YAML documents to stdout."""
    for content in contents:
        click.echo("---")
        dump(content, "yaml")
