"""Hypothesis strategies for the core's types: a pool of nasty values mixed with generated ones.

Everything drawn can exist: names are unique where the API server makes them so, and what the main cluster
holds has passed its validation. What a remote cluster holds is not trusted.
"""
