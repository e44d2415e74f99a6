"""The Keys tab of the settings dialog: makes, lists and revokes the API keys of programs.

A new key travels to the one page that asked for it, once; everything else says how keys begin and end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.network import share_urls
from webui.errors import GlasshouseError, InvalidRequest
from webui.store.keys import ApiKey, KeyLimits, KeyScope

Json = dict[str, Any]

_LEVELS: dict[str, tuple[KeyScope, ...]] = {
    "inference": ("inference",),
    "models": ("inference", "models"),
    "admin": ("inference", "models", "admin"),
}


class KeysPart:
    """Listens to `dialog`, which passes on what this sends as `receiveKeys(news)`."""

    def __init__(self, dialog: Element, application: Application) -> None:
        self._dialog = dialog
        self._settings = application.settings
        self._keys = application.keys
        dialog.on("readKeys", self._on_read)
        dialog.on("createKey", self._on_create)
        dialog.on("revokeKey", self._on_revoke)

    async def _on_read(self) -> None:
        settings = self._settings
        urls = await asyncio.to_thread(share_urls, settings.port, settings.listen_host) if settings.is_shared else []
        self._send(list=self._list(), where=self._where(), address=f"{urls[0]}/v1" if urls else "")

    async def _on_create(self, event: GenericEventArguments) -> None:
        async def create() -> None:
            draft: Json = event.args
            made, token = await self._keys.create(
                str(draft["name"]),
                _LEVELS.get(str(draft["level"]), ()),
                limits=KeyLimits(
                    requests_per_minute=_number(draft["requests"]),
                    tokens_per_minute=_number(draft["tokens"]),
                    concurrent_requests=_number(draft["concurrent"]),
                ),
                expires_days=_number(draft["days"]),
            )
            self._send(made={"name": made.name, "key": token}, list=self._list())

        await self._try(create())

    async def _on_revoke(self, event: GenericEventArguments) -> None:
        await self._try(self._keys.revoke(str(event.args)))
        self._send(list=self._list())

    async def _try(self, change: Awaitable[None]) -> None:
        try:
            await change
        except GlasshouseError as error:
            self._send(problem=error.message)

    def _where(self) -> str:
        if self._settings.require_key:
            return "Every program needs one, also on this machine."
        if self._settings.is_shared:
            return "Programs on other machines need one. On this machine none is needed."
        return "Programs on this machine need none. Once Glasshouse is shared, those on other machines do."

    def _list(self) -> list[Json]:
        return [_view(key) for key in reversed(self._keys.all())]

    def _send(self, **news: Any) -> None:
        self._dialog.run_method("receiveKeys", news)


def _view(key: ApiKey) -> Json:
    usage, limits = key.usage, key.limits
    told = {
        "requests a minute": limits.requests_per_minute,
        "tokens a minute": limits.tokens_per_minute,
        "at once": limits.concurrent_requests,
    }
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "level": "admin" if "admin" in key.scopes else "models" if "models" in key.scopes else "inference",
        "limits": ", ".join(f"{limit:,} {of}" for of, limit in told.items() if limit is not None),
        "usedAt": usage.used_at,
        "requests": usage.num_requests,
        "tokens": usage.prompt_tokens + usage.generated_tokens,
        "endsAt": key.expires_at,
        "isEnded": key.is_expired(),
    }


def _number(text: object) -> int | None:
    """What a field holds; nothing is no limit. Raises InvalidRequest."""
    written = str(text).strip()
    if not written:
        return None
    if not written.isascii() or not written.isdigit() or len(written) > 10:
        raise InvalidRequest("Limits are whole numbers from 1 on; leave a field empty for no limit.", param="limits")
    return int(written)
