"""Put a model package in place: ``python3 -m claims_storage SOURCE_URI DESTINATION``."""

import argparse
import os
import sys
import time
from pathlib import Path

from claims_storage import address, installation
from claims_storage.errors import InvalidAddress, StorageError
from claims_storage.mlflow import Registry


def main() -> int:
    """Return 0 when the checked package is in place, else 1."""
    parser = argparse.ArgumentParser(prog="claims-storage", description=__doc__)
    parser.add_argument("source", help="models:/<name>/<version>?digest=sha256:<64 hex digits>")
    parser.add_argument("destination", type=Path, help="the folder that the model is served from")
    arguments = parser.parse_args()
    began_at = time.monotonic()
    try:
        version = address.parse(arguments.source)
        tracking_uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not tracking_uri:
            raise InvalidAddress("MLFLOW_TRACKING_URI is not set; it is the address of MLflow")
        is_new = installation.install(version, Registry.at(tracking_uri), arguments.destination)
    except (StorageError, OSError) as error:
        sys.stderr.write(f"claims-storage: {error}\n")
        return 1
    what = f"{version.name} version {version.version} ({version.digest})"
    how = f"checked and in place after {time.monotonic() - began_at:.1f} s" if is_new else "already in place"
    sys.stdout.write(f"claims-storage: {what} is {how}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
