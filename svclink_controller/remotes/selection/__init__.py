"""What of a remote cluster is read, where its link selects objects by their labels."""
