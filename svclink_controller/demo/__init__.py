"""Clusters to try svclink on: a small Kubernetes API server that needs nothing but Python, and `svclink demo`.

The API server is for demonstrations and tests. It keeps everything in memory, knows the kinds that svclink has to do
with and those of its manifests, and runs no Pods. What it answers is held to what a real kube-apiserver answers, since
the end-to-end tests run against both.
"""
