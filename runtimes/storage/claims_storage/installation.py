"""Fetch, check, then put in place: a destination never holds a file that was not checked."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from claims_storage import package
from claims_storage.address import ModelVersion
from claims_storage.errors import DestinationInUse, Mismatch
from claims_storage.mlflow import Registry

DOWNLOADS: Final = 4
"""Files that are fetched at once."""

_INCOMING_PREFIX: Final = ".incoming-"


def install(version: ModelVersion, registry: Registry, destination: Path) -> bool:
    """Put the package into ``destination``; return False where it was there already.

    It may be run again after any interruption: what a killed run left behind is removed first.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for leftover in destination.glob(_INCOMING_PREFIX + "*"):
        shutil.rmtree(leftover)
    if _is_installed(version, destination):
        return False
    # Inside the destination, since only that is sure to be the same volume: the last step is renames.
    incoming = Path(tempfile.mkdtemp(prefix=_INCOMING_PREFIX, dir=destination))
    try:
        digests = _fetch(version, registry, incoming)
        package.verify(incoming, digests, version.digest)
        _put_in_place(incoming, destination)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return True


def _is_installed(version: ModelVersion, destination: Path) -> bool:
    if not (destination / package.PACKAGE_FILE).is_file():
        return False
    try:
        package.verify(destination, package.hash_folder(destination), version.digest)
    except Mismatch:
        return False
    return True


def _fetch(version: ModelVersion, registry: Registry, incoming: Path) -> dict[str, str]:
    """Download every file; return its ``sha256:<hex>`` by its path."""
    folder = registry.find_folder(version)
    files = registry.list_files(folder)

    def fetch(path: str) -> str:
        target = incoming / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return registry.download(folder, path, target)

    with ThreadPoolExecutor(DOWNLOADS) as executor:
        try:
            return dict(zip(files, executor.map(fetch, files), strict=True))
        except BaseException:
            # One file failed: those that were not begun are not wanted any more.
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _put_in_place(incoming: Path, destination: Path) -> None:
    """Rename the checked files into the destination, package.json last."""
    entries = sorted(incoming.iterdir(), key=lambda entry: (entry.name == package.PACKAGE_FILE, entry.name))
    names = {entry.name for entry in entries} | {incoming.name}
    strangers = sorted(entry.name for entry in destination.iterdir() if entry.name not in names)
    if strangers:
        raise DestinationInUse(
            f"{destination} holds {', '.join(strangers[:5])}, which the package does not have: empty the folder first"
        )
    for entry in entries:
        target = destination / entry.name
        if target.is_dir():
            shutil.rmtree(target)
        entry.replace(target)
