"""The command line: parses, calls, prints; nothing else. Start at `cli.main`."""
