"""Outcomes of a random sample: of an audit, or by known propensities."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.claims_feedback.stores import (
    MODELS,
    NEGATIVE,
    NOW,
    POSITIVE,
    Databases,
    counts,
    outcome,
    prediction,
    store,
    stratum,
)

from claims_feedback import admission, errors, join, messages
from claims_feedback.join import Decision, ObservedOutcome
from claims_feedback.storage import Storage

SAMPLE = ("sample_tp", "sample_fp", "sample_tn", "sample_fn")


def sample(storage: Storage) -> dict[str, int]:
    """Return the totals of the random sample, of all strata together."""
    found = dict.fromkeys(SAMPLE, 0)
    for totals in storage.reader.totals():
        for result, count in totals.representative.items():
            found[f"sample_{result.value}"] += count
    return {name: count for name, count in found.items() if count}


def audited(value: join.Outcome, **named: str | int) -> ObservedOutcome:
    return outcome(value, is_audit=True, **named)


def test_an_outcome_of_an_audit_counts_among_all_and_in_the_sample(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[prediction("r1", claim_id="C1"), prediction("r2", claim_id="C2")]])
        store(storage, [[audited(POSITIVE, claim_id="C1"), outcome(POSITIVE, claim_id="C2")]])
        assert counts(storage)[stratum(), "tp"] == 2
        assert sample(storage) == {"sample_tp": 1}


def test_an_audit_counts_for_a_claim_that_was_investigated_before(databases: Databases) -> None:
    """Else it would miss just those claims that were referred, and be no random sample."""
    with databases.storage() as storage:
        store(storage, [[prediction("r1", claim_id="C1"), prediction("r2", claim_id="C2")]])
        store(storage, [[outcome(POSITIVE, claim_id="C1"), outcome(POSITIVE, claim_id="C2")]])
        store(storage, [[audited(POSITIVE, claim_id="C1")], [audited(NEGATIVE, claim_id="C2")]])
        assert sample(storage) == {"sample_tp": 1, "sample_fp": 1}
        assert {name: count for (_, name), count in counts(storage).items()} == {"refer": 2, "tp": 2, "corrections": 1}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_the_order_in_which_things_come_changes_nothing(databases: Databases, order: tuple[int, ...]) -> None:
    arrivals = [prediction("r1", claim_id="C1"), outcome(POSITIVE, claim_id="C1"), audited(POSITIVE, claim_id="C1")]
    with databases.storage() as storage:
        store(storage, [[arrivals[number]] for number in order])
        assert sample(storage) == {"sample_tp": 1}
        assert counts(storage)[stratum(), "tp"] == 1


def test_what_is_said_twice_counts_once(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[prediction("r1", claim_id="C1")], [audited(POSITIVE, claim_id="C1")]])
        with storage.store.transaction(MODELS):
            again = storage.store.add_outcomes([audited(POSITIVE, claim_id="C1"), audited(POSITIVE, claim_id="C1")])
        store(storage, [[audited(NEGATIVE, claim_id="C1")]])
        assert again.duplicates == 2
        assert sample(storage) == {"sample_tp": 1}


def test_the_sample_labels_a_claim_in_each_revision_and_a_row_by_its_name(databases: Databases) -> None:
    with databases.storage() as storage:
        both = [
            prediction("r1", claim_id="C1"),
            prediction("r2", claim_id="C1", stratum=stratum(revision="b2"), decision=Decision.SETTLE),
        ]
        store(storage, [both, [audited(POSITIVE, claim_id="C1")], [prediction("r3")]])
        store(storage, [[audited(NEGATIVE, request_id="r3", row=0)]])
        assert sample(storage) == {"sample_tp": 1, "sample_fn": 1, "sample_fp": 1}


def test_a_tester_is_in_no_sample_and_a_cohort_once(databases: Databases) -> None:
    with databases.storage() as storage:
        store(storage, [[prediction("r1", claim_id="C1", is_tester=True)]])
        store(storage, [[prediction(f"r{number}", claim_id=f"C{number}", cohort="K1") for number in (2, 3, 4)]])
        # The cohort has given evidence by an outcome that is not of the sample: that takes nothing from the sample.
        store(storage, [[outcome(POSITIVE, claim_id="C2")], [audited(POSITIVE, claim_id="C1")]])
        store(storage, [[audited(POSITIVE, claim_id="C3")], [audited(POSITIVE, claim_id="C4")]])
        assert sample(storage) == {"sample_tp": 1}
        assert counts(storage)[stratum(), "tp"] == 1
        assert counts(storage)[stratum(), "cohort_repeats"] == 2


def test_of_outcomes_with_a_propensity_a_uniform_share_is_kept(databases: Databases) -> None:
    """2,000 claims labelled by chance 0.5 and 2,000 by 0.1: of the labels 10 % and 50 % are kept, 5 % of the claims."""
    rng = random.Random(7)
    groups = {"often": 0.5, "rarely": 0.1}
    predictions = [prediction(f"{name}-{number}", claim_id=f"{name}-{number}", decision=decision)
                   for name, decision in (("often", Decision.REFER), ("rarely", Decision.SETTLE))
                   for number in range(2_000)]  # fmt: skip
    outcomes = [
        outcome(POSITIVE, claim_id=f"{name}-{number}", propensity=propensity)
        for name, propensity in groups.items()
        for number in range(2_000)
        if rng.random() < propensity
    ]
    with databases.storage() as storage:
        with storage.store.transaction(MODELS):
            storage.store.add_predictions(predictions)
            storage.store.add_outcomes(outcomes)
        kept = sample(storage)
    # Binomial with 2,000 draws and chance 0.05: five standard deviations are 49.
    assert kept["sample_tp"] == pytest.approx(100, abs=49)
    assert kept["sample_fn"] == pytest.approx(100, abs=49)


def test_every_outcome_is_kept_whose_propensity_is_the_floor(databases: Databases) -> None:
    with databases.storage(propensity_floor=0.5) as storage:
        certain = [outcome(POSITIVE, claim_id=f"C{number}", propensity=0.5) for number in range(20)]
        store(storage, [[prediction(f"r{number}", claim_id=f"C{number}") for number in range(20)], certain])
        assert sample(storage) == {"sample_tp": 20}


@given(
    uniform=st.floats(0, 1, exclude_max=True), propensity=st.floats(0.05, 1), floor=st.floats(0.01, 0.05)
)  # fmt: skip
def test_a_claim_is_kept_by_its_own_number_whatever_it_turned_out_to_be(
    uniform: float, propensity: float, floor: float
) -> None:
    kept = {
        join.is_representative(
            outcome(value, claim_id="C1", propensity=propensity), uniform=uniform, floor=floor
        )
        for value in (POSITIVE, NEGATIVE)
    }  # fmt: skip
    assert kept == {uniform * propensity < floor}


def test_without_audit_or_propensity_an_outcome_is_of_no_sample() -> None:
    assert not join.is_representative(outcome(POSITIVE, claim_id="C1"), uniform=0.0, floor=1.0)


# On the wire --------------------------------------------------------------------------------------------------------

CLOCK = messages.Clock(now=NOW, tolerance=NOW - NOW)
ITEM = b'"namespace": "claims", "model": "claim-risk", "claimId": "C1", "outcome": "positive"'


def read(more: bytes) -> ObservedOutcome:
    body = b'{"outcomes": [{' + ITEM + b', "observedAt": "2025-11-20T00:00:00Z"' + more + b"}]}"
    (found,) = messages.read_outcomes(body, CLOCK)
    return found


@pytest.mark.parametrize(
    ("more", "is_audit", "propensity"),
    [(b"", False, None), (b', "audit": true', True, None), (b', "propensity": 0.25', False, 0.25)],
)
def test_an_outcome_says_how_its_claim_was_chosen(more: bytes, is_audit: bool, propensity: float | None) -> None:
    found = read(more)
    assert (found.is_audit, found.propensity) == (is_audit, propensity)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (b', "propensity": 0', "Expected `float` > 0.0"),
        (b', "propensity": 1.5', "Expected `float` <= 1.0"),
        (b', "audit": "yes"', "Expected `bool`, got `str`"),
        (
            b', "audit": true, "propensity": 0.5',
            "Expected either `audit`, which is of a random sample, or `propensity`",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused(more: bytes, sentence: str) -> None:
    with pytest.raises(errors.Unacceptable) as refusal:
        read(more)
    assert sentence in refusal.value.problems[0].what


def test_a_propensity_below_the_floor_is_refused_with_what_to_do() -> None:
    fine, low = (outcome(POSITIVE, claim_id="C1", propensity=propensity) for propensity in (0.05, 0.04))
    admission.check_propensities([fine], 0.05)
    with pytest.raises(errors.Unacceptable) as refusal:
        admission.check_propensities([fine, low], 0.05)
    (problem,) = refusal.value.problems
    assert (problem.index, problem.where) == (1, "outcomes[1].propensity")
    assert problem.what.startswith("Expected at least 0.05, got 0.04. Label such claims more often")
