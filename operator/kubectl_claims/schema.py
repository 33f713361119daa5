"""An object against the OpenAPI schema of a CRD, in the API server's own sentences: defaults, unknown fields, bounds.

Only what our CRDs use is known here; `KEYWORDS` names it, and a test holds the CRDs to that. The wording is that of
kube-openapi and of k8s.io/apimachinery's field errors.
"""

import copy
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import re2  # type: ignore[import-untyped]

Schema = Mapping[str, Any]

KEYWORDS: Final = frozenset(
    {
        "anyOf", "default", "description", "enum", "format", "items", "maxItems", "maxLength", "maximum", "minItems",
        "minLength", "minimum", "pattern", "properties", "required", "type", "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }
)  # fmt: skip
METADATA: Final = frozenset(
    {
        "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers",
        "generateName", "generation", "labels", "managedFields", "name", "namespace", "ownerReferences",
        "resourceVersion", "selfLink", "uid",
    }
)  # fmt: skip
"""Fields of an object's metadata, of which a CRD's schema says nothing."""
_ANYTHING: Final[Schema] = {"x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, as the API server would say it."""

    path: str
    """Of the field; empty for the object as a whole."""
    detail: str
    blocks_rules: bool = False
    """Whether the API server leaves out the rules because of it."""
    could_not_be_evaluated: bool = False
    """Whether a rule got no answer at all, as a rule about numbers gets none of words."""
    hint: str = ""
    """What may have been meant; the API server says nothing of the kind."""

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}" if self.path else self.detail


def with_defaults(schema: Schema, value: Any) -> Any:
    """Return a copy with the defaults filled in, as the API server does before it looks any further."""
    if isinstance(value, dict) and "properties" in schema:
        filled = {}
        for name, item in value.items():
            field = schema["properties"].get(name, {})
            # A null counts as nothing.
            if item is not None or name not in schema["properties"]:
                filled[name] = with_defaults(field, item)
        for name, field in schema["properties"].items():
            if name not in filled and "default" in field:
                filled[name] = with_defaults(field, copy.deepcopy(field["default"]))
        return filled
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(schema["items"], item) for item in value]
    return value


def unknown_fields(schema: Schema, value: Any, path: str = "") -> Iterator[Problem]:
    """Yield the fields that the schema does not have."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if path == "metadata" and isinstance(value, dict):
        schema = {"properties": {name: _ANYTHING for name in METADATA}}
    if isinstance(value, dict) and "properties" in schema:
        for name, item in value.items():
            place = f"{path}.{name}" if path else str(name)
            if name in schema["properties"]:
                yield from unknown_fields(schema["properties"][name], item, place)
            else:
                yield Problem(path="", detail=f'unknown field "{place}"', hint=_meant(str(name), schema["properties"]))
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from unknown_fields(schema["items"], item, f"{path}[{index}]")


def _meant(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def violations(schema: Schema, value: Any, path: str = "") -> Iterator[Problem]:
    """Yield what breaks the schema itself; rules (CEL) are `kubectl_claims.rules`."""
    wrong_type = _wrong_type(schema, value, path)
    if wrong_type is not None:
        yield wrong_type
        return
    if isinstance(value, str):
        yield from _text(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, path)
    elif isinstance(value, list):
        yield from _array(schema, value, path)
    elif isinstance(value, dict):
        yield from _object(schema, value, path)
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(json.dumps(option) for option in schema["enum"])
        yield Problem(
            path=path,
            detail=f"Unsupported value: {shown(value)}: supported values: {supported}",
            blocks_rules=True,
        )


def _wrong_type(schema: Schema, value: Any, path: str) -> Problem | None:
    wanted = ("integer", "string") if schema.get("x-kubernetes-int-or-string") else (schema.get("type"),)
    actual = _type(value)
    if wanted == (None,) or actual in wanted or (actual == "integer" and "number" in wanted):
        return None
    if actual == "number" and "integer" in wanted and float(value).is_integer():
        return None
    # Before anything else the API server turns every object into one of its own kind of maps.
    sentence = f'{path} in body must be of type {",".join(map(str, wanted))}: "{actual}"'
    return Problem(path=path, detail=f'Invalid value: "{actual}": {sentence}', blocks_rules=True)


def _type(value: Any) -> str:
    if value is None:
        return "null"
    names = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next(name for type_, name in names if isinstance(value, type_))


def _text(schema: Schema, value: str, path: str) -> Iterator[Problem]:
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        detail = f"Too long: may not be more than {schema['maxLength']} {_plural('byte', schema['maxLength'])}"
        yield Problem(path=path, detail=detail, blocks_rules=True)
    elif "minLength" in schema and len(value) < schema["minLength"]:
        yield _invalid(path, value, f"should be at least {schema['minLength']} chars long")
    elif "pattern" in schema and not re2.search(schema["pattern"], value):
        yield _invalid(path, value, f"should match '{schema['pattern']}'")


def _number(schema: Schema, value: float, path: str) -> Iterator[Problem]:
    if "minimum" in schema and value < schema["minimum"]:
        yield _invalid(path, value, f"should be greater than or equal to {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        yield _invalid(path, value, f"should be less than or equal to {schema['maximum']}")


def _array(schema: Schema, value: list[Any], path: str) -> Iterator[Problem]:
    for index, item in enumerate(value):
        yield from violations(schema.get("items", {}), item, f"{path}[{index}]")
    if len(value) < schema.get("minItems", 0):
        yield _invalid(path, value, f"should have at least {schema['minItems']} items", shown_as=str(len(value)))
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        most = schema["maxItems"]
        detail = f"Too many: {len(value)}: must have at most {most} {_plural('item', most)}"
        yield Problem(path=path, detail=detail, blocks_rules=True)
    if schema.get("x-kubernetes-list-type") == "map":
        yield from _duplicates(schema["x-kubernetes-list-map-keys"], value, path)


def _duplicates(keys: list[str], value: list[Any], path: str) -> Iterator[Problem]:
    seen = []
    for index, item in enumerate(value):
        if isinstance(item, dict):
            identity = {key: item.get(key) for key in keys}
            if identity in seen:
                yield Problem(path=f"{path}[{index}]", detail=f"Duplicate value: {shown(identity)}")
            seen.append(identity)


def _object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[Problem]:
    for name, field in schema.get("properties", {}).items():
        if name in value:
            yield from violations(field, value[name], f"{path}.{name}" if path else name)
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(path=f"{path}.{name}" if path else name, detail="Required value", blocks_rules=True)


def _invalid(path: str, value: Any, what: str, *, shown_as: str | None = None) -> Problem:
    return Problem(path=path, detail=f"Invalid value: {shown_as or shown(value)}: {path} in body {what}")


def shown(value: Any) -> str:
    """Return a value as the API server writes it into a sentence."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"
