"""What the metrics of an analysis show, as rows of a table."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from kubectl_claims.objects import Object
from kubectl_claims.tables import plain_table

COLOURS: Final = {"Pass": "green", "Fail": "bold red", "Inconclusive": "yellow", "NoData": "yellow", "Error": "red"}


def show_metrics(analysis: Sequence[Object], *, wide: bool) -> Iterator[RenderableType]:
    """Yield the table, then what each metric says."""
    yield _table(analysis, wide=wide)
    yield Text()
    for metric in analysis:
        message = str(metric.get("message", ""))
        named = f"{metric.get('metric')}: "
        yield Text(message if message.startswith(named) else named + message)


def _table(analysis: Iterable[Object], *, wide: bool) -> Table:
    """Return one row per metric: verdict, estimate with its interval, samples of both; wide: the query too."""
    columns = ["METRIC", "VERDICT", "ESTIMATE", "INTERVAL", "CANDIDATE", "STABLE"]
    table = plain_table(*columns, *(["QUERY"] if wide else []))
    for metric in analysis:
        verdict = str(metric.get("verdict", "-"))
        table.add_row(
            str(metric.get("metric", "-")),
            Text(verdict, style=COLOURS.get(verdict, "")),
            str(metric.get("estimate", "-")),
            interval(metric),
            str(metric.get("candidateSamples", "-")),
            str(metric.get("stableSamples", "-")),
            *([str(metric.get("query", ""))] if wide else []),
        )
    return table


def interval(metric: Object) -> str:
    """Return the bounds of a metric's estimate; a dash where it has none."""
    bounds: Sequence[object] = metric.get("interval") or ()
    return f"[{bounds[0]}, {bounds[1]}]" if len(bounds) == 2 else "-"
