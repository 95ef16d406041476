"""Brings the main cluster to what the core plans, Service by Service."""
