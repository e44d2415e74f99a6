"""Glasshouse: open language models from this machine, for every browser in the house."""

__version__ = "0.1.0"
