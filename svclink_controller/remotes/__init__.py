"""Remote clusters: one task for each link connects, follows its cluster and reconnects."""
