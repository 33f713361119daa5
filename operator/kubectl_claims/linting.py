"""``kubectl claims lint``: what the API server and the operator would say to a file, without either."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import re2  # type: ignore[import-untyped]
from pydantic import ValidationError

from claims_operator.api import crd, names, validation
from claims_operator.api.names import ObjectKey
from claims_operator.api.v1alpha1 import ClaimsModelSpec
from kubectl_claims import rules, schema
from kubectl_claims.objects import Object
from kubectl_claims.schema import Problem, Schema

_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_SUBDOMAIN_MESSAGE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with one object."""

    unknown: tuple[Problem, ...] = ()
    """Fields that there are not; the API server says only these where there are any."""
    invalid: tuple[Problem, ...] = ()
    """What the API server would say otherwise."""
    refused: tuple[Problem, ...] = ()
    """What the operator would say, of an object that the API server takes."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything."""
        return (*self.unknown, *self.invalid, *self.refused)

    @property
    def rules_were_checked(self) -> bool:
        """Whether the rules were looked at: what breaks the schema can hide what breaks them."""
        return not any(problem.blocks_rules for problem in self.invalid)


@functools.cache
def claims_model_schema() -> Schema:
    """Return the schema of a ClaimsModel, as the CRD has it."""
    [version] = crd.build_crds()["claimsmodels.yaml"]["spec"]["versions"]
    of: Schema = version["schema"]["openAPIV3Schema"]
    return of


def lint(content: Object, old: Object | None = None) -> Verdict:
    """Judge a ClaimsModel; with ``old``, also the change from that."""
    of = claims_model_schema()
    served = names.CLAIMS_MODEL.api_version
    if content.get("apiVersion") != served:
        detail = f'Invalid value: "{content.get("apiVersion")}": there is only {served}'
        return Verdict(invalid=(Problem(path="apiVersion", detail=detail, blocks_rules=True),))
    # People write no status, and the API server takes none from them.
    written = {name: value for name, value in content.items() if name != "status"}
    unknown = tuple(schema.unknown_fields(of, written))
    known = _without_unknown(of, written)
    value = schema.with_defaults(of, known)
    invalid = [*_name_problems(content), *schema.violations(of, value)]
    if not any(problem.blocks_rules for problem in invalid):
        before = None if old is None else schema.with_defaults(of, dict(old))
        invalid += _most_telling(tuple(rules.broken_rules(of, value, before)))
    refused = () if invalid or unknown else _operator_problems(value)
    return Verdict(unknown=unknown, invalid=tuple(invalid), refused=refused)


def _most_telling(broken: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Leave out the rules that got no answer where another broken rule explains them; the API server names them too."""
    answered = tuple(problem for problem in broken if not problem.could_not_be_evaluated)
    return answered or broken


def _without_unknown(of: Schema, value: Any) -> Any:
    """Return a copy without the fields that there are not: what else is wrong is still worth knowing."""
    if isinstance(value, dict) and "properties" in of:
        known: Mapping[str, Any] = of["properties"]
        return {name: _without_unknown(known[name], item) for name, item in value.items() if name in known}
    if isinstance(value, list) and "items" in of:
        return [_without_unknown(of["items"], item) for item in value]
    return value


def _name_problems(content: Object) -> tuple[Problem, ...]:
    """Return what the API server says of a name, of whatever kind the object is."""
    metadata = content.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        detail = "Required value: name or generateName is required"
        return (Problem(path="metadata.name", detail=detail, blocks_rules=True),)
    name = metadata.get("name", "")
    if name and not re2.search(_SUBDOMAIN, str(name)):
        return (Problem(path="metadata.name", detail=f"Invalid value: {schema.shown(name)}: {_SUBDOMAIN_MESSAGE}"),)
    return ()


def _operator_problems(value: dict[str, Any]) -> tuple[Problem, ...]:
    """Return what only the operator checks; it can, since the API server would take the object."""
    metadata = value["metadata"]
    key = ObjectKey(metadata.get("namespace", "default"), metadata.get("name", metadata.get("generateName", "")))
    try:
        spec = ClaimsModelSpec.model_validate(value["spec"])
    except ValidationError as error:
        places = ((".".join(map(str, ("spec", *found["loc"]))), found["msg"]) for found in error.errors())
        return tuple(Problem(path=path, detail=message) for path, message in places)
    # Which domain the platform has plays no part in what is checked.
    return tuple(
        Problem(path=found.path, detail=found.message)
        for found in validation.problems(key, spec, domain="claims.local")
    )
