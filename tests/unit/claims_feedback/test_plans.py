"""How PostgreSQL looks up what a batch asks about: by index, key by key, also before it knows what the tables hold."""

from pathlib import Path

import pytest
from unit.claims_feedback.postgres_server import PostgresServer
from unit.claims_feedback.stores import MODELS, Databases, prediction

from claims_feedback import queries

KEYS = {
    "STORED_PREDICTIONS": ("r1", 0, 1),
    "FIRSTS_OF_CLAIMS": ("C1", 1, 0),
    "OUTCOMES_OF_CLAIMS": ("C1", 1),
    "OUTCOMES_OF_ROWS": ("r1", 0, 1),
    "PREDICTIONS_OF_CLAIMS": ("C1", 1),
    "PREDICTIONS_OF_ROWS": ("r1", 0, 1),
    "COHORTS_WITH_EVIDENCE": (1, "K1"),
    "ERASED": (1, "token"),
}
"""A key of every query that asks about a batch."""


def test_every_query_about_a_batch_is_here() -> None:
    assert {name for name, sql in vars(queries).items() if name.isupper() and "{asked}" in sql} == set(KEYS)


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["never-analyzed", "analyzed"])
def test_a_batch_is_looked_up_by_index(tmp_path: Path, server: PostgresServer, is_analyzed: bool) -> None:
    with Databases(tmp_path, server).storage() as storage:
        with storage.store.transaction(MODELS):
            storage.store.add_predictions([prediction(f"r{n}", claim_id=f"C{n}") for n in range(2_000)])
        with storage.store.database.writing() as statements:
            if is_analyzed:
                statements.change("ANALYZE")
            for name, key in KEYS.items():
                asked = ", ".join([f"({', '.join('?' * len(key))})"] * 50)
                sql = vars(queries)[name].replace("{asked}", f"(VALUES {asked}) AS asked")
                plan = [line for (line,) in statements.select(f"EXPLAIN {sql}", key * 50)]
                scans = [line for line in plan if " Scan " in line and "Values Scan" not in line]
                conditions = [line for line in plan if "Index Cond:" in line]
                assert scans, plan
                assert all("Index" in scan for scan in scans), plan
                assert len(conditions) == len(scans), plan
                assert not [line for line in plan if "Materialize" in line], plan
