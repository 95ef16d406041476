"""A Kubernetes API server in Python, for the demo and for tests."""
