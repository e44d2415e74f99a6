"""What the terminal shows when the server is up: where it is, who may come, how to stop it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import segno
from rich.console import Console
from rich.text import Text

from webui import __version__
from webui.config import Settings


def print_banner(
    settings: Settings, share_urls: Sequence[str], passphrase: str | None, *, awaits_first_visitor: bool = False
) -> None:
    """`passphrase` is one that was just made: it is shown this once, and the QR code carries it."""
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(Text.assemble(("● Glasshouse", "bold green"), f" {__version__} is running"))
    console.print()
    _line(console, "On this machine", local_url(settings), "bold")
    for url in share_urls:
        _line(console, "In your network", url, "bold")
    if settings.is_shared or settings.require_key:
        _print_access(console, settings, passphrase)
    if awaits_first_visitor:
        told = "The first browser that opens the page is let in; others need the passphrase"
        _line(console, "First visitor", told, "bold yellow")
    _line(console, "Models", str(settings.models_dir))
    _line(console, "Chats and settings", str(settings.data_dir))
    _line(console, "Stop", "Ctrl+C" if sys.stdin and sys.stdin.isatty() else "send SIGTERM")
    console.print()
    if share_urls and console.is_terminal:
        _print_qr(share_urls[0], passphrase)


def local_url(settings: Settings) -> str:
    host = settings.host if settings.host not in {"0.0.0.0", "::", "127.0.0.1"} else "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def sign_in_url(url: str, passphrase: str | None) -> str:
    """A new passphrase travels behind the `#`, which a browser keeps to itself; an old one is not known any more."""
    return f"{url}/signin#{passphrase}" if passphrase else url


def _print_access(console: Console, settings: Settings, passphrase: str | None) -> None:
    if not settings.sign_in:
        _line(console, "Sign-in", "off: everybody who reaches this port may use it", "yellow")
    elif passphrase:
        _line(console, "Passphrase", passphrase, "bold yellow")
        _line(console, "", "shown this once; change it with: glasshouse passphrase", "dim")
        _line(console, "Signs in by itself", sign_in_url(local_url(settings), passphrase))
    else:
        _line(console, "Passphrase", "the one that you know; set a new one with: glasshouse passphrase")


def _line(console: Console, name: str, value: str, style: str = "") -> None:
    console.print(Text.assemble(f"  {name:<20}", (value, style)))


def _print_qr(url: str, passphrase: str | None) -> None:
    print(f"  Scan to {'sign in' if passphrase else 'open'} on a phone:")  # noqa: T201  # segno prints too
    segno.make(sign_in_url(url, passphrase), error="m").terminal(compact=True, border=2)
    print()  # noqa: T201
