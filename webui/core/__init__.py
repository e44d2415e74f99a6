"""The application itself, without any web framework."""
