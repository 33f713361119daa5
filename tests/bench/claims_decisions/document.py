"""Puts tables between their marks in a Markdown file."""

import re
from collections.abc import Mapping
from pathlib import Path

MARKED = re.compile(r"(?P<begin><!-- table: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL)


def fill(text: str, tables: Mapping[str, str]) -> str:
    """Return the text with each marked table written again; a mark of an unknown table is an error."""

    def written(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in tables:
            raise ValueError(f"there is no table {name}; there are {', '.join(tables)}")
        return f"{match['begin']}{tables[name]}\n{match['end']}"

    return MARKED.sub(written, text)


def write(path: Path, tables: Mapping[str, str]) -> None:
    """Write the tables into a file that has marks for them."""
    path.write_text(fill(path.read_text(), tables))
