"""svclink in Pods of whole clusters, each with a node.

Real: kubelet, containerd, runc, kube-proxy, CoreDNS and the image of the project's Dockerfile.
"""
