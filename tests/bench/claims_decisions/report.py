"""The tables, in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Final

from claims_decisions import targets
from claims_decisions.peers import PEERS
from claims_decisions.plan import BOTH, Job
from claims_decisions.policies import RAMPS
from claims_decisions.results import Store, Tally
from claims_decisions.rollout import Ending
from claims_decisions.scenarios import BY_NAME, LABEL_LOSSES, LABEL_MARGINS, SCENARIOS, outcomes_scenario

BACK: Final = (Ending.ROLLED_BACK, Ending.OVERDUE)


def tallies(jobs: Iterable[Job], store: Store) -> dict[tuple[str, str], Tally]:
    """Return scenario and rule → what is in the store, for everything that was run at all."""
    found = {}
    for job in jobs:
        runs = store.load(job.scenario, job.rule)
        if runs:
            found[job.scenario.name, job.rule] = Tally(runs=tuple(runs.values()))
    return found


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(found: dict[tuple[str, str], Tally]) -> dict[str, str]:
    """Return all tables by name."""
    return {
        "targets": targets_table(found),
        "scenarios": scenarios_table(found),
        "policies": policies_table(found),
        "peers": peers_table(found),
        "outcomes": outcomes_table(found),
    }


def targets_table(found: dict[tuple[str, str], Tally]) -> str:
    """Return what was to be reached, and what was measured."""
    rows = []
    for target in targets.TARGETS:
        tally = found.get((target.scenario, "shipped"))
        if tally is None:
            continue
        measured = targets.measure(target, tally)
        is_share = target.measure != "median requests"
        rows.append(
            (
                target.sentence,
                f"{measured.runs:,}",
                _percent(measured.seen) if is_share else f"{measured.seen:,.0f}",
                _percent(measured.bound) if is_share else "",
                f"at most {_percent(target.limit) if is_share else format(target.limit, ',.0f')}",
                "yes" if measured.is_kept else "**no**",
            )
        )
    return table(("what", "runs", "measured", "upper 95 % bound", "target", "reached"), rows)


OUTCOME_COLUMNS: Final = (
    "runs", "rolled back (bound)", "promoted (bound)", "undecided", "minutes / requests to roll back",
    "minutes / requests to promote",
)  # fmt: skip


def scenarios_table(found: dict[tuple[str, str], Tally]) -> str:
    """Return every scenario under the shipped rules."""
    rows = [
        (scenario.title, *_outcomes(found[scenario.name, "shipped"]))
        for scenario in SCENARIOS
        if (scenario.name, "shipped") in found
    ]
    return table(("candidate and traffic", *OUTCOME_COLUMNS), rows)


def policies_table(found: dict[tuple[str, str], Tally]) -> str:
    """Return the shipped ramp beside the others."""
    rows = [
        (BY_NAME[name].title, policy.title, *_outcomes(found[name, policy.name]))
        for name in BOTH
        for policy in RAMPS
        if (name, policy.name) in found
    ]
    return table(("candidate", "rule", *OUTCOME_COLUMNS), rows)


def outcomes_table(found: dict[tuple[str, str], Tally]) -> str:
    """Return how many outcomes, of both versions, it takes to promote an equal model and to roll a worse one back."""
    rows = []
    for margin in LABEL_MARGINS:
        for rule, share in (("half", "50 %"), ("tenth", "10 %")):
            cells = []
            for loss in LABEL_LOSSES:
                tally = found.get((outcomes_scenario(margin, loss).name, rule))
                cells.append("" if tally is None else _outcomes_needed(tally, loss, margin))
            if any(cells):
                rows.append((f"{margin} {'point' if margin == 1 else 'points'}", share, *cells))
    header = ("margin", "candidate gets", "equal: promote", *(f"{loss} worse: roll back" for loss in LABEL_LOSSES[1:]))
    return table(header, rows)


def _outcomes_needed(tally: Tally, loss: int, margin: int) -> str:
    if 0 < loss < margin:
        return "either"
    ending = Ending.ROLLED_BACK if loss else Ending.PROMOTED
    half, most = (tally.quantile(ending, "outcomes", share) for share in (0.5, 0.9))
    return "" if half is None or most is None else f"{half:,.0f} ({most:,.0f})"


PEER_COLUMNS: Final = (
    ("equal", BACK, "identical: rolled back"),
    ("better-2", BACK, "2 better: rolled back"),
    ("worse-2", (Ending.PROMOTED,), "2 worse: promoted"),
    ("worse-5", (Ending.PROMOTED,), "5 worse: promoted"),
    ("worse-10", (Ending.PROMOTED,), "10 worse: promoted"),
    ("errors-1", (Ending.PROMOTED,), "1 % errors: promoted"),
    ("errors-2", (Ending.PROMOTED,), "2 % errors: promoted"),
    ("latency-1.5", (Ending.PROMOTED,), "1.5 times as slow: promoted"),
    ("late", BACK, "identical, late outcomes: rolled back"),
    ("late-worse-5", (Ending.PROMOTED,), "5 worse, late outcomes: promoted"),
    ("drop", BACK, "identical, shared drop: rolled back"),
    ("rise-worse-2", (Ending.PROMOTED,), "2 worse, shared rise: promoted"),
    ("bursts-1", BACK, "identical, bursts: rolled back"),
    ("quiet", BACK, "identical, 1 request/s: rolled back"),
)


def peers_table(found: dict[tuple[str, str], Tally]) -> str:
    """Return the share of wrong endings under each rule; the shipped one stands last."""
    rules = [*((peer.name, peer.title) for peer in PEERS.values()), ("shipped", "**this project**")]
    rows = []
    for name, title in rules:
        cells = []
        for scenario, endings, _ in PEER_COLUMNS:
            tally = found.get((scenario, name))
            cells.append("" if tally is None else _percent(tally.share(*endings)))
        runs = {len(found[scenario, name].runs) for scenario, *_ in PEER_COLUMNS if (scenario, name) in found}
        if runs:
            many = f"{min(runs):,}" if len(runs) == 1 else f"{min(runs):,} to {max(runs):,}"
            rows.append((title, many, *cells))
    return table(("rule", "runs", *(title for *_, title in PEER_COLUMNS)), rows)


def _outcomes(tally: Tally) -> tuple[str, ...]:
    return (
        f"{len(tally.runs):,}",
        f"{_percent(tally.share(*BACK))} ({_percent(tally.bound(*BACK))})",
        f"{_percent(tally.share(Ending.PROMOTED))} ({_percent(tally.bound(Ending.PROMOTED))})",
        _percent(tally.share(Ending.UNDECIDED)),
        _middle(tally, Ending.ROLLED_BACK),
        _middle(tally, Ending.PROMOTED),
    )


def _middle(tally: Tally, ending: Ending) -> str:
    minutes, requests = tally.middle(ending, "minutes"), tally.middle(ending, "candidate_requests")
    return "" if minutes is None or requests is None else f"{minutes:,.0f} / {requests:,.0f}"


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 10 or 90 < percent < 100:
        return f"{percent:.2f} %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"
