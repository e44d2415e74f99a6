"""The commands. Each opens what it needs late, so that `--help` and a wrong option answer at once.

`serve` and `passphrase` are here; what manages models is in a module for each group, and talks to a server (`door`).
"""

from __future__ import annotations

import asyncio
import sys
import threading
import webbrowser
from typing import Annotated, NoReturn

import typer

from webui import __version__
from webui.cli import connect, doctor, hub, jobs, keys, memory, models, stores
from webui.cli.folders import prepare_folders
from webui.cli.listen import PortInUse, open_listener
from webui.cli.options import with_settings_options
from webui.config import Settings
from webui.errors import ConfigurationError, GlasshouseError

app = typer.Typer(name="glasshouse", no_args_is_help=True, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command of this process. What we say no to is one sentence and an exit code, never a traceback."""
    try:
        app()
    except ConfigurationError as error:
        _fail(error, code=2)
    except GlasshouseError as error:
        _fail(error, code=1)


@app.callback(invoke_without_command=True)
def glasshouse(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit", is_eager=True)] = False,
) -> None:
    """Open language models on your own machine, in a page for every browser in the house."""
    if version:
        typer.echo(f"Glasshouse {__version__}")
        raise typer.Exit


@app.command()
@with_settings_options()
def serve(settings: Settings) -> None:
    """Start the server. Every option is also read from GLASSHOUSE_… in the environment or in .env."""
    prepare_folders(settings)
    listener = open_listener(settings.listen_host, settings.port)

    # Only now, because these take most of the time until the first page.
    from webui.cli.banner import local_url, print_banner  # noqa: PLC0415
    from webui.core.network import share_urls  # noqa: PLC0415
    from webui.server import serve as run  # noqa: PLC0415

    def on_ready(passphrase: str | None, awaits_first_visitor: bool) -> None:
        urls = share_urls(settings.port, settings.listen_host) if settings.is_shared else []
        print_banner(settings, urls, passphrase, awaits_first_visitor=awaits_first_visitor)
        if settings.open:
            threading.Thread(target=webbrowser.open, args=[local_url(settings)], daemon=True).start()

    with listener:
        run(settings, listener, on_ready)


@app.command()
@with_settings_options("data_dir")
def passphrase(settings: Settings) -> None:
    """Set the passphrase that other machines sign in with. Asks twice, or reads one line from a pipe."""
    prepare_folders(settings)
    if sys.stdin.isatty():
        new = typer.prompt("New passphrase", hide_input=True, confirmation_prompt="Once more")
    else:
        new = sys.stdin.readline().rstrip("\r\n")
    from webui.cli.passphrase import change_passphrase  # noqa: PLC0415

    asyncio.run(change_passphrase(settings, new))
    typer.echo("The passphrase is changed. Browsers that were signed in have to sign in again.")


for group in (models, memory, hub, stores, jobs, doctor, connect, keys):
    group.add_commands(app)


def _fail(error: GlasshouseError, *, code: int) -> NoReturn:
    typer.echo(f"glasshouse: {error}", err=True)
    raise SystemExit(code)


__all__ = ["PortInUse", "app", "main"]
