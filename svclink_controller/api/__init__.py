"""HTTP to one API server: bytes in, bytes out."""
