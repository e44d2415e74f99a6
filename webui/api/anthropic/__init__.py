"""Anthropic's dialect: `/v1/messages`, streamed and not, and `/v1/messages/count_tokens`."""

from __future__ import annotations

from webui.api.anthropic.routes import router

__all__ = ["router"]
