"""``python3 -m claims_feedback.outcomes`` is the command ``claims-feedback-outcomes``."""

import sys

from claims_feedback.outcomes import cli

if __name__ == "__main__":
    sys.exit(cli.main())
