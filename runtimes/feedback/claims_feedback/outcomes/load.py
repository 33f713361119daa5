"""Loads a file: every row is read and checked before the first is sent, and sent in the file's order.

What was acknowledged is recorded, where a progress file is named, so that the same command goes on where it ended.
Without one, or with one that is lost, the file is sent again from its first row, which changes nothing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from claims_feedback import messages
from claims_feedback.outcomes import durable, files, sending
from claims_feedback.outcomes.errors import BadRow, CannotLoad
from claims_feedback.outcomes.files import Source
from claims_feedback.outcomes.findings import Findings
from claims_feedback.outcomes.mapping import RowMapping, Unreadable
from claims_feedback.outcomes.sending import Found, Sender


def find(source: Source, mapping: RowMapping, clock: messages.Clock, findings: Findings) -> Iterator[Found]:
    """Yield the outcomes of a file; count everything else in the findings."""
    with files.opened(source) as table:
        missing = mapping.missing(table.columns) if table.columns is not None else []
        if missing:
            columns = ", ".join(table.columns or ())
            raise CannotLoad(f"{source.path} has no column `{missing[0]}`. Its columns are {columns}.")
        for row in table.rows:
            findings.rows += 1
            if isinstance(row, BadRow):
                findings.add_bad([row])
                continue
            try:
                item = mapping.read(row.values, clock)
            except Unreadable as error:
                findings.add_bad([BadRow(place=row.place, what=str(error))])
                continue
            if item is None:
                findings.without_outcome += 1
                continue
            findings.outcomes += 1
            yield Found(number=findings.rows, place=row.place, item=item)


def check(source: Source, mapping: RowMapping, clock: messages.Clock) -> Findings:
    """Read a file to its end; send nothing."""
    findings = Findings()
    for _ in find(source, mapping, clock, findings):
        pass
    return findings


class Progress:
    """How far a file was acknowledged; durable where a progress file is named."""

    def __init__(self, path: Path | None, source: Source, mapping: RowMapping, url: str) -> None:
        """Read the progress file; one about another file, or one that was read otherwise, counts as none."""
        self._path = path
        state = source.path.stat()
        self._about = {"size": state.st_size, "modifiedNs": state.st_mtime_ns, "url": url}
        # Rows that were left out as bad are not, with other options.
        self._about |= {"readAs": [source.format, source.delimiter, source.encoding], "mapping": mapping.as_json()}
        self.rows = self._read()

    def record(self, rows: int) -> None:
        """Record that so many rows of the file are done with."""
        self.rows = rows
        if self._path is not None:
            try:
                durable.write(self._path, self._about | {"rows": rows})
            except OSError as error:
                raise CannotLoad(f"The progress file {self._path} cannot be written: {error}.") from error

    def finish(self) -> None:
        """Forget it: the next load of this file begins at its first row."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self) -> int:
        if self._path is None:
            return 0
        try:
            recorded: dict[str, Any] = durable.read(self._path) or {}
        except (OSError, ValueError) as error:
            raise CannotLoad(f"{self._path} is no progress file: {error}. Name another, or delete it.") from error
        rows = recorded.pop("rows", 0)
        return rows if recorded == self._about and isinstance(rows, int) else 0


def send(
    found: Iterator[Found],
    sender: Sender,
    progress: Progress,
    *,
    batch_rows: int,
    skip_bad_rows: bool,
    observe: Callable[[int], None],
) -> Findings:
    """Send what was found beyond the progress, in batches; return what the service does not take.

    ``observe`` is told the outcomes sent so far. Without ``skip_bad_rows`` the first refusal ends it, as `CannotLoad`.
    """
    refused = Findings()
    sent = 0
    batch: list[Found] = []
    for each in found:
        if each.number > progress.rows:
            batch.append(each)
        if len(batch) == batch_rows:
            refused.add_bad(sending.send_batch(batch, sender, skip_bad_rows=skip_bad_rows))
            sent += len(batch)
            progress.record(batch[-1].number)
            observe(sent)
            batch = []
    if batch:
        refused.add_bad(sending.send_batch(batch, sender, skip_bad_rows=skip_bad_rows))
        progress.record(batch[-1].number)
        observe(sent + len(batch))
    return refused
