"""The Share dialog: how others reach this Glasshouse, and who may.

A pairing token is made only while the dialog is open, travels to this one page, and is good for one browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import segno
from fastapi import Request
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.assets import STATIC_DIR
from webui.core.application import Application
from webui.core.network import share_urls
from webui.core.signed_in import PAIRING_SECONDS
from webui.errors import GlasshouseError
from webui.ui.components import COMPONENTS
from webui.ui.other_pages import reload_signed_out

_SESSION_COOKIE = "glasshouse_session"
_QUIET_ZONE = 4  # modules of white that the standard asks for around a QR code


class ShareDialog(Element, component=COMPONENTS / "share_dialog.js"):
    """One per page; the shell's `openDialog("share")` opens it."""

    def __init__(self, application: Application, request: Request) -> None:
        super().__init__()
        self._settings = application.settings
        self._access = application.access
        self._session = request.cookies.get(_SESSION_COOKIE)
        self._props["initial"] = {
            "isShared": self._settings.is_shared,
            "asksSignIn": self._settings.sign_in,
            "isFixed": self._access.is_fixed,
            "isInLog": self._settings.first_visitor,  # a server of a container: its first log told the passphrase
            "addresses": [],
            "command": "scripts/serve --lan" if STATIC_DIR.name == "static" else "glasshouse serve --lan",
        }
        self.on("opened", self._on_opened)
        self.on("changePassphrase", self._on_change_passphrase)
        self.on("makePassphrase", self._on_make_passphrase)
        self.on("signOutOthers", self._on_sign_out_others)

    async def _on_opened(self) -> None:
        if not self._settings.is_shared:
            return
        addresses = await asyncio.to_thread(share_urls, self._settings.port, self._settings.listen_host)
        self._send(addresses=addresses)
        if addresses and self._settings.sign_in:
            self._send(code=draw_code(f"{addresses[0]}/signin#pair={self._access.create_pairing()}"))

    async def _on_change_passphrase(self, event: GenericEventArguments) -> None:
        change = self._access.change_passphrase(str(event.args), keep_token=self._session)
        if await self._try(change):
            await self._after_change(done="The passphrase is changed.", passphrase="")

    async def _on_make_passphrase(self) -> None:
        async def renew() -> None:
            made = await self._access.renew_passphrase(keep_token=self._session)
            await self._after_change(done="The new passphrase, shown only now:", newPassphrase=made)

        await self._try(renew())

    async def _after_change(self, **news: Any) -> None:
        self._send(**news)
        reload_signed_out(self._session)
        await self._on_opened()  # the code on the page belonged to the old passphrase

    async def _on_sign_out_others(self) -> None:
        if await self._try(self._access.sign_out_others(self._session)):
            await self._after_change(done="All other devices are signed out.")

    async def _try(self, change: Awaitable[None]) -> bool:
        try:
            await change
        except GlasshouseError as error:
            self._send(problem=error.message)
            return False
        return True

    def _send(self, **news: Any) -> None:
        self.run_method("receive", news)


def draw_code(link: str) -> dict[str, Any]:
    """The QR code as one SVG path of dark modules, and the side of its square with the quiet zone."""
    rows = list(segno.make(link, error="m", micro=False).matrix_iter(border=_QUIET_ZONE))
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark)
    return {"path": path, "size": len(rows), "link": link, "seconds": PAIRING_SECONDS}
