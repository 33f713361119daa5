"""Entry point of ``python -m claims_cluster``."""

import sys

from claims_cluster.cli import main

sys.exit(main())
