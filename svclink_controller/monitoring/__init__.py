"""What the controller reports about itself: metrics, probes and logs."""
