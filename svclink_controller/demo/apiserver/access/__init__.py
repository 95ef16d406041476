"""Who may do what: certificates, tokens and RBAC."""
