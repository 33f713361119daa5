"""Lint without a cluster. That it agrees with an API server is tested on one (tests/integration/kubectl_claims)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celpy
import pytest
from celpy.evaluation import CELEvalError
from click.testing import CliRunner

from claims_operator.api import crd
from kubectl_claims import rules, schema
from kubectl_claims.cli import claims
from kubectl_claims.linting import claims_model_schema, lint

MODEL = {"version": "2.1.0", "uri": "models:/claim-risk/7", "format": {"name": "sklearn"}}
GOOD: dict[str, Any] = {
    "apiVersion": "claimsmodel.io/v1alpha1",
    "kind": "ClaimsModel",
    "metadata": {"name": "claim-risk"},
    "spec": {"model": MODEL},
}


def nodes(of: schema.Schema) -> Iterator[schema.Schema]:
    """Yield a schema and all schemas within."""
    yield of
    for field in of.get("properties", {}).values():
        yield from nodes(field)
    if "items" in of:
        yield from nodes(of["items"])


def test_every_keyword_of_the_crd_is_known() -> None:
    used = {keyword for node in nodes(claims_model_schema()) for keyword in node}

    assert used - schema.KEYWORDS == set()


def test_the_rules_of_the_crd_call_the_functions_that_are_known_and_no_others() -> None:
    found = [rule["rule"] for node in nodes(claims_model_schema()) for rule in node.get("x-kubernetes-validations", ())]
    standard = {"size", "has", "all", "exists", "exists_one", "map", "filter", "int", "double", "matches", "contains",
                "string", "startsWith", "endsWith", "bool", "duration", "type"}  # fmt: skip

    assert len(found) > 20
    kubernetes: set[str] = set()
    for expression in found:
        tree = celpy.Environment().compile(expression)
        called = {str(child.children[0]) for child in tree.find_data("ident_arg")}
        called |= {str(child.children[1]) for child in tree.find_data("member_dot_arg")}
        kubernetes |= called - standard
    assert kubernetes == set(rules.FUNCTIONS)


def test_a_function_that_is_missing_is_no_verdict() -> None:
    with pytest.raises(CELEvalError):
        rules._program("self.upperAscii() == 'A'").evaluate({"self": celpy.celtypes.StringType("a")})


def test_a_good_object_has_no_problem() -> None:
    assert lint(GOOD).problems == ()


def test_the_status_in_a_file_plays_no_part() -> None:
    assert lint({**GOOD, "status": {"state": "Serving", "of": "old"}}).problems == ()


def test_another_version_of_the_api_is_named() -> None:
    [problem] = lint({**GOOD, "apiVersion": "claimsmodel.io/v1"}).problems

    assert str(problem) == 'apiVersion: Invalid value: "claimsmodel.io/v1": there is only claimsmodel.io/v1alpha1'


def test_an_unknown_field_comes_with_what_may_have_been_meant_and_hides_nothing() -> None:
    verdict = lint({**GOOD, "spec": {"modle": {}, "model": {**MODEL, "version": "2"}}})

    assert [(str(problem), problem.hint) for problem in verdict.unknown] == [
        ('unknown field "spec.modle"', "did you mean model?")
    ]
    assert [problem.path for problem in verdict.invalid] == ["spec.model.version"]


def test_what_only_the_operator_refuses_is_found_too() -> None:
    far = {**GOOD, "metadata": {"name": "claim-risk", "namespace": "n" * 60}}

    assert [problem.path for problem in lint(far).refused] == ["spec.serving.route.hostname"]


def test_the_defaults_are_those_of_the_models() -> None:
    filled = schema.with_defaults(claims_model_schema(), GOOD)
    [version] = crd.build_crds()["claimsmodels.yaml"]["spec"]["versions"]
    steps = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["rollout"]["properties"]["steps"]

    assert filled["spec"]["rollout"]["steps"] == steps["default"]
    assert "spec" not in GOOD["metadata"]
    assert GOOD["spec"] == {"model": MODEL}


def run(*arguments: str, pipe: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(claims, ["lint", *arguments], input=pipe)
    return result.exit_code, result.output


def test_a_file_that_is_fine_ends_with_0(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(f"# A comment\n---\n{json.dumps(GOOD)}\n", encoding="utf-8")

    assert run(str(path)) == (0, f"{path}:3: claim-risk is fine\n")


def test_a_folder_is_looked_through_and_other_objects_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    bad = {**GOOD, "spec": {"model": {**MODEL, "version": "2"}}}
    (tmp_path / "deep/all.json").write_text(json.dumps({"kind": "List", "items": [GOOD, bad]}), encoding="utf-8")
    (tmp_path / "other.yaml").write_text("kind: ConfigMap\napiVersion: v1\n", encoding="utf-8")
    code, output = run(str(tmp_path))

    assert code == 1
    assert "all.json:1: claim-risk is fine" in output
    assert '  spec.model.version: Invalid value: "2": write the model\'s semantic version' in output
    assert output.endswith("error: 1 of 2 ClaimsModels would be refused\n")


def test_the_pipe_can_be_checked_with_json_as_the_answer() -> None:
    code, output = run("-", "-o", "json", pipe=json.dumps({**GOOD, "metadata": {}}))
    [answer] = json.loads(output[: output.rindex("]") + 1])

    assert (code, answer["valid"], answer["rulesChecked"]) == (1, False, False)
    assert answer["problems"][0]["message"] == "metadata.name: Required value: name or generateName is required"


def test_a_change_that_is_not_allowed_is_found_with_the_old_file(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(json.dumps(GOOD), encoding="utf-8")
    new.write_text(json.dumps({**GOOD, "spec": {"model": {**MODEL, "uri": "models:/claim-risk/8"}}}), encoding="utf-8")

    assert run(str(new))[0] == 0
    code, output = run(str(new), "--old", str(old))
    assert code == 1
    assert "write its semantic version in spec.model.version as well" in output


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("a: [", ":1 is no YAML: ", id="no-yaml"),
        pytest.param("a: 1\nb: 2\na: 3\n", ":3 is no YAML: the key 'a' is there twice", id="a-key-twice"),
        pytest.param("- a\n", "holds no Kubernetes object, but list", id="no-object"),
        pytest.param("? [a]\n: 1\n", "is no YAML: found unhashable key", id="a-list-as-a-key"),
        pytest.param("kind: ConfigMap\n", "there is no ClaimsModel in", id="nothing-to-check"),
        pytest.param("", "there is no ClaimsModel in", id="empty"),
    ],
)
def test_what_cannot_be_read_is_no_success(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    code, output = run(str(path))

    assert code == 1
    assert sentence in output


def test_metadata_that_is_none_at_all_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(json.dumps({**GOOD, "metadata": "claim-risk"}), encoding="utf-8")
    code, output = run(str(path))

    assert code == 1
    assert "a ClaimsModel without a name" in output
    assert "metadata.name: Required value" in output


def test_a_date_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    labelled = json.dumps(GOOD).replace('"claim-risk"', '"claim-risk", "labels": {"since": 2026-11-20}', 1)
    path.write_text(labelled, encoding="utf-8")

    assert run(str(path))[0] == 0
