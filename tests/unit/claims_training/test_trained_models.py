"""Models learn what is there to learn, on rows they never saw, and the package says exactly what was made."""

import datetime as dt
import hashlib
import io
import json
import pathlib
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest

from claims_contract import tensors
from claims_training import evaluation, generator, models, package, schema, table, training
from claims_training.errors import PackageFolderInUse, TrainingError

NOW = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
FOREST = models.Algorithm.RANDOM_FOREST
XGBOOST = models.Algorithm.XGBOOST


def order(folder: pathlib.Path, **changes: object) -> training.Order:
    """A small order that trains in a second; a test names what it is about."""
    fields: dict[str, object] = {
        "algorithm": FOREST,
        "data": None,
        "generated_rows": 3000,
        "name": "claim-risk",
        "version": "1.0.0",
        "folder": folder,
        "seed": 7,
        "growth": models.Parameters(trees=10, max_depth=6, seed=7),
        "threshold": 0.5,
        "split": "time",
        "excluded_lines": (),
    }
    return training.Order(**(fields | changes))  # type: ignore[arg-type]


def read_json(path: pathlib.Path) -> dict[str, object]:
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def test_xgboost_reaches_every_target_on_held_out_claims(tmp_path: pathlib.Path) -> None:
    trained = training.train(
        order(tmp_path / "p", algorithm=XGBOOST, generated_rows=20_000, growth=models.Parameters()), now=NOW
    )

    for name, target in evaluation.TARGETS.items():
        assert trained.metrics[name] >= target + 0.01, name
    assert trained.metrics["accuracy"] < trained.metrics["accuracy_ceiling"] < 0.97
    assert trained.metrics["held_out_rows"] == 4000


def test_a_line_that_was_never_trained_on_is_judged_wrong(tmp_path: pathlib.Path) -> None:
    growth = models.Parameters(trees=100)
    whole = training.train(order(tmp_path / "a", algorithm=XGBOOST, generated_rows=8000, growth=growth), now=NOW)
    blind = training.train(
        order(tmp_path / "b", algorithm=XGBOOST, generated_rows=8000, growth=growth, excluded_lines=("health",)),
        now=NOW,
    )

    assert whole.metrics["accuracy"] - blind.metrics["accuracy"] > 0.08
    assert blind.metrics["accuracy_health"] < 0.6
    assert blind.metrics["accuracy_auto"] > 0.85
    assert read_json(tmp_path / "b" / "package.json")["data"]["excludedLines"] == ["health"]  # type: ignore[index]


@pytest.mark.parametrize("algorithm", list(models.Algorithm))
def test_the_same_order_gives_the_same_digest(tmp_path: pathlib.Path, algorithm: models.Algorithm) -> None:
    first = training.train(order(tmp_path / "a", algorithm=algorithm), now=NOW)
    second = training.train(order(tmp_path / "b", algorithm=algorithm), now=NOW + dt.timedelta(days=1))
    other = training.train(
        order(tmp_path / "c", algorithm=algorithm, growth=models.Parameters(trees=10, max_depth=6, seed=8)), now=NOW
    )

    assert first.package.digest == second.package.digest
    assert first.package.digest != other.package.digest


@pytest.mark.parametrize(
    ("algorithm", "settings", "files"),
    [
        (FOREST, {"implementation": "claims_runtime.SKLearnClaims", "parameters": {"uri": "./model.joblib"}},
         {"model.joblib"}),
        (XGBOOST, {"implementation": "claims_runtime.XGBoostClaims", "parameters": {"uri": "./model.json"}},
         {"model.json", "preprocess.joblib"}),
    ],
)  # fmt: skip
def test_a_package_holds_what_a_runtime_needs(
    tmp_path: pathlib.Path, algorithm: models.Algorithm, settings: object, files: set[str]
) -> None:
    training.train(order(tmp_path / "p", algorithm=algorithm, threshold=0.6), now=NOW)

    common = {"model-settings.json", "schema.json", "samples.json", "package.json"}
    assert {path.name for path in (tmp_path / "p").iterdir()} == files | common
    assert read_json(tmp_path / "p" / "model-settings.json") == settings
    described = read_json(tmp_path / "p" / "schema.json")
    assert described["decisionThreshold"] == 0.6
    assert [entry["name"] for entry in described["features"]] == list(schema.FEATURE_NAMES)  # type: ignore[attr-defined]
    about = read_json(tmp_path / "p" / "package.json")
    assert about["format"] == models.FORMATS[algorithm]
    assert (about["name"], about["version"]) == ("claim-risk", "1.0.0")
    assert about["createdAt"] == "2026-01-31T12:00:00Z"


