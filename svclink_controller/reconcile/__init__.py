"""Brings the main cluster's EndpointSlices to the state that the core plans, Service by Service."""
