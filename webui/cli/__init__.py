"""The terminal: the `glasshouse` command."""
