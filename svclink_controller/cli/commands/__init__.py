"""The commands next to the controller: one module a command, and what they share."""
