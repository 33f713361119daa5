"""A ClaimsModel's status as the demo reads it: plain values, and None where the operator has not written yet."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one metric says: `verdict` is Pass, Fail, Inconclusive, NoData or Error."""

    metric: str
    verdict: str
    estimate: str
    """Candidate minus stable, of the share of bad events; empty where there is none yet."""
    interval: str
    bounds: tuple[float, float] | None
    """The interval as numbers."""
    stable_samples: int
    candidate_samples: int
    message: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rejection:
    """Why a version was rolled back."""

    reason: str
    """One word, for example LatencyFailed."""
    message: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """One look at a ClaimsModel."""

    ready: bool
    state: str
    reason: str
    stable: str | None
    """Version that serves for sure."""
    candidate: str | None
    """Version under test."""
    weight_percent: int
    """Share of the requests that the candidate gets."""
    rejected: Mapping[str, "Rejection"]
    """By rejected version."""
    evidence: tuple[Evidence, ...]

    def is_settled_on(self, version: str) -> bool:
        """Return whether ``version`` alone serves."""
        return self.ready and self.stable == version and self.candidate is None


ABSENT = View(
    ready=False,
    state="Absent",
    reason="",
    stable=None,
    candidate=None,
    weight_percent=0,
    rejected={},
    evidence=(),
)


def read(model: Mapping[str, Any] | None) -> View:
    """Read a ClaimsModel as the API server returned it; None is one that does not exist."""
    if model is None:
        return ABSENT
    status = model.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    current = status.get("observedGeneration") == model["metadata"].get("generation")
    candidate = status.get("candidate") or {}
    return View(
        ready=ready.get("status") == "True" and current,
        state=str(status.get("state", "Pending")),
        reason=": ".join(status[key] for key in ("reason", "message") if status.get(key)),
        stable=(status.get("stable") or {}).get("version"),
        candidate=candidate.get("version"),
        weight_percent=int(candidate.get("weight") or 0),
        rejected={
            each["version"]: Rejection(reason=each["reason"], message=each["message"])
            for each in status.get("rejected", [])
        },
        evidence=tuple(read_evidence(each) for each in status.get("analysis", [])),
    )


def read_evidence(entry: Mapping[str, Any]) -> Evidence:
    """Read one entry of ``analysis``, of a ClaimsModel or a step of a ClaimsRollout."""
    bounds = tuple(map(float, entry.get("interval", [])))
    return Evidence(
        metric=entry["metric"],
        verdict=entry["verdict"],
        estimate=entry.get("estimate", ""),
        interval=" to ".join(entry.get("interval", [])),
        bounds=(bounds[0], bounds[1]) if bounds else None,
        stable_samples=entry["stableSamples"],
        candidate_samples=entry["candidateSamples"],
        message=entry["message"],
    )
