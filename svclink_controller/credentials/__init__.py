"""Credentials of remote clusters: kubeconfigs are untrusted input, and read by an allow-list."""
