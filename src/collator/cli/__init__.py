"""The command line: one file a command; `main` puts them together, and no command decides what the service does."""
