"""Programs that somebody built already, from a folder on a web server that the user names, instead of our own builds.

$CLAIMS_CLUSTER_PARTS_URL is the folder. It holds SHA256SUMS, as sha256sum writes it, and files called as our programs
are (kube-apiserver, etcd, helm, ...), in the versions that settings.py names. What SHA256SUMS does not list is built.
"""

import hashlib
import os
import urllib.request
from pathlib import Path

from claims_cluster.shell import Failure

VARIABLE = "CLAIMS_CLUSTER_PARTS_URL"
TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 20


def sums() -> dict[str, str]:
    """Return the SHA-256 sum, in hexadecimal, of each released program by name; none where nothing is set.

    Raises:
        Failure: the list does not answer, or a line of it is no sum and name.
    """
    folder = os.environ.get(VARIABLE, "").rstrip("/")
    if not folder:
        return {}
    url = f"{folder}/SHA256SUMS"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the user's own address
            text = answer.read().decode()
    except (OSError, ValueError) as error:
        raise Failure(
            f"{VARIABLE}: {url} does not answer ({error}). Mend it, or unset it to build from source."
        ) from error
    found = {}
    for line in text.splitlines():
        digest, _, name = line.partition(" ")
        if len(digest) != hashlib.sha256().digest_size * 2 or not name.strip(" *"):
            raise Failure(f"{url} has a line that is not a SHA-256 sum and a name: {line[:100]!r}")
        found[name.strip(" *")] = digest.lower()
    return found


def download(name: str, digest: str, target: Path) -> None:
    """Fetch a program into ``target`` and make it executable.

    Raises:
        Failure: it does not answer, or its sum is not ``digest``.
    """
    url = f"{os.environ[VARIABLE].rstrip('/')}/{name}"
    seen = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, target.open("wb") as file:  # noqa: S310
            while chunk := answer.read(CHUNK_BYTES):
                seen.update(chunk)
                file.write(chunk)
    except OSError as error:
        raise Failure(
            f"{VARIABLE}: {url} does not answer ({error}). Mend it, or unset it to build from source."
        ) from error
    if seen.hexdigest() != digest:
        raise Failure(f"{url} has the sum {seen.hexdigest()}, and SHA256SUMS beside it says {digest}. Mend either.")
    target.chmod(0o755)
