"""Leader election with a Lease, and the watchdog that fences a leader that hangs."""
