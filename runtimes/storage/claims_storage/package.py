"""Whether a set of files is the package that was registered."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from claims_storage.errors import Mismatch

PACKAGE_FILE: Final = "package.json"


def digest_of(digests: Mapping[str, str]) -> str:
    """Return the package digest from each file's ``sha256:<hex>`` by its path; package.json is not among them."""
    lines = sorted(f"{digest.removeprefix('sha256:')}  {path}\n" for path, digest in digests.items())
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def hash_folder(folder: Path) -> dict[str, str]:
    """Return ``sha256:<hex>`` of every file below a folder, by its path relative to it."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digests[str(path.relative_to(folder))] = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def verify(folder: Path, digests: Mapping[str, str], pinned: str) -> None:
    """Raise `Mismatch` unless the files are the package with the digest ``pinned``.

    ``digests``: ``sha256:<hex>`` of every file in ``folder``, package.json among them.
    """
    files = {path: digest for path, digest in digests.items() if path != PACKAGE_FILE}
    recorded = _recorded_digests(folder)
    for path in sorted(recorded.keys() - files.keys()):
        raise Mismatch(f"the package lacks the file {path!r} that its {PACKAGE_FILE} lists")
    for path in sorted(files.keys() - recorded.keys()):
        raise Mismatch(f"the package holds a file {path!r} that its {PACKAGE_FILE} does not list")
    for path, digest in sorted(files.items()):
        if recorded[path] != digest:
            raise Mismatch(f"the file {path!r} has {digest}, but the package's {PACKAGE_FILE} says {recorded[path]}")
    actual = digest_of(files)
    if actual != pinned:
        raise Mismatch(f"the package has the digest {actual}, but {pinned} is what was asked for")


def _recorded_digests(folder: Path) -> dict[str, str]:
    try:
        digests = json.loads((folder / PACKAGE_FILE).read_text(encoding="utf-8"))["digests"]
        return {str(path): str(digest) for path, digest in digests.items()}
    except FileNotFoundError:
        raise Mismatch(f"the files are no model package: there is no {PACKAGE_FILE}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Mismatch(f"the package's {PACKAGE_FILE} has no readable list of digests: {error!r}") from error
