"""Writes: defaults, validation, patches, preconditions and garbage collection."""
