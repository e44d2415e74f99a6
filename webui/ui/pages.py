"""The page's addresses, and what stands in its frame.

Chat, models, and what is for programs are regions of one frame, of which the browser shows one: going from one to the
other loads nothing.
"""

from __future__ import annotations

from fastapi import Request
from nicegui import context, ui

from webui.assets import STATIC_DIR
from webui.core.application import Application
from webui.core.memory_watch import MemoryWarning
from webui.ui.chat_page import APP_TITLE, ChatPage
from webui.ui.components.import_zone import ImportZone
from webui.ui.components.model_panel import ModelPanel
from webui.ui.components.settings_dialog import SettingsDialog
from webui.ui.components.share_dialog import ShareDialog
from webui.ui.components.shell import Shell
from webui.ui.connect_page import CONNECT_TITLE, ConnectPage
from webui.ui.inspect_page import INSPECT_TITLE, InspectPage
from webui.ui.layout import frame
from webui.ui.lost_pages import add_lost_pages
from webui.ui.models_page import MODELS_TITLE, ModelsPage
from webui.ui.models_sheet import ModelSheet

RECONNECT_SECONDS = 30.0  # a shorter cut costs nothing; after a longer one the page loads again


def add_pages(application: Application) -> None:
    """Register `/` (a new chat), `/c/{conversation_id}`, `/models`, `/connect`, `/inspect`, and what
    stands at every other address."""
    add_lost_pages()

    favicon = (STATIC_DIR / "icons" / "icon.svg").read_text(encoding="utf-8")  # inline: a request less

    @ui.page("/", title=APP_TITLE, favicon=favicon, language="en-US", reconnect_timeout=RECONNECT_SECONDS)
    async def new_chat(request: Request) -> None:
        await _build(application, request, None)

    @ui.page(
        "/c/{conversation_id}", title=APP_TITLE, favicon=favicon, language="en-US", reconnect_timeout=RECONNECT_SECONDS
    )
    async def conversation(request: Request, conversation_id: str) -> None:
        await _build(application, request, conversation_id)

    def add_page_beside(path: str, title: str) -> None:
        @ui.page(path, title=title, favicon=favicon, language="en-US", reconnect_timeout=RECONNECT_SECONDS)
        async def page(request: Request) -> None:
            await _build(application, request, None, title=title)

    add_page_beside("/models", MODELS_TITLE)
    add_page_beside("/connect", CONNECT_TITLE)
    add_page_beside("/inspect", INSPECT_TITLE)


async def _build(
    application: Application, request: Request, conversation_id: str | None, *, title: str | None = None
) -> None:
    client = context.client
    with frame(request) as shell:
        owner = getattr(request.state, "owner", client.ip)
        page = ChatPage(application, shell, owner=owner)
        client.on_delete(page.close)
        page.add_side()
        with ui.element("main").classes("main of-chat"):
            page.add_main()
        ModelsPage(application)
        ConnectPage(application, request)
        InspectPage(application, owner)
        ModelPanel(application)
        client.on_delete(application.memory_watch.changed.subscribe(lambda warning: _warn(shell, warning)))
    with client.layout:
        ImportZone()
        SettingsDialog(application)
        ShareDialog(application, request)
        ModelSheet(application)
    chat_title = await page.begin(conversation_id)
    client.title = title or chat_title


def _warn(shell: Shell, warning: MemoryWarning | None) -> None:
    """Say it once; the model panel and the Models page go on showing it."""
    if warning is not None and warning.level != "tight":
        shell.notify(warning.text)
