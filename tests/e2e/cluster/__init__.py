"""svclink in Pods of whole clusters, each with its nodes.

Real: kubelet, containerd, runc, kube-proxy, CoreDNS and the image of the project's Dockerfile. Each
node is a machine of its own: a tree of processes with its own network, mounts, host name and
process ids. The kernel ends all processes of a machine with the first one, and its mounts and
network interfaces with the last one.
"""
