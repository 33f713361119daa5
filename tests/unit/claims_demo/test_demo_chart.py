"""How the demo draws a confidence sequence."""

import dataclasses
from collections.abc import Sequence

from claims_demo import chart, view
from claims_demo.board import Board, Look
from claims_demo.ledger import Ledger


def look(seconds: float, bounds: Sequence[float], samples: int = 10) -> Look:
    entry = {
        "metric": "accuracy",
        "verdict": "Inconclusive",
        "estimate": f"{sum(bounds) / 2:.4f}" if bounds else "",
        "interval": [str(bound) for bound in bounds],
        "stableSamples": 100,
        "candidateSamples": samples,
        "message": "",
    }
    return Look(seconds=seconds, evidence=(view.read_evidence(entry),))


def rows_of(looks: Sequence[Look]) -> list[str]:
    return list(chart.draw("accuracy", looks))[2:]


def test_the_look_at_which_the_interval_leaves_zero_is_told() -> None:
    rows = rows_of([look(10, (-1.0, 1.0)), look(20, (-0.05, 0.15)), look(30, (0.02, 0.12))])
    assert [row.endswith("worse, beyond chance") for row in rows] == [False, False, True]
    zero = len("    time s samples  ") + chart.WIDTH_CHARACTERS // 2
    assert [row[zero] for row in rows] == ["o", "|", "|"]
    assert rows[2].index("[") > zero
    assert rows[1].index("[") < zero < rows[1].index("o") < rows[1].index("]")


def test_of_many_looks_some_are_drawn_and_the_last_is_among_them() -> None:
    rows = rows_of([look(second, (-0.1, 0.1)) for second in range(100)])
    assert 8 <= len(rows) <= chart.ROWS
    assert rows[-1].split()[0] == "99"


def test_evidence_of_an_attempt_that_is_over_is_no_look_of_the_next() -> None:
    board = Board(ledger=Ledger())
    found = look(10, (-0.1, 0.1)).evidence
    board.see(dataclasses.replace(view.ABSENT, evidence=found))
    assert board.looks == []
    board.see(dataclasses.replace(view.ABSENT, candidate="2.0.0", evidence=found))
    assert [each.evidence for each in board.looks] == [found]


def test_nothing_is_drawn_without_intervals() -> None:
    assert rows_of([look(10, ()), look(20, (-0.1, 0.1))]) == []
