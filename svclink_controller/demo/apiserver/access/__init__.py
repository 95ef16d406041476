"""Access control: client certificates, ServiceAccount tokens and RBAC."""
