"""What is known of the main cluster besides its Services and EndpointSlices."""
