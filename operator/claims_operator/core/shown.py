"""What is shown beside the tests, and decides nothing."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from claims_contract import metrics, tensors
from claims_operator.core.limits import Window
from claims_operator.core.snapshot import SAMPLE

LEAST_DEVIATIONS: Final = 5.0
"""Standard deviations beyond which shares labelled do not differ by chance, though they are compared at every look."""
LEAST_RATIO: Final = 1.5
"""Shares labelled that are closer are not worth a word."""


def f1(outcomes: Mapping[str, float], window: Window, *, is_of_sample: bool) -> str | None:
    """Return the F1 score of both versions as words; None where there is none of the candidate.

    ``outcomes``: ``revision/epoch/kind`` → total of the attempt. F1 = 2 tp / (2 tp + fp + fn), of all of them. Where
    the weights changed while claims changed too, the two versions answered different mixtures: compare with care.
    """
    prefix = SAMPLE if is_of_sample else ""
    candidate = _f1(outcomes, window.candidate_revision, prefix)
    if candidate is None:
        return None
    stable = None if window.stable_revision is None else _f1(outcomes, window.stable_revision, prefix)
    return f"F1 {candidate:.3f}" + ("" if stable is None else f", stable {stable:.3f}") + ", not tested"


def _f1(outcomes: Mapping[str, float], revision: str, prefix: str) -> float | None:
    strata = [counts for (of, _), counts in _by_stratum(outcomes).items() if of == revision]
    tp, fp, _, fn = (sum(counts.get(prefix + result, 0.0) for counts in strata) for result in metrics.RESULTS)
    whole = 2 * tp + fp + fn
    return 2 * tp / whole if whole else None


def selection(outcomes: Mapping[str, float]) -> str | None:
    """Return a warning where it depends on the decision which claims have an outcome so far; None where it does not.

    By the test of Mantel and Haenszel (1959) over the strata, revision and epoch. It cannot tell selection from
    outcomes that merely come sooner after one decision than after the other; the latter passes, and the warning too.
    """
    excess = variance = 0.0
    labelled, predicted = [0.0, 0.0], [0.0, 0.0]
    for counts in _by_stratum(outcomes).values():
        of = [counts.get(tensors.REFER, 0.0), counts.get(tensors.SETTLE, 0.0)]
        have = [_sum(counts, ("tp", "fp")), _sum(counts, ("tn", "fn"))]
        whole, known = sum(of), sum(have)
        if min(of) < 1 or whole < 2 or known > whole:
            continue
        excess += have[0] - of[0] * known / whole
        variance += of[0] * of[1] * known * (whole - known) / (whole**2 * (whole - 1))
        for decision in range(2):
            labelled[decision] += have[decision]
            predicted[decision] += of[decision]
    if not variance or abs(excess) < LEAST_DEVIATIONS * math.sqrt(variance):
        return None
    referred, settled = (known / of for known, of in zip(labelled, predicted, strict=True))
    if max(referred, settled) < LEAST_RATIO * min(referred, settled):
        return None
    return (
        f"of referred claims {100 * referred:.2g} % have an outcome, of settled ones {100 * settled:.2g} %: where the"
        " others are not just late, this compares a selection of claims, and spec.feedback.labels should say so"
    )


def _sum(counts: Mapping[str, float], kinds: Iterable[str]) -> float:
    return sum(counts.get(kind, 0.0) for kind in kinds)


def _by_stratum(outcomes: Mapping[str, float]) -> dict[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for key, count in outcomes.items():
        revision, epoch, kind = key.split("/")
        found.setdefault((revision, epoch), {})[kind] = count
    return found
