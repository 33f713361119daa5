"""A table is checked as a whole: every problem is named, with its column and row, before anything is trained."""

import pathlib

import pandas as pd
import pytest

from claims_training import generator, schema, table
from claims_training.errors import InvalidTable, TrainingError


def claims_table(rows: int = 300) -> pd.DataFrame:
    return table.of_claims(generator.generate(rows, seed=1, missing_share=0.05))


def problems_of(frame: pd.DataFrame) -> list[str]:
    with pytest.raises(InvalidTable) as caught:
        table.check(frame, source="claims.csv")
    return [str(problem) for problem in caught.value.problems]


def changed(column: str, row: int, value: object) -> pd.DataFrame:
    """A good table with one cell changed; ``row`` counts from 1."""
    frame = claims_table()
    frame[column] = frame[column].astype(object)
    frame.loc[row - 1, column] = value
    return frame


def test_a_generated_table_is_accepted_with_exact_types() -> None:
    clean = table.check(claims_table(), source="claims")

    assert len(clean) == 300
    assert clean["claim_amount"].dtype == "float64"
    assert clean[schema.OUTCOME].dtype == "int8"
    assert str(clean[schema.REPORTED_AT].dt.tz) == "UTC"


@pytest.mark.parametrize("name", ["claims.csv", "claims.parquet"])
def test_a_file_gives_back_the_same_table(tmp_path: pathlib.Path, name: str) -> None:
    table.write(claims_table(), tmp_path / name)

    again = table.check(table.read(tmp_path / name), source=name)

    pd.testing.assert_frame_equal(again, table.check(claims_table(), source="memory"), check_dtype=False)


def test_rows_are_put_in_order_of_time() -> None:
    shuffled = claims_table().sample(frac=1, random_state=0)

    clean = table.check(shuffled, source="claims")

    assert clean[schema.REPORTED_AT].is_monotonic_increasing


def test_columns_that_the_schema_does_not_know_are_left_out() -> None:
    assert "adjuster" not in table.check(claims_table().assign(adjuster="Ann"), source="claims")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        pytest.param("claim_amount", -5.0, "-5.0 is outside 0 to 5e+06, both included", id="below-its-minimum"),
        pytest.param("claimant_age_years", 121, "121 is outside 0 to 120, both included", id="above-its-maximum"),
        pytest.param("claim_amount", float("inf"), "inf is outside 0 to 5e+06, both included", id="infinite"),
        pytest.param("prior_claims", "two", "'two' is not a number", id="text-for-a-number"),
        pytest.param("claim_amount", None, "is empty, and is required", id="required-number-is-empty"),
        pytest.param("line", "boat", "'boat' is none of auto, health, home, life", id="unknown-category"),
        pytest.param("line", None, "is empty, and is required", id="required-category-is-empty"),
        pytest.param("outcome", 2, "'2' is neither 0 nor 1", id="outcome-is-a-third-thing"),
        pytest.param("outcome", None, "'None' is neither 0 nor 1", id="outcome-is-empty"),
        pytest.param("claim_id", "claim-1-0", "'claim-1-0' names an earlier row too", id="claim-is-there-twice"),
        pytest.param("claim_id", None, "is empty, and is required", id="claim-has-no-name"),
        pytest.param("true_probability", 1.2, "'1.2' is not a probability from 0 to 1", id="no-probability"),
    ],
)
def test_a_wrong_cell_is_named_by_column_and_row(column: str, value: object, said: str) -> None:
    assert problems_of(changed(column, 42, value)) == [f"column {column}, row 42: {said}"]


def test_times_that_are_none_are_named(tmp_path: pathlib.Path) -> None:
    table.write(claims_table(), tmp_path / "claims.csv")
    frame = table.read(tmp_path / "claims.csv")
    frame.loc[6, "reported_at"] = "yesterday"

    assert problems_of(frame) == ["column reported_at, row 7: 'yesterday' is not a time like 2026-01-31T12:00:00Z"]


def test_numbers_are_not_taken_for_times() -> None:
    assert problems_of(claims_table().assign(reported_at=1)) == [
        "column reported_at: holds numbers; write times as 2026-01-31T12:00:00Z"
    ]


def test_an_outcome_before_its_claim_is_named() -> None:
    frame = claims_table()
    frame.loc[9, "outcome_at"] = frame.loc[9, "reported_at"] - pd.Timedelta(days=1)

    assert problems_of(frame) == ["column outcome_at, row 10: 2023-12-31 04:30:00+00:00 is before reported_at"]


def test_all_problems_are_reported_at_once() -> None:
    frame = claims_table(100).drop(columns=["region", "outcome"])
    frame.loc[0, "claim_amount"] = -1.0
    frame.loc[1, "cause"] = "meteor"

    assert problems_of(frame) == [
        "column region: is missing",
        "column outcome: is missing",
        "column claim_id: the table has 100 rows; 200 are the fewest to train on",
        "column cause, row 2: 'meteor' is none of accident, fire, illness, injury, storm, theft, water",
        "column claim_amount, row 1: -1.0 is outside 0 to 5e+06, both included",
    ]


def test_a_message_stays_readable_when_every_row_is_wrong() -> None:
    with pytest.raises(InvalidTable, match="has 300 problem") as caught:
        table.check(claims_table().assign(claim_amount=-1), source="claims.csv")

    assert str(caught.value).endswith("and 250 more")


def test_one_outcome_only_teaches_nothing() -> None:
    assert problems_of(claims_table().assign(outcome=0)) == [
        "column outcome: every row is 0; a model needs both 0 and 1 to learn from"
    ]


def test_optional_values_may_be_unknown() -> None:
    frame = claims_table().assign(region=None, documents_missing=float("nan"))
    del frame["outcome_at"], frame["true_probability"]

    assert len(table.check(frame, source="claims")) == 300


def test_the_hash_follows_the_content() -> None:
    frame = claims_table()

    assert table.content_hash(frame) == table.content_hash(claims_table())
    assert table.content_hash(frame) != table.content_hash(frame.assign(prior_claims=0.0))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("claims.xlsx", b"", "ends in .csv or .parquet"),
        ("claims.csv", None, "No such file"),
        ("claims.csv", b"", "is not a csv file"),
        ("claims.parquet", b"claim_id\n1\n", "is not a parquet file"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: pathlib.Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(TrainingError, match=said):
        table.read(tmp_path / name)
