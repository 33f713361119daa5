"""Claims in, model packages out: a seeded generator, table checks, training, evaluation and the MLflow registry."""
