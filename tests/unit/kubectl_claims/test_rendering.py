"""What render shows. That the operator makes just that is tested on an API server."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kubectl_claims.cli import claims

FILE = """
apiVersion: claimsmodel.io/v1alpha1
kind: ClaimsModel
metadata: {name: claim-risk, namespace: claims}
spec:
  model: {version: 2.1.0, uri: "models:/claim-risk/7", format: {name: sklearn}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "claim-risk.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(claims, ["render", *arguments], env=environment)
    return result.exit_code, result.output


def test_the_children_are_shown_as_yaml_that_can_be_read_back(file: Path) -> None:
    code, output = run(str(file))
    route, service = yaml.safe_load_all(output)

    assert code == 0
    assert [route["kind"], service["kind"]] == ["HTTPRoute", "InferenceService"]
    assert route["spec"]["hostnames"] == ["claim-risk-claims.claims.local"]
    assert service["spec"]["predictor"]["model"]["storageUri"] == f"models:/claim-risk/7?digest=sha256:{'0' * 64}"


def test_namespace_digest_and_settings_can_be_named(file: Path) -> None:
    digest = f"sha256:{'a' * 64}"
    code, output = run(str(file), "-n", "staging", "--digest", digest, "-o", "json", CLAIMS_ROUTE_DOMAIN="example.com")
    route, service = json.loads(output)["items"]

    assert code == 0
    assert route["spec"]["hostnames"] == ["claim-risk-staging.example.com"]
    assert service["spec"]["predictor"]["model"]["storageUri"].endswith(digest)


def test_a_file_that_would_be_refused_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(FILE.replace("2.1.0", "'2'"), encoding="utf-8")
    code, output = run(str(path))

    assert code == 1
    assert "write the model's semantic version" in output
    assert "would be refused, so nothing would be made" in output
    assert "InferenceService" not in output


def test_what_is_no_digest_is_refused(file: Path) -> None:
    code, output = run(str(file), "--digest", "latest")

    assert code == 2
    assert "write sha256: and 64 hex digits" in output


def test_a_setting_that_cannot_be_used_is_named(file: Path) -> None:
    code, output = run(str(file), CLAIMS_FEEDBACK_URL="feedback")

    assert code == 1
    assert "CLAIMS_FEEDBACK_URL='feedback' must be a URL" in output
