"""The bar over the thread: the model's true state, the door to the model panel, how full the conversation is."""

from __future__ import annotations

from nicegui.element import Element

from webui.types import ModelStatus
from webui.ui.components import COMPONENTS


class TopBar(Element, component=COMPONENTS / "top_bar.js"):
    """Shows what it is given; emits nothing."""

    def show_status(self, status: ModelStatus) -> None:
        model, info = status.model, status.info
        shown = {
            "state": status.state,
            "name": model.name if model else "",
            "quantization": model.quantization if model else "",
            "memory": round(status.memory_bytes, -6),  # whole megabytes: the bar is sent again only when one changes
            "progress": round(status.progress, 2),
            "error": status.error,
            "context": info.options.context_tokens if info else 0,
        }
        if self._props.get("status") != shown:
            self._props["status"] = shown

    def show_usage(self, used_tokens: int) -> None:
        """Tokens of the open conversation after its last answer."""
        if self._props.get("used-tokens") != used_tokens:
            self._props["used-tokens"] = used_tokens
