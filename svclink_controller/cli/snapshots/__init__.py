"""Snapshots for commands, from live clusters and from files."""
