"""The outside world: Kubernetes, Prometheus, the model registry and the clock."""
