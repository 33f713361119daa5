"""Small JSON files that survive a crash: whole, either as they were or as they are meant to be."""

import json
import os
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any] | None:
    """Return what a file holds; None where there is none. Raise `ValueError` where it holds something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(found, dict):
        raise ValueError("it holds no JSON object")
    return found


def write(path: Path, content: dict[str, Any]) -> None:
    """Put a file in the place of the one that is there, on the disk before this returns."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
