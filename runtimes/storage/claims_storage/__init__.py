"""Brings a model package from MLflow to the folder that it is served from, and checks it before anything reads it.

KServe runs it as an init container (a ClusterStorageContainer) of every predictor with a ``models:/`` URI.
"""
