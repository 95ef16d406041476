"""List and watch one kind of object of one cluster, and keep the state up to date with it."""
