"""The terminal: the `glasshouse` command."""

from __future__ import annotations

from webui.cli.app import main

__all__ = ["main"]
