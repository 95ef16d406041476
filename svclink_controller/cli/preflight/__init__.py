"""What `svclink check` looks at: one module for each word in its column WHAT; `run` calls them."""
