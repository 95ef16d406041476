"""Bytes of the Kubernetes API to and from the types of the core."""
