"""Real clients against a real Glasshouse: `compat/run`."""
