"""Kubeconfigs of the wild and their mutations, through everything that takes a kubeconfig.

`nox -s fuzz -- --minutes 10` runs it; a short run is among the unit tests.
"""
