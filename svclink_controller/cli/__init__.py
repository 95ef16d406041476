"""The command line: arguments, commands, printing."""
