"""Writes manifests/platform.yaml from the chart's defaults: ``python -m chart.platform_manifest [--check]``."""

import sys

from chart import rendering

TARGET = rendering.ROOT / "manifests" / "platform.yaml"

HEADER = """\
# Generated from helm/claims-platform with its default values by `make generate`; do not edit.
# For reading, and for clusters without Helm: apply manifests/crd first, make the namespace claims-system, and in it the
# Secret claims-feedback-token with a key `token` of 16 characters or more.
"""

VALUES = {"crds": {"enabled": False}, "feedback": {"token": {"existingSecret": "claims-feedback-token"}}}


def text() -> str:
    """Return what the file has to hold."""
    return HEADER + rendering.render_text(VALUES).replace("\n\n---", "\n---")


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` say whether it differs; return the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m chart.platform_manifest [--check]\n")
        return 2
    wanted = text()
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == wanted:
        return 0
    if arguments:
        sys.stderr.write(f"{TARGET.name}: not what the chart renders; run make generate\n")
        return 1
    TARGET.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
