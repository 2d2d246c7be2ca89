"""The `optvis` command."""
