"""Joins predictions with the outcomes that arrive later, and counts both.

Read `join` first (the rules), then `store` (the same rules over a database: `sqlite` or `postgres`), `writer` (why an
answer of 200 means durable), `messages` (what is accepted on the wire), `app` (HTTP) and `metrics` (what Prometheus
sees).
"""
