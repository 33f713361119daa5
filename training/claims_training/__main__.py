"""``python -m claims_training`` is ``claims-train``."""

import sys

from claims_training import cli

sys.exit(cli.main())
