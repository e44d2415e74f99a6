"""The composition root: one Application, the wire and the pages over it, and the web server that runs them.

It is imported late by the terminal: NiceGUI and FastAPI take most of the time until the first page.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from webui import __version__
from webui.api import add_routes
from webui.api.door.connections import BoundedHttp
from webui.api.openai.batches import resume_batches
from webui.config import Settings
from webui.core.application import Application
from webui.core.request_id import RequestIdFilter
from webui.core.running_server import RunningServer, local_url, remove_running_server, write_running_server
from webui.core.telemetry.log_format import LogFormat, create_formatter
from webui.errors import GlasshouseError

GRACE_SECONDS = 3  # for open connections, after streams were told to end
RECONNECT_SECONDS = 30.0  # a phone that changes its network keeps its page

_DESCRIPTION = "Open language models on your own machine. Other machines send an API key."
_uvicorn_log = logging.getLogger("uvicorn.error")


def create_server(settings: Settings) -> FastAPI:
    """The whole server as one ASGI app. Its lifespan opens the Application."""
    # NiceGUI reads this when it is imported, and would make a folder in the working directory else.
    os.environ["NICEGUI_STORAGE_PATH"] = str(settings.data_dir / "nicegui")
    from nicegui import ui  # noqa: PLC0415

    from webui.ui import add_pages  # noqa: PLC0415

    application = Application(settings)
    app = FastAPI(
        title="Glasshouse",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=partial(_run_application, application),
    )
    add_routes(app, application)
    add_pages(application)
    ui.run_with(
        app,
        title="Glasshouse",
        viewport="width=device-width, initial-scale=1, viewport-fit=cover",
        dark=None,
        language="en-US",
        reconnect_timeout=RECONNECT_SECONDS,
        gzip_middleware_factory=None,  # the outer app compresses: a nonce must be put in before
        tailwind=False,
        show_welcome_message=False,
    )
    return app


@asynccontextmanager
async def _run_application(application: Application, app: FastAPI) -> AsyncIterator[None]:
    """The server's lifespan. The terminal finds a new passphrase, or why nothing came of it, in `app.state`."""
    settings = application.settings
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(application)
            resume_batches(application)
            if settings.needs_passphrase:
                app.state.new_passphrase = await application.access.ensure_passphrase()
                app.state.awaits_first_visitor = application.access.awaits_first_visitor
        except GlasshouseError as error:
            app.state.startup_error = error
            _uvicorn_log.disabled = True  # the terminal says it in one sentence
            raise
        yield


def serve(settings: Settings, listener: socket.socket, on_ready: Callable[[str | None, bool], None]) -> None:
    """Serve until a signal comes. `listener` is bound; `on_ready` gets the passphrase if one was just made, and
    whether the first visitor is awaited.

    Raises GlasshouseError when the Application cannot open.
    """
    configure_logging(settings.log_level, settings.log_format)
    app = create_server(settings)
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="websockets-sansio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

    def on_started() -> None:
        # What is there by now stays. To look through it all again took Python 150 ms, in which no stream moved on.
        gc.freeze()
        url = local_url(settings.listen_host, listener.getsockname()[1])
        state = app.state
        key = state.application.keys.lend() if settings.require_key else None
        write_running_server(settings.data_dir, RunningServer(url=url, pid=os.getpid(), key=key))
        on_ready(getattr(state, "new_passphrase", None), getattr(state, "awaits_first_visitor", False))

    server = _Server(config, app.state.stopping, on_started)
    try:
        server.run(sockets=[listener])
    except SystemExit:
        if error := getattr(app.state, "startup_error", None):
            raise error from None
        raise
    finally:
        remove_running_server(settings.data_dir)


@asynccontextmanager
async def serve_briefly(application: Application) -> AsyncIterator[str]:
    """The API without pages over an open Application, on a free port of loopback; gives its address. For a command that
    finds no server running and talks the same language to this one."""
    app = FastAPI(openapi_url=None)
    add_routes(app, application)
    config = uvicorn.Config(app, http=BoundedHttp, ws="none", lifespan="off", log_config=None, access_log=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _BriefServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            app.state.stopping.set()
            server.should_exit = True
            await serving


class _BriefServer(uvicorn.Server):
    """Leaves signals to the command that it serves."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Server(uvicorn.Server):
    """Announces itself once it answers, tells streams when it begins to stop, and does not raise the signal again."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Lines go to stderr; children write theirs to a pipe of this process, which logs them in the same form."""
    handler = logging.StreamHandler()
    handler.setFormatter(create_formatter(log_format))
    handler.addFilter(RequestIdFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(log_format == "json")
    is_debugging = logging.getLogger().isEnabledFor(logging.DEBUG)
    for name in ("uvicorn.error", "nicegui", "asyncio", "aiosqlite", "httpx", "httpx2", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.INFO if is_debugging else logging.WARNING)
