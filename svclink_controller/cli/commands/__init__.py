"""The commands beside the controller, one module each."""
