"""Linked clusters: connecting, following, losing them."""
