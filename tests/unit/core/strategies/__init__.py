"""Hypothesis strategies for the core's types: a pool of edge cases mixed with generated values.

Everything drawn can exist: names are unique where the API server demands it, and objects of the
main cluster have passed its validation. Objects of a remote cluster are not trusted.
"""
