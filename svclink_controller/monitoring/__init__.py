"""What the controller says about itself: metrics, probes, logs."""
