"""The pages: one frame, thin views over the application. `add_pages` is all that the server needs."""

from webui.ui.pages import add_pages

__all__ = ["add_pages"]
