"""The state of every cluster, as values for the core."""
