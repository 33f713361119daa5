"""Two clocks: what Prometheus calls a time, in the operator's."""

from datetime import datetime, timedelta
from typing import Final

TOLERANCE_SECONDS: Final = 2.0
"""Smaller differences are none (our own clock is cut to the second): times stay as Prometheus wrote them."""
LARGEST_DIFFERENCE_SECONDS: Final = 600.0
"""Clocks that differ by more are wrong, and nothing is judged by them."""


def offset_seconds(theirs: float, asked_at: datetime, answered_at: datetime, before: float) -> float:
    """Return by how much the clock of Prometheus is ahead of ours, in seconds.

    ``theirs``: what it called now, some time between ``asked_at`` and ``answered_at``.
    ``before``: the offset that was used last. It stays while it explains what is seen, so that the time of one scrape
    is the same at each look. A new one is the largest that is possible: samples look older than they are, never
    younger, so that neither stale ones count as fresh nor the settle time is cut short.
    """
    least, most = theirs - answered_at.timestamp(), theirs - asked_at.timestamp()
    if least - TOLERANCE_SECONDS <= before <= most + TOLERANCE_SECONDS:
        return before
    return most


def complaint(offset: float) -> str | None:
    """Return what is wrong with the clocks, as the end of a sentence about Prometheus; None where nothing is."""
    if abs(offset) <= LARGEST_DIFFERENCE_SECONDS:
        return None
    by = timedelta(seconds=round(abs(offset)))
    return (
        f"has a clock that is {by} {'ahead of' if offset > 0 else 'behind'} the operator's;"
        f" set both by NTP (at most {LARGEST_DIFFERENCE_SECONDS / 60:.0f} minutes are allowed for)"
    )
