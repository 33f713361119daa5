"""Sends outcomes to the feedback service, from files and from databases.

Read `cli` first (the commands), then `mapping` (what a row says), `files` and `pull` (where rows come from), `load` (a
file from end to end) and `sending` (batches, retries). None of it is part of the service's own process.
"""
