"""What `svclink check` looks at, part by part. Everything is read; nothing is written."""
