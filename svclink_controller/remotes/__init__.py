"""Remote clusters: connect, follow, lose and find them again, one task for each link."""
