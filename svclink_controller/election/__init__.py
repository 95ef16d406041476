"""Leader election with a Lease, and the watchdog that ends a leader that hangs."""
