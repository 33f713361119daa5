"""What is shown beside the tests, and decides nothing."""

from collections.abc import Mapping

from claims_operator.core.limits import Window


def f1(outcomes: Mapping[str, float], window: Window) -> str | None:
    """Return the F1 score of both versions as words; None where there is none of the candidate.

    F1 = 2 tp / (2 tp + fp + fn), of all outcomes of the attempt. Where the weights changed while claims changed too,
    the two versions answered different mixtures of claims: compare with care.
    """
    candidate = _f1(outcomes, window.candidate_revision)
    if candidate is None:
        return None
    stable = None if window.stable_revision is None else _f1(outcomes, window.stable_revision)
    return f"F1 {candidate:.3f}" + ("" if stable is None else f", stable {stable:.3f}") + ", not tested"


def _f1(outcomes: Mapping[str, float], revision: str) -> float | None:
    counts = dict.fromkeys(("tp", "fp", "fn", "tn"), 0.0)
    for key, count in outcomes.items():
        of, _, result = key.split("/")
        if of == revision and result in counts:
            counts[result] += count
    whole = 2 * counts["tp"] + counts["fp"] + counts["fn"]
    return 2 * counts["tp"] / whole if whole else None
