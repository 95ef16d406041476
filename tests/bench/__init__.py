"""How fast svclink is, beside the floor: a mirror with no logic at all, on the same clusters, in the same run."""
