"""Prometheus scrapes svclink; promtool tests the alerts; the queries of the dashboard have data."""
