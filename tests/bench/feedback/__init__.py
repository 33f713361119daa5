"""How fast the feedback service stores, and what that costs: see `python -m feedback --help`."""
