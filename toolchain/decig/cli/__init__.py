"""The command line: one file per command, the options they share, and how the process ends."""
