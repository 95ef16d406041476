"""svclink's shell: reads clusters, asks the core for a plan, and applies it."""
