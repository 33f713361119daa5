"""The rules of a CRD (``x-kubernetes-validations``, in CEL), evaluated as the API server evaluates them.

CEL itself is the cel-python library; the functions that Kubernetes adds to it are here, as far as our rules use them.
A test evaluates every rule of the CRDs, so that one with a function that is missing here cannot come in unseen.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import celpy
import re2  # type: ignore[import-untyped]
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from kubectl_claims.schema import Problem, Schema, shown

_OLD: Final = re.compile(r"\boldSelf\b")


def _substring(text: celtypes.StringType, *bounds: celtypes.IntType) -> celtypes.StringType:
    start, end = int(bounds[0]), int(bounds[1]) if len(bounds) > 1 else len(text)
    if not 0 <= start <= end <= len(text):
        raise CELEvalError(f"index out of range: {end}")
    return celtypes.StringType(text[start:end])


def _is_sorted(items: list[Any]) -> celtypes.BoolType:
    return celtypes.BoolType(all(before <= after for before, after in itertools.pairwise(items)))


def _sum(items: celtypes.ListType) -> celtypes.Value:
    return functools.reduce(lambda total, item: total + item, items, celtypes.IntType(0))


def _find_all(text: celtypes.StringType, pattern: celtypes.StringType) -> celtypes.ListType:
    return celtypes.ListType([celtypes.StringType(found.group(0)) for found in re2.finditer(str(pattern), str(text))])


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "substring": _substring,
    "isSorted": _is_sorted,
    "sum": _sum,
    "findAll": _find_all,
}
"""What Kubernetes adds to CEL, by the name in a rule."""


@functools.cache
def _program(expression: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression), functions=FUNCTIONS)


def broken_rules(schema: Schema, value: Any, old: Any = None, path: str = "") -> Iterator[Problem]:
    """Yield the rules that do not hold, of this value and all within; ``value`` has its defaults and fits the schema.

    ``old``: the same value before; rules about a change are left out where there is none.
    """
    if value is None:
        return
    yield from _broken_here(schema, value, old, path)
    if isinstance(value, dict):
        for name, field in schema.get("properties", {}).items():
            before = old.get(name) if isinstance(old, dict) else None
            yield from broken_rules(field, value.get(name), before, f"{path}.{name}" if path else name)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from broken_rules(schema["items"], item, _same(schema, item, old), f"{path}[{index}]")


def _broken_here(schema: Schema, value: Any, old: Any, path: str) -> Iterator[Problem]:
    for rule in schema.get("x-kubernetes-validations", ()):
        is_transition = _OLD.search(rule["rule"]) is not None
        if is_transition and old is None:
            continue
        try:
            holds = _holds(rule["rule"], value, old if is_transition else None)
        except CELEvalError as error:
            detail = f'Invalid value: "{schema.get("type")}": {error.args[0]} evaluating rule: {rule["message"]}'
            yield Problem(path=path, detail=detail, could_not_be_evaluated=True)
            continue
        if not holds:
            seen = "" if schema.get("type") in {"object", "array"} else f"{shown(value)}: "
            yield Problem(path=path, detail=f"Invalid value: {seen}{rule['message']}")


def _same(schema: Schema, item: Any, old: Any) -> Any:
    """Return what an item of a list was before; only items with keys are known again."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list):
        return None
    return next((other for other in old if all(other.get(key) == item.get(key) for key in keys)), None)


def _holds(expression: str, value: Any, old: Any) -> bool:
    known = {"self": json_to_cel(value)}
    if old is not None:
        known["oldSelf"] = json_to_cel(old)
    return bool(_program(expression).evaluate(known))
