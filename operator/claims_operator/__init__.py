"""The operator of ClaimsModels.

Read in this order: ``core/reconcile.py`` (what one tick decides), ``core/decision.py`` (the table of policies),
``core/desired.py`` (what is then applied), ``tick.py`` (the reads and writes around it), ``worker.py`` (when it runs).
"""