def test_the_digest_covers_every_file_but_the_description(tmp_path: pathlib.Path) -> None:
    trained = training.train(order(tmp_path / "p"), now=NOW)

    files = sorted(path for path in (tmp_path / "p").iterdir() if path.name != "package.json")
    lines = sorted(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    assert trained.package.digest == "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
    about = read_json(tmp_path / "p" / "package.json")
    assert about["digest"] == trained.package.digest
    assert about["digests"] == package.file_digests(tmp_path / "p")
    (tmp_path / "p" / "samples.json").write_text("{}")
    assert package.digest_of(package.file_digests(tmp_path / "p")) != trained.package.digest


def test_the_training_cutoff_is_the_last_claim_trained_on(tmp_path: pathlib.Path) -> None:
    training.train(order(tmp_path / "p", generated_rows=1000), now=NOW)

    last = generator.FIRST_REPORT + np.timedelta64(799 * generator.SECONDS_BETWEEN_REPORTS, "s")
    assert read_json(tmp_path / "p" / "package.json")["trainingCutoff"] == f"{last}Z"


@pytest.mark.parametrize("algorithm", list(models.Algorithm))
def test_the_samples_answers_are_those_of_the_files(tmp_path: pathlib.Path, algorithm: models.Algorithm) -> None:
    training.train(order(tmp_path / "p", algorithm=algorithm), now=NOW)

    samples = read_json(tmp_path / "p" / "samples.json")
    columns = {tensor["name"]: tensor["data"] for tensor in samples["request"]["inputs"]}  # type: ignore[index]
    outputs = {tensor["name"]: tensor["data"] for tensor in samples["response"]["outputs"]}  # type: ignore[index]
    scores = package.read_model(tmp_path / "p", algorithm).score(pd.DataFrame(columns))
    assert outputs[tensors.RISK_SCORE] == scores.tolist()
    assert outputs[tensors.DECISION] == [tensors.REFER if score >= 0.5 else tensors.SETTLE for score in scores]
    assert outputs[tensors.CONFIDENCE] == [max(score, 1 - score) for score in scores]
    assert set(outputs[tensors.RISK_LEVEL]) <= {"low", "medium", "high"}
    assert list(columns) == [tensors.CLAIM_ID, *schema.FEATURE_NAMES]


class Recorder(pickle.Unpickler):
    """Notes the package of every class and function that a pickle asks for."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.packages: set[str] = set()

    def find_class(self, module: str, name: str) -> object:
        self.packages.add(module.split(".")[0])
        return super().find_class(module, name)


@pytest.mark.parametrize(("algorithm", "file"), [(FOREST, "model.joblib"), (XGBOOST, "preprocess.joblib")])
def test_unpickling_needs_no_code_of_ours(tmp_path: pathlib.Path, algorithm: models.Algorithm, file: str) -> None:
    training.train(order(tmp_path / "p", algorithm=algorithm, generated_rows=500), now=NOW)
    # Written again as a plain pickle: joblib's own file has raw arrays between the instructions.
    recorder = Recorder(pickle.dumps(joblib.load(tmp_path / "p" / file)))

    recorder.load()

    assert recorder.packages <= {"sklearn", "numpy", "builtins"}


@pytest.mark.parametrize("algorithm", list(models.Algorithm))
def test_unknown_values_are_scored_and_change_nothing_else(tmp_path: pathlib.Path, algorithm: models.Algorithm) -> None:
    training.train(order(tmp_path / "p", algorithm=algorithm), now=NOW)
    model = package.read_model(tmp_path / "p", algorithm)
    features = pd.DataFrame(dict(generator.generate(4, seed=1).columns)).astype({"region": object, "cause": object})
    known = model.score(features)

    features.loc[1, ["region", "cause", "claimant_age_years"]] = [None, "meteor", np.nan]
    unknown = model.score(features)

    assert np.isfinite(unknown).all()
    assert unknown[[0, 2, 3]].tolist() == known[[0, 2, 3]].tolist()


def test_time_order_holds_out_the_last_claims() -> None:
    frame = table.check(table.of_claims(generator.generate(1000, seed=1)), source="claims")

    parts = evaluation.split(frame, "time", seed=0)

    assert len(parts.held_out) == 200
    assert parts.training[schema.REPORTED_AT].max() < parts.held_out[schema.REPORTED_AT].min()


def test_a_random_split_is_seeded_and_shares_no_claim() -> None:
    frame = table.check(table.of_claims(generator.generate(1000, seed=1)), source="claims")

    parts, again, other = (evaluation.split(frame, "random", seed=seed) for seed in (1, 1, 2))

    assert not set(parts.training[schema.CLAIM_ID]) & set(parts.held_out[schema.CLAIM_ID])
    assert parts.held_out.equals(again.held_out)
    assert not parts.held_out.equals(other.held_out)


def test_a_folder_with_other_files_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(PackageFolderInUse, match="not a model package"):
        training.train(order(tmp_path), now=NOW)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_package_is_replaced_whole(tmp_path: pathlib.Path) -> None:
    training.train(order(tmp_path / "p", generated_rows=500), now=NOW)
    training.train(order(tmp_path / "p", generated_rows=500, algorithm=XGBOOST), now=NOW)

    assert not (tmp_path / "p" / "model.joblib").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_excluding_every_line_leaves_nothing_to_learn(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TrainingError, match="exclude fewer lines"):
        training.train(order(tmp_path / "p", generated_rows=500, excluded_lines=schema.LINES), now=NOW)
