"""Claims tables: read, checked as a whole, written. Every problem is found before any is reported."""

import hashlib
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from pandas.api import types

from claims_training import generator, schema
from claims_training.errors import InvalidTable, Problem, TrainingError

MINIMUM_ROWS = 200
"""Fewer rows leave too little to hold out."""

_NEEDED = (schema.CLAIM_ID, schema.REPORTED_AT, *schema.FEATURE_NAMES, schema.OUTCOME)
_OPTIONAL = (schema.OUTCOME_AT, schema.TRUE_PROBABILITY)
_TIMES = (schema.REPORTED_AT, schema.OUTCOME_AT)


def read(path: pathlib.Path) -> pd.DataFrame:
    """Return the table as it stands in a .csv or .parquet file; `check` it before use."""
    if path.suffix not in {".csv", ".parquet"}:
        msg = f"{path}: write a file that ends in .csv or .parquet"
        raise TrainingError(msg)
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={schema.CLAIM_ID: str})
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise TrainingError(msg) from error
    except ValueError as error:  # What pandas and pyarrow raise for content that is not of the format.
        msg = f"{path} is not a {path.suffix[1:]} file: {error}"
        raise TrainingError(msg) from error


def write(frame: pd.DataFrame, path: pathlib.Path) -> None:
    """Write ``frame`` as .csv or .parquet, by the name's end."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        msg = f"{path}: write a file that ends in .csv or .parquet"
        raise TrainingError(msg)


def of_claims(claims: generator.Claims) -> pd.DataFrame:
    """Return generated claims as a table, with the true probabilities."""
    frame = pd.DataFrame({schema.CLAIM_ID: claims.claim_ids, schema.REPORTED_AT: claims.reported_at})
    frame = frame.join(pd.DataFrame(dict(claims.columns)))
    frame[schema.OUTCOME] = claims.outcomes
    frame[schema.OUTCOME_AT] = claims.outcome_at
    frame[schema.TRUE_PROBABILITY] = claims.probabilities
    for name in _TIMES:
        frame[name] = frame[name].dt.tz_localize("UTC")
    return frame


def check(frame: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Return the known columns of ``frame``, with exact types and in order of time.

    Raises `InvalidTable` with every problem. Columns that the schema does not know are left out.
    """
    missing = [name for name in _NEEDED if name not in frame.columns]
    problems = [Problem(column=name, row=None, message="is missing") for name in missing]
    if len(frame) < MINIMUM_ROWS:
        message = f"the table has {len(frame)} rows; {MINIMUM_ROWS} are the fewest to train on"
        problems.append(Problem(column=schema.CLAIM_ID, row=None, message=message))
    names = [name for name in (*_NEEDED, *_OPTIONAL) if name in frame.columns]
    clean = frame[names].reset_index(drop=True)
    for feature in schema.FEATURES:
        if feature.name in clean:
            problems += _check_feature(clean, feature)
    problems += _check_identifiers(clean) if schema.CLAIM_ID in clean else []
    problems += _check_times(clean)
    problems += _check_outcomes(clean)
    if problems:
        raise InvalidTable(source, problems)
    return clean.sort_values([schema.REPORTED_AT, schema.CLAIM_ID], ignore_index=True)


def content_hash(frame: pd.DataFrame) -> str:
    """Return sha256 (hex) of the rows and column names, whatever file they came from."""
    digest = hashlib.sha256(",".join(frame.columns).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _rows(wrong: "pd.Series[bool]") -> Iterator[int]:
    yield from (int(row) for row in np.flatnonzero(wrong.to_numpy(dtype=bool)))


def _each(column: "pd.Series", wrong: "pd.Series[bool]", message: str) -> Iterable[Problem]:
    for row in _rows(wrong):
        value = column.iloc[row]
        yield Problem(column=str(column.name), row=row + 1, message=message.format(value=value))


def _check_feature(clean: pd.DataFrame, feature: schema.Feature) -> list[Problem]:
    column = clean[feature.name]
    absent = column.isna()
    problems = list(_each(column, absent, "is empty, and is required")) if feature.required else []
    if feature.type == "category":
        allowed = ", ".join(feature.categories)
        unknown = ~absent & ~column.isin(feature.categories)
        problems += _each(column, unknown, f"'{{value}}' is none of {allowed}")
        clean[feature.name] = column.astype(object).where(~absent, None)
        return problems
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    problems += _each(column, ~absent & numbers.isna(), "'{value}' is not a number")
    outside = (numbers < feature.minimum) | (numbers > feature.maximum)
    problems += _each(
        column, outside, f"{{value}} is outside {feature.minimum:g} to {feature.maximum:g}, both included"
    )
    clean[feature.name] = numbers
    return problems


def _check_identifiers(clean: pd.DataFrame) -> list[Problem]:
    column = clean[schema.CLAIM_ID]
    text = column.astype(str)
    problems = list(_each(column, column.isna() | (text == ""), "is empty, and is required"))
    problems += _each(column, text.duplicated() & column.notna(), "'{value}' names an earlier row too")
    clean[schema.CLAIM_ID] = text
    return problems


def _check_times(clean: pd.DataFrame) -> list[Problem]:
    problems: list[Problem] = []
    for name in _TIMES:
        if name not in clean:
            continue
        column = clean[name]
        if types.is_numeric_dtype(column):
            # Pandas would take numbers for nanoseconds since 1970.
            problems.append(
                Problem(column=name, row=None, message="holds numbers; write times as 2026-01-31T12:00:00Z")
            )
            continue
        times = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
        problems += _each(column, times.isna() & column.notna(), "'{value}' is not a time like 2026-01-31T12:00:00Z")
        if name == schema.REPORTED_AT:
            problems += _each(column, column.isna(), "is empty, and is required")
        clean[name] = times
    if not problems and all(name in clean for name in _TIMES):
        early = clean[schema.OUTCOME_AT] < clean[schema.REPORTED_AT]
        problems += _each(clean[schema.OUTCOME_AT], early, f"{{value}} is before {schema.REPORTED_AT}")
    return problems


def _check_outcomes(clean: pd.DataFrame) -> list[Problem]:
    problems: list[Problem] = []
    if schema.OUTCOME in clean:
        column = clean[schema.OUTCOME]
        numbers = pd.to_numeric(column, errors="coerce")
        wrong = ~numbers.isin([0, 1])
        problems += _each(column, wrong, "'{value}' is neither 0 nor 1")
        if not wrong.any() and numbers.nunique() == 1:
            message = f"every row is {numbers.iloc[0]:g}; a model needs both 0 and 1 to learn from"
            problems.append(Problem(column=schema.OUTCOME, row=None, message=message))
        clean[schema.OUTCOME] = numbers.where(~wrong, 0).astype(np.int8)
    if schema.TRUE_PROBABILITY in clean:
        column = clean[schema.TRUE_PROBABILITY]
        numbers = pd.to_numeric(column, errors="coerce")
        problems += _each(column, ~numbers.between(0, 1), "'{value}' is not a probability from 0 to 1")
        clean[schema.TRUE_PROBABILITY] = numbers
    return problems
