"""What the commands that change traffic share: writing, waiting, and showing how far they are."""
