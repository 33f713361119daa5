"""The only reader of the wall clock."""

import datetime as dt


def now() -> dt.datetime:
    """Return the time in UTC, cut to the second: what a status can hold, so that it reads back as it was written."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)
