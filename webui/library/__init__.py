"""Model files on disk: read, list, fit, import."""
