"""The speed of svclink beside the floor: a mirror without logic, on the same clusters."""
