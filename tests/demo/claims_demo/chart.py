"""A confidence sequence over time, in characters."""

from collections.abc import Iterable, Iterator

from claims_demo.board import Look

WIDTH_CHARACTERS = 61
"""Of the part that is drawn; odd, so that 0 is in the middle."""

ROWS = 16
"""At most so many looks are drawn; of more, every second, third and so on."""


def draw(metric: str, looks: Iterable[Look]) -> Iterator[str]:
    """Yield the lines of a chart of ``candidate - stable`` with its interval, one look a line, the newest last.

    Yields nothing where there were fewer than two looks with an interval.
    """
    found = [
        (look.seconds, float(each.estimate), each.bounds, each.candidate_samples)
        for look in looks
        for each in look.evidence
        if each.metric == metric and each.bounds is not None and each.estimate
    ]
    if len(found) < 2:
        return
    step = -(-len(found) // ROWS)
    shown = found[::-step][::-1]
    reach = min(1.0, max(0.1, 1.5 * max(abs(bound) for bound in shown[-1][2])))
    yield f"    {metric}: candidate - stable with its interval, in points; 0 is as good as stable, more is worse"
    half = WIDTH_CHARACTERS // 2
    yield f"    {'time':>6}{'samples':>8}  {-100 * reach:<+{half}.0f}0{100 * reach:>+{half}.0f}"
    for seconds, estimate, bounds, samples in shown:
        told = "  worse, beyond chance" if bounds[0] > 0 else ""
        yield f"    {seconds:4.0f} s {samples:7d}  {_bar(estimate, bounds, reach)}{told}"


def _bar(estimate: float, bounds: tuple[float, float], reach: float) -> str:
    cells = [" "] * WIDTH_CHARACTERS
    low, middle, high = (_cell(value, reach) for value in (bounds[0], estimate, bounds[1]))
    cells[low : high + 1] = "-" * (high + 1 - low)
    cells[WIDTH_CHARACTERS // 2] = "|"
    if bounds[0] >= -reach:
        cells[low] = "["
    if bounds[1] <= reach:
        cells[high] = "]"
    cells[middle] = "o"
    return "".join(cells)


def _cell(value: float, reach: float) -> int:
    share = (min(max(value, -reach), reach) + reach) / (2 * reach)
    return round(share * (WIDTH_CHARACTERS - 1))
