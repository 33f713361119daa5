"""The pictures of docs/decisions.md."""

from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from claims_decisions.policies import SHIPPED
from claims_decisions.results import Tally
from claims_decisions.rollout import Ending, Rollout
from claims_decisions.scenarios import BY_NAME

COLOURS: Final = {"promoted": "#2a9d5c", "undecided": "#c9c9c9", "rolled back": "#c8443c"}
ENDINGS: Final = {
    "promoted": (Ending.PROMOTED,),
    "undecided": (Ending.UNDECIDED,),
    "rolled back": (Ending.ROLLED_BACK, Ending.OVERDUE),
}
RULES: Final = (
    ("shipped", "this project"),
    ("flagger-1", "Flagger, 1 check per step"),
    ("flagger-10-accuracy", "Flagger, 10 checks, accuracy"),
    ("argo-3-accuracy", "Argo Rollouts, accuracy"),
    ("argo-3-relative", "Argo Rollouts, against stable"),
    ("kayenta-sliding", "Kayenta"),
    ("z", "z-test every minute"),
)
PANELS: Final = (("equal", "identical"), ("worse-2", "2 points worse"), ("worse-5", "5 points worse"))
SEED: Final = 7


def draw(found: dict[tuple[str, str], Tally], folder: Path) -> None:
    """Write the pictures; one whose results are missing is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    # The same numbers give the same file.
    mpl.rcParams.update({"svg.hashsalt": "claims", "svg.fonttype": "none"})
    if all((scenario, rule) in found for scenario, _ in PANELS for rule, _ in RULES):
        _save(_endings(found), folder / "decisions-rules.svg")
    _save(_paths(), folder / "decisions-evidence.svg")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})


def _endings(found: dict[tuple[str, str], Tally]) -> Figure:
    """Draw how rollouts of three candidates end under each rule."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (scenario, title) in zip(panels, PANELS, strict=True):
        left = np.zeros(len(RULES))
        for ending, members in ENDINGS.items():
            width = np.array([100 * found[scenario, rule].share(*members) for rule, _ in RULES])
            axes.barh(range(len(RULES)), width, left=left, color=COLOURS[ending], label=ending, height=0.72)
            left += width
        axes.set_yticks(range(len(RULES)), [title for _, title in RULES])
        axes.set_title(f"candidate is {title}", fontsize=10)
        axes.set_xlim(0, 100)
        axes.set_xlabel("% of rollouts")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    panels[0].get_yticklabels()[0].set_fontweight("bold")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _paths() -> Figure:
    """Draw the evidence of single rollouts until it crosses its line."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (scenario, title) in zip(panels, (("equal", "identical"), ("worse-5", "5 points worse")), strict=True):
        _path(axes, scenario)
        axes.set_title(f"candidate is {title}", fontsize=10)
        axes.set_xlabel("minutes since the rollout began")
    panels[0].set_ylabel("evidence (e-value)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _path(axes: Axes, scenario: str) -> None:
    rollout = Rollout(BY_NAME[scenario], SHIPPED, SEED)
    times: list[float] = []
    against: list[float] = []
    weakest: list[float] = []

    def note() -> None:
        times.append(rollout.world.seconds / 60)
        against.append(rollout.evidence.rollback_log_e_value)
        weakest.append(min(metric.promotion_at(1.0).log_e_value for metric in rollout.evidence.metrics))

    rollout.run(after_each=note)
    axes.semilogy(times, np.exp(against), color=COLOURS["rolled back"], label="that it is worse")
    axes.semilogy(times, np.exp(weakest), color=COLOURS["promoted"], label="that it is not worse by the margin")
    axes.axhline(20, color="black", linewidth=0.8, linestyle="--", label="20 = 1 / (1 - 0.95): decided")
    axes.set_ylim(1e-2, 100)
    axes.spines[["top", "right"]].set_visible(False)
