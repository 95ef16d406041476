"""What is known of every cluster."""
