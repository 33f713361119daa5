"""``python -m claims_decisions``."""

from claims_decisions import cli

cli.run()
