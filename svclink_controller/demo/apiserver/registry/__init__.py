"""Writes: admission, patches, preconditions, and the deletions that follow."""
