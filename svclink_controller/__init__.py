"""svclink's shell: looks at clusters, asks the core, and applies what it says."""
