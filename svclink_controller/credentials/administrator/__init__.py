"""The administrator's kubeconfig or ServiceAccount: trusted, and read as kubectl reads it."""
