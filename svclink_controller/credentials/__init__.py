"""What may stand in an untrusted kubeconfig, and which addresses a remote cluster may have."""
