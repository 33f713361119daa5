"""What is asked of MLflow: a model version, the list of its files, and the files. REST, standard library."""

import hashlib
import http.client
import json
import random
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from claims_storage.address import ModelVersion
from claims_storage.errors import InvalidAddress, Mismatch, NotFound, RegistryUnavailable

READ_TIMEOUT_SECONDS: Final = 20.0
"""How long one answer may keep silent."""

ATTEMPTS: Final = 6
FIRST_RETRY_SECONDS: Final = 0.5
"""Doubles with each attempt: about 15 s in all before MLflow counts as unavailable."""

LONGEST_JSON_BYTES: Final = 8 * 1024 * 1024
MOST_FILES: Final = 1_000
CHUNK_BYTES: Final = 1024 * 1024

_API: Final = "/api/2.0/mlflow"
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_SCHEME: Final = "mlflow-artifacts"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Registry:
    """An MLflow tracking server that serves its artifacts itself (``--serve-artifacts``)."""

    url: str
    """Base address, for example ``http://mlflow.claims-system:5000``."""

    first_retry_seconds: float = FIRST_RETRY_SECONDS

    @classmethod
    def at(cls, url: str) -> "Registry":
        """Return the registry at an address, or raise `InvalidAddress`."""
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
            raise InvalidAddress(
                f"MLFLOW_TRACKING_URI is {url!r}; it must be an address like http://mlflow.claims-system:5000"
            )
        return cls(url=url.rstrip("/"))

    def find_folder(self, version: ModelVersion) -> str:
        """Return the artifact folder of a model version."""
        query = urlencode({"name": version.name, "version": version.version})
        missing = f"MLflow at {self.url} has no version {version.version} of the model {version.name!r}"
        found = self._get_json(f"{_API}/model-versions/get?{query}", missing)
        source = str(found.get("model_version", {}).get("source", ""))
        location = urlsplit(source)
        folder = location.path.strip("/")
        if location.scheme != _SCHEME or not _is_plain_path(folder):
            raise InvalidAddress(
                f"the files of {version.name!r} version {version.version} are at {source!r}, which MLflow does not "
                "serve: run it with --serve-artifacts and register the version again"
            )
        return folder

    def list_files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, relative to it and sorted."""
        files = sorted(self._walk(folder, ""))
        if not files:
            raise NotFound(f"MLflow at {self.url} has no files in {folder!r}: they were deleted, or never uploaded")
        return files

    def download(self, folder: str, path: str, target: Path) -> str:
        """Write one file to ``target`` and return its ``sha256:<hex>``."""
        address = f"{_ARTIFACTS}/{quote(folder)}/{quote(path)}"
        missing = f"MLflow at {self.url} lists the file {path!r} but does not have it"

        def read(response: http.client.HTTPResponse) -> str:
            with target.open("wb") as file:
                return _copy(response, file)

        return self._get(address, missing, read)

    def _walk(self, folder: str, below: str) -> Iterator[str]:
        """Yield the files of one folder and of those below it."""
        listed = f"{folder}/{below}".rstrip("/")
        answer = self._get_json(f"{_ARTIFACTS}?{urlencode({'path': listed})}", f"MLflow has no folder {listed!r}")
        entries = answer.get("files") or []
        if len(entries) > MOST_FILES:
            raise Mismatch(f"{listed!r} holds {len(entries)} files; a package has at most {MOST_FILES}")
        for entry in entries:
            name = str(entry.get("path", ""))
            # A name from outside becomes a path here: it must stay in its folder.
            if "/" in name or not _is_plain_path(name):
                raise Mismatch(f"MLflow lists a file with the name {name!r}, which no package has")
            path = f"{below}/{name}".lstrip("/")
            if not entry.get("is_dir"):
                yield path
            elif path.count("/") < 8:
                yield from self._walk(folder, path)
            else:
                raise Mismatch(f"the folders of {folder!r} are nested too deep for a package")

    def _get_json(self, address: str, missing: str) -> dict[str, Any]:
        def read(response: http.client.HTTPResponse) -> dict[str, Any]:
            document = json.loads(response.read(LONGEST_JSON_BYTES))
            if not isinstance(document, dict):
                raise ValueError("the answer is no JSON object")
            return document

        return self._get(address, missing, read)

    def _get(self, address: str, missing: str, read: Callable[[http.client.HTTPResponse], _Answer]) -> _Answer:
        """Ask until there is an answer; 404 is one, and so is any other refusal."""
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                # Jitter, so that many pods that start together do not come back together.
                time.sleep(self.first_retry_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311
            try:
                # The scheme was checked in `at`.
                with urlopen(Request(self.url + address), timeout=READ_TIMEOUT_SECONDS) as response:  # noqa: S310
                    return read(response)
            except HTTPError as error:
                trouble = f"HTTP {error.code}"
                if error.code == 404:
                    raise NotFound(missing) from error
                if error.code < 500 and error.code not in {408, 425, 429}:
                    raise RegistryUnavailable(f"MLflow at {self.url} refused {address}: {trouble}") from error
            except URLError as error:
                trouble = str(error.reason)
            except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError, ValueError) as error:
                trouble = f"{type(error).__name__} {error}".strip()
        raise RegistryUnavailable(f"MLflow at {self.url} gave no answer in {ATTEMPTS} attempts: {trouble}")


def _copy(response: http.client.HTTPResponse, file: IO[bytes]) -> str:
    """Write a body to a file and return its digest; raise where the body ends early."""
    digest = hashlib.sha256()
    size = 0
    while chunk := response.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        file.write(chunk)
    announced = response.headers.get("Content-Length")
    if announced is not None and int(announced) != size:
        raise http.client.IncompleteRead(b"", int(announced) - size)
    return "sha256:" + digest.hexdigest()


def _is_plain_path(path: str) -> bool:
    """Return whether a relative path names nothing outside its folder."""
    forbidden = {"", ".", ".."}
    return not any(part in forbidden for part in path.split("/")) and path.isprintable() and "\\" not in path
