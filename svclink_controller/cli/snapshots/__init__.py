"""What a command plans from: the clusters themselves, read once, or files that kubectl printed."""
