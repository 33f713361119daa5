"""Rows of CSV, JSON lines and Parquet files, one at a time, however large the file is."""

import csv
import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from claims_feedback.outcomes.errors import BadRow, CannotLoad

if TYPE_CHECKING:
    import _csv


class Format(StrEnum):
    """What a file holds."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


FORMAT_OF: Final = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".parquet": Format.PARQUET,
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file, and how it is read."""

    path: Path
    format: Format
    delimiter: str = ","
    encoding: str = "utf-8-sig"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row as the file has it."""

    place: str
    """``line 7`` of a text file, counted from 1 with the header; ``row 7`` of a Parquet file, counted from 1."""
    values: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file that is open."""

    columns: tuple[str, ...] | None
    """None where each row has its own."""
    rows: Iterator[Row | BadRow]


def describe(path: Path, *, kind: Format | None, delimiter: str | None, encoding: str | None) -> Source:
    """Return how a file is read, by its name where the options leave it open; raise `CannotLoad` where that is open."""
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    found = kind or FORMAT_OF.get(suffix)
    if found is None:
        raise CannotLoad(
            f"{path}: the name does not say what the file holds. Say it with --format csv, jsonl or parquet."
        )
    return Source(
        path=path,
        format=found,
        delimiter=delimiter or ("\t" if suffix == ".tsv" else ","),
        encoding=encoding or "utf-8-sig",
    )


@contextmanager
def opened(source: Source) -> Iterator[Table]:
    """Open a file; what cannot be read at all raises `CannotLoad`, also later, from the rows."""
    try:
        if source.format is Format.PARQUET:
            yield _read_parquet(source.path)
            return
        with _open_text(source) as text:
            if source.format is Format.CSV:
                yield _read_csv(text, source)
            else:
                yield Table(columns=None, rows=_json_rows(text))
    except (OSError, EOFError) as error:
        raise CannotLoad(f"{source.path} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise CannotLoad(
            f"{source.path} is not in {source.encoding}: {error}. Say what it is in with --encoding."
        ) from error


def _open_text(source: Source) -> TextIO:
    if source.path.suffix == ".gz":
        return gzip.open(source.path, "rt", encoding=source.encoding, newline="")
    return source.path.open(encoding=source.encoding, newline="")


def _read_csv(text: TextIO, source: Source) -> Table:
    lines = csv.reader(text, delimiter=source.delimiter, strict=True)
    try:
        header = tuple(name.strip() for name in next(lines, []))
    except csv.Error as error:
        raise CannotLoad(f"{source.path}, line 1: {error}.") from error
    if not any(header):
        raise CannotLoad(f"{source.path} is empty. Its first line must name the columns.")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise CannotLoad(f"{source.path} has two columns called `{repeated[0]}`. Give each a name of its own.")
    return Table(columns=header, rows=_csv_rows(lines, header, source))


def _csv_rows(lines: "_csv.Reader", header: tuple[str, ...], source: Source) -> Iterator[Row | BadRow]:
    while True:
        place = f"line {lines.line_num + 1}"
        try:
            values = next(lines, None)
        except csv.Error as error:
            raise CannotLoad(f"{source.path}, {place}: {error}.") from error
        if values is None:
            return
        if not values:
            continue
        if len(values) != len(header):
            yield BadRow(place=place, what=f"{len(values)} values for {len(header)} columns")
        else:
            yield Row(place=place, values=dict(zip(header, values, strict=True)))


def _json_rows(text: TextIO) -> Iterator[Row | BadRow]:
    decoder = msgspec.json.Decoder(dict[str, object])
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            yield Row(place=place, values=decoder.decode(line))
        except (msgspec.DecodeError, RecursionError) as error:
            yield BadRow(place=place, what=f"no JSON object: {error}")


def _read_parquet(path: Path) -> Table:
    try:
        from claims_feedback.outcomes import parquet
    except ImportError as error:
        raise CannotLoad(
            "Parquet files need pyarrow, which is not installed here. Install claims-feedback[parquet], or write the"
            " file as CSV or JSON lines."
        ) from error
    return parquet.read(path)
