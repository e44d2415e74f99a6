"""The wire: HTTP routes over one Application."""
