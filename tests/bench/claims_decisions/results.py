"""Results on disk: one file per scenario and rule, which a later call continues as long as the code is the same."""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from claims_decisions.bounds import upper_bound
from claims_decisions.policies import POLICIES
from claims_decisions.rollout import Ending, Run
from claims_decisions.scenarios import Scenario

SHIPPED_PACKAGES: Final = ("claims_operator.core.", "claims_sequential.")
SHIPPED_BENCH: Final = ("claims_decisions.policies", "claims_decisions.rollout", "claims_decisions.world")
PEERS_BENCH: Final = ("claims_decisions.kayenta", "claims_decisions.minutes", "claims_decisions.peers")


def code_digest(rule: str) -> str:
    """Return a digest of the code whose results under a rule may be added up: all that such a rollout has imported."""
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        is_shipped = name.startswith(SHIPPED_PACKAGES) or name in SHIPPED_BENCH
        if is_shipped if rule in POLICIES else name in PEERS_BENCH:
            digest.update(name.encode() + b"\0" + Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What came of all runs of one scenario under one rule."""

    runs: tuple[Run, ...]

    def count(self, *endings: Ending) -> int:
        """Return how many runs ended so."""
        counted = Counter(run.ending for run in self.runs)
        return sum(counted[ending] for ending in endings)

    def share(self, *endings: Ending) -> float:
        """Return which part of the runs ended so."""
        return self.count(*endings) / len(self.runs)

    def bound(self, *endings: Ending) -> float:
        """Return the upper 95 % bound of that probability."""
        return upper_bound(self.count(*endings), len(self.runs))

    def middle(self, ending: Ending, field: str) -> float | None:
        """Return the median of a field over the runs that ended so; None without any."""
        return self.quantile(ending, field, 0.5)

    def quantile(self, ending: Ending, field: str, share: float) -> float | None:
        """Return a quantile of a field over the runs that ended so; None without any."""
        values = [getattr(run, field) for run in self.runs if run.ending == ending]
        return float(np.quantile(values, share)) if values else None

    def causes(self) -> dict[str, int]:
        """Return how often each metric rolled a rollout back."""
        return dict(Counter(run.cause for run in self.runs if run.cause))


class Store:
    """The results in one folder; only those of the code as it is are found in it."""

    def __init__(self, folder: Path, code: Callable[[str], str] = code_digest) -> None:
        self.folder, self.code = folder, cache(code)

    def path(self, scenario: Scenario, rule: str) -> Path:
        """Return the file of one scenario, as it is now, under one rule."""
        asked = POLICIES[rule].spec(scenario).model_dump(mode="json") if rule in POLICIES else {}
        known = {**asdict(scenario), "title": "", "rollout": asked.get("rollout"), "analysis": asked.get("analysis")}
        changes = json.dumps(known, sort_keys=True)
        return (
            self.folder
            / self.code(rule)
            / f"{scenario.name}.{rule}.{hashlib.sha256(changes.encode()).hexdigest()[:8]}.json"
        )

    def load(self, scenario: Scenario, rule: str) -> dict[int, Run]:
        """Return the runs by seed; none where nothing was run yet."""
        path = self.path(scenario, rule)
        if not path.exists():
            return {}
        runs = (Run.from_json(run) for run in json.loads(path.read_text())["runs"])
        return {run.seed: run for run in runs}

    def add(self, scenario: Scenario, rule: str, runs: Iterable[Run]) -> None:
        """Add runs; the file is whole at any time."""
        merged = self.load(scenario, rule) | {run.seed: run for run in runs}
        data: dict[str, Any] = {
            "code": self.code(rule),
            "rule": rule,
            "scenario": asdict(scenario),
            "fields": ["seed", "ending", "minutes", "candidateRequests", "outcomes", "cause"],
            "runs": [merged[seed].to_json() for seed in sorted(merged)],
        }
        path = self.path(scenario, rule)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(data, separators=(",", ":")))
        partial.replace(path)
