"""`svclink demo`: clusters on this machine that need only Python, and a story about svclink.

The clusters run an API server of this package, which tests use as well. It keeps objects in
memory, serves the resource types that svclink and its manifests use, and runs no Pods. The
end-to-end tests run against it and against a real kube-apiserver, so its responses stay the same
as the real ones.
"""
