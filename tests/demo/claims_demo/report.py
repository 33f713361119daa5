"""What the demo says at its end: decisions, evidence, requests, and what to try next."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from claims_demo import chart, view
from claims_demo.board import Look
from claims_demo.ledger import Ledger
from claims_demo.play import Result
from claims_demo.screen import say
from claims_demo.settings import LOCAL, MODEL, Settings

FAILURES_SHOWN = 20


def last_evidence(rollout: Mapping[str, Any] | None) -> tuple[view.Evidence, ...]:
    """Return the evidence of the last step of a ClaimsRollout that has any."""
    for step in reversed((rollout or {}).get("status", {}).get("steps", [])):
        if step.get("analysis"):
            return tuple(view.read_evidence(entry) for entry in step["analysis"])
    return ()


def as_json(results: Sequence[Result], ledger: Ledger, trouble: str | None) -> dict[str, Any]:
    """Return everything a program wants to know."""
    return {
        "ok": trouble is None,
        "trouble": trouble,
        "acts": [
            {
                "act": result.act.letter,
                "version": result.act.version,
                "asTold": result.verdict.as_told,
                "decision": result.verdict.sentence,
                "decidedAt": result.decided_at.isoformat(timespec="seconds"),
                "seconds": round(result.seconds, 1),
                "rollout": (result.rollout or {}).get("metadata", {}).get("name"),
                "evidence": [vars(each) for each in last_evidence(result.rollout)],
            }
            for result in results
        ],
        "requests": {
            "sent": ledger.sent,
            "answered": ledger.answered,
            "failed": len(ledger.failures),
            "heldBack": ledger.held_back,
            "answersByRevision": dict(ledger.answers_by_variant),
            "failures": [str(failure) for failure in ledger.failures[:FAILURES_SHOWN]],
        },
        "outcomes": {"posted": ledger.outcomes_posted, "retries": ledger.outcomes_retried},
    }


def show(console: Console, results: Sequence[Result], ledger: Ledger) -> None:
    """Print decisions with their evidence, then the count of requests and every failure."""
    for result in results:
        mark = "as told" if result.verdict.as_told else "NOT AS TOLD"
        say(console, f"\n({result.act.letter}) {result.act.title}: {mark}\n    {result.verdict.sentence}")
        at = f"{result.decided_at:%Y-%m-%d %H:%M:%S} UTC"
        say(console, f"    decided {at}, {result.seconds:.0f} s after it was applied")
        _show_evidence(console, result)
        _show_way(console, result)
    say(
        console,
        f"\n{ledger.sent} requests were sent, {ledger.answered} answered, {len(ledger.failures)} failed. "
        f"{ledger.outcomes_posted} outcomes were posted ({ledger.outcomes_retried} posts repeated).",
    )
    if ledger.held_back:
        say(console, f"{ledger.held_back} more were not sent, because too many were under way.")
    for failure in ledger.failures[:FAILURES_SHOWN]:
        say(console, f"    failed: {failure}")
    if len(ledger.failures) > FAILURES_SHOWN:
        say(console, f"    and {len(ledger.failures) - FAILURES_SHOWN} more")


def _show_evidence(console: Console, result: Result) -> None:
    evidence = last_evidence(result.rollout)
    if not evidence or result.rollout is None:
        return
    table = Table(title=f"ClaimsRollout {result.rollout['metadata']['name']}", title_justify="left")
    for name in ("metric", "verdict", "candidate - stable", "interval", "stable", "candidate"):
        table.add_column(name)
    for each in evidence:
        table.add_row(
            each.metric,
            each.verdict,
            each.estimate,
            each.interval,
            str(each.stable_samples),
            str(each.candidate_samples),
        )
    console.print(table)


def _show_way(console: Console, result: Result) -> None:
    """Draw how the metric that took a version back came to say so."""
    metric = (result.act.cause or "").removesuffix("Failed").lower()
    looks = list(result.looks)
    last = last_evidence(result.rollout)
    if looks and looks[-1].evidence != last:  # The decision came between two glances at the status.
        looks.append(Look(seconds=looks[-1].seconds, evidence=last))
    for line in chart.draw(metric, looks):
        say(console, line)


def show_next(console: Console, settings: Settings) -> None:
    """Print what to look at and try; everything is still up."""
    namespace, kubeconfig = settings.namespace, settings.kubeconfig
    say(
        console,
        f"""
Everything is still up. To look around:
    export KUBECONFIG={kubeconfig}
    kubectl -n {namespace} get clm,clr,inferenceservices,httproutes,pods
    kubectl -n {namespace} get clm {MODEL} -o yaml          # the status is the log of decisions
    kubectl -n {namespace} describe clm {MODEL}             # with its events
    kubectl -n {namespace} get clr -o yaml                     # the evidence of each attempt
    curl -H 'Host: {settings.hostname}' {settings.gateway_url}/v2/models/{MODEL}
Prometheus: {settings.prometheus_url}/api/v1/query?query=claims_outcomes_total
MLflow: {settings.mlflow_url}/#/models/{MODEL}{_ending(settings)}""",
    )


def _ending(settings: Settings) -> str:
    return "\n`make down` removes the cluster." if settings.kubeconfig == LOCAL.kubeconfig else ""
