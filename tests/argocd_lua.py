"""Argo CD's health scripts in a real Lua 5.1, with no more of its library than Argo CD opens."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime

FOLDER = Path(__file__).parents[1] / "manifests/argocd"

CLOSED = ("string", "io", "os", "debug", "math", "coroutine", "jit", "bit")


@dataclass(frozen=True)
class Health:
    status: str
    message: str


def health_of(item: Mapping[str, Any]) -> Health:
    """Return what Argo CD would say of an object."""
    script = (FOLDER / f"{str(item['kind']).lower()}-health.lua").read_text(encoding="utf-8")
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    assert lua.lua_version == (5, 1)
    closed = "".join(f"{name} = nil " for name in CLOSED)
    # Texts have the string library as methods, which Argo CD does not open either.
    lua.execute(f'getmetatable("").__index = nil {closed}')
    # As JSON, which Argo CD gets it as; a part that is there twice would be one table.
    lua.globals().obj = lua.table_from(json.loads(json.dumps(item)), recursive=True)
    answer = lua.execute(script)
    return Health(str(answer["status"]), str(answer["message"]))
