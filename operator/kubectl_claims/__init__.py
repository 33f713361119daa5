"""``kubectl claims``: what a ClaimsModel is doing, why, and what a file of it would do.

Reading order: `cli` (the commands), `connection` (the API server), `scene` (what is read of one ClaimsModel), then one
module per command: `tree`, `explaining`, `history`, `waiting`. They turn what was read into text and know no network.
Objects are read as the API server sent them, and what is missing in them is left out: the command may be older or
newer than the operator.
"""
