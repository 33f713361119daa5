import math
from typing import Any

import pytest
from mlserver.types import InferenceRequest
from unit.claims_runtime import packages

from claims_runtime import requests, schema
from claims_runtime.errors import LISTED_PROBLEMS, InvalidPackage, InvalidRequest, Problem
from claims_runtime.requests import Claims

SCHEMA = schema.parse(packages.SCHEMA)


def tensor(name: str, data: list[Any], datatype: str = "FP64", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def read(*changes: dict[str, Any], without: tuple[str, ...] = (), **fields: Any) -> Claims:
    """Read a request that is right but for what is changed: two rows, all columns."""
    inputs = {
        "line": tensor("line", ["auto", "home"], "BYTES"),
        "region": tensor("region", ["north", "south"], "BYTES"),
        "claim_amount": tensor("claim_amount", [100.0, 200.5]),
        "prior_claims": tensor("prior_claims", [0, 1], "INT64"),
    } | {change["name"]: change for change in changes}
    # The other way round: the order of the columns is the schema's, whatever the order sent.
    sent = [value for name, value in reversed(inputs.items()) if name not in without]
    return requests.read(InferenceRequest.model_validate({"inputs": sent, **fields}), SCHEMA)


def problems_of(*changes: dict[str, Any], **fields: Any) -> list[Problem]:
    with pytest.raises(InvalidRequest) as caught:
        read(*changes, **fields)
    return caught.value.problems


def test_columns_and_claim_ids_are_read() -> None:
    claims = read(tensor("claim_id", ["a", "b"], "BYTES"))
    assert list(claims.table.columns) == ["line", "region", "claim_amount", "prior_claims"]
    assert claims.table["claim_amount"].tolist() == [100.0, 200.5]
    assert claims.claim_ids == ("a", "b")


def test_columns_that_are_not_required_may_be_absent_or_empty() -> None:
    claims = read(tensor("prior_claims", [None, math.nan]), without=("region",))
    assert claims.table[["region", "prior_claims"]].isna().all(axis=None)
    assert read(tensor("region", ["", None], "BYTES")).table["region"].isna().all()
    assert claims.claim_ids == (None, None)


def test_an_unknown_category_counts_as_unknown_where_it_is_not_required() -> None:
    assert read(tensor("region", ["north", "atlantis"], "BYTES")).table["region"].isna().tolist() == [False, True]


def test_columns_may_have_the_shape_n_by_1() -> None:
    claims = read(tensor("claim_amount", [[1.0], [2.0]], shape=[2, 1]), tensor("prior_claims", [3, 4], shape=[2, 1]))
    assert claims.table["claim_amount"].tolist() == [1.0, 2.0]
    assert claims.table["prior_claims"].tolist() == [3.0, 4.0]


def test_bounds_are_inclusive() -> None:
    assert read(tensor("claim_amount", [0, 5000])).table["claim_amount"].tolist() == [0.0, 5000.0]


@pytest.mark.parametrize(
    ("change", "row", "message"),
    [
        pytest.param(tensor("claim_amount", [1, -1]), 1, "-1 is outside 0 to 5000", id="below-the-minimum"),
        pytest.param(
            tensor("claim_amount", [6000, 7000]), 0, "6000 is outside 0 to 5000 (1 more rows alike)", id="all"
        ),
        pytest.param(tensor("claim_amount", [1, math.inf]), 1, "inf is outside 0 to 5000", id="infinite"),
        pytest.param(tensor("claim_amount", [None, 1]), 0, "has no value; this column is required", id="null"),
        pytest.param(tensor("claim_amount", [1, math.nan]), 1, "has no value; this column is required", id="nan"),
        pytest.param(tensor("claim_amount", [1, "2"]), 1, "'2' is not a number", id="text-for-a-number"),
        pytest.param(tensor("claim_amount", [True, 1]), 0, "True is not a number", id="truth-for-a-number"),
        pytest.param(tensor("line", ["auto", "boat"], "BYTES"), 1, "'boat' is none of auto, home", id="unknown-word"),
        pytest.param(tensor("line", ["auto", ""], "BYTES"), 1, "None is none of auto, home", id="empty-word"),
        pytest.param(tensor("line", ["auto", 3], "BYTES"), 1, "is not text in UTF-8", id="number-for-a-word"),
        pytest.param(
            tensor("claim_amount", ["1", "2"], "BYTES"),
            None,
            "has datatype BYTES; send numbers as FP64 or INT64",
            id="bytes",
        ),
        pytest.param(tensor("line", [1, 2]), None, "has datatype FP64; send text as BYTES", id="fp64-for-a-word"),
        pytest.param(
            tensor("claim_id", ["a", "b" * 257], "BYTES"), 1, "is longer than 256 characters", id="long-claim-id"
        ),
        pytest.param(
            tensor("wheels", [4, 4]),
            None,
            "is not a column of this model; its columns are claim_amount, claim_id, line, prior_claims, region",
            id="unknown-column",
        ),
        pytest.param(
            tensor("claim_amount", [1, 2], shape=[1, 2]),
            None,
            "has shape [1, 2] and 2 values; send shape [n] with n values, one per claim",
            id="shape-of-a-row",
        ),
    ],
)
def test_one_wrong_column_is_named(change: dict[str, Any], row: int | None, message: str) -> None:
    assert problems_of(change)[0] == Problem(column=change["name"], row=row, message=message)


def test_columns_of_different_lengths_are_refused() -> None:
    messages = [problem.message for problem in problems_of(tensor("claim_amount", [1.0]))]
    assert messages == ["the columns have 1, 2 rows; they must all have the same number"]


def test_a_request_has_at_least_one_row_and_at_most_ten_thousand() -> None:
    def rows(count: int) -> list[Problem]:
        columns = (tensor("line", ["auto"] * count, "BYTES"), tensor("claim_amount", [1.0] * count))
        return problems_of(*columns, without=("region", "prior_claims"))

    assert str(rows(0)[0]) == "the request has 0 rows; send from 1 to 10000"
    assert str(rows(10_001)[0]) == "the request has 10001 rows; send from 1 to 10000"


def test_a_request_without_inputs_is_refused() -> None:
    everything = ("line", "region", "claim_amount", "prior_claims")
    assert str(problems_of(without=everything)[0]) == "the request has no inputs; send one tensor per column"


def test_a_column_sent_twice_is_refused() -> None:
    inputs = [tensor("line", ["auto"], "BYTES"), tensor("claim_amount", [1.0]), tensor("claim_amount", [2.0])]
    with pytest.raises(InvalidRequest, match="a column is sent more than once"):
        requests.read(InferenceRequest.model_validate({"inputs": inputs}), SCHEMA)


def test_a_request_id_has_a_longest_length() -> None:
    assert "id is longer than 256 characters" in str(problems_of(id="x" * 257)[0])


def test_a_request_with_very_many_problems_lists_the_first() -> None:
    problems = [Problem(column=f"column{number}", message="is wrong") for number in range(LISTED_PROBLEMS + 5)]
    error = InvalidRequest(problems)
    assert str(error).endswith("; and 5 more")
    assert len(error.as_json()["problems"]) == LISTED_PROBLEMS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": []}, "names no feature"),
        ({"features": [{"name": "a", "type": "number", "required": True}] * 2}, "names a more than once"),
        ({"features": [{"name": "claim_id", "type": "number", "required": True}]}, "claim_id among the features"),
        ({"features": [{"name": "a", "type": "category", "required": True}]}, "lists no categories for a"),
        ({"features": [{"name": "a", "type": "date", "required": True}]}, "'date' is not a valid FeatureType"),
        ({"features": [{"name": "a", "type": "number"}]}, "has no field 'required'"),
        ({"features": [{"name": "a", "type": "number", "required": True, "minimum": 2, "maximum": 1}]}, "a a minimum"),
        ({"levels": {"medium": 0.8, "high": 0.7}}, "must have 0 <= levels.medium"),
        ({"decisionThreshold": 1.5}, "decisionThreshold <= 1"),
        ({"decisionThreshold": None}, "field of the wrong type"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPackage, match=message):
        schema.parse({**packages.SCHEMA, **change})
