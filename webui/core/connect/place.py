"""This server as a program sees it: the address, a model to name, and whether a key is asked for.

It asks the application and the operating system, and sends nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from webui.config import Settings
from webui.core.model_manager import ModelManager
from webui.core.network import share_urls
from webui.errors import GlasshouseError

USUAL_CONTEXT = 8192  #: tokens, while no model is loaded that would say
NO_KEY = "not-needed"  #: programs insist on some key
YOUR_KEY = "YOUR-KEY"
USUAL_MODEL = "default"  #: what the server takes for “whichever is loaded”


@dataclass(frozen=True, slots=True)
class Place:
    """`base_url` has no slash at its end."""

    base_url: str
    model: str = USUAL_MODEL
    context_tokens: int = USUAL_CONTEXT
    key: str = NO_KEY
    key_words: str = ""  #: one sentence: which key, and where it comes from
    is_loopback: bool = True  #: only programs of this machine reach the address


async def find_place(
    settings: Settings, models: ModelManager, *, asked_url: str | None = None, model: str | None = None
) -> Place:
    """The place for programs. `asked_url` is the address under which somebody on another machine asked: it works from
    there. Otherwise it is the address in the network where the server is shared, and else loopback."""
    base_url = asked_url or f"http://localhost:{settings.port}"
    is_loopback = asked_url is None
    if asked_url is None and settings.is_shared:
        shared = await asyncio.to_thread(share_urls, settings.port, settings.listen_host)
        base_url, is_loopback = (shared[0], False) if shared else (base_url, True)
    needs_key = settings.require_key or (not is_loopback and settings.sign_in)
    chosen, context = await _find_model(models, model)
    return Place(
        base_url=base_url.rstrip("/"),
        model=chosen,
        context_tokens=context,
        key=YOUR_KEY if needs_key else NO_KEY,
        key_words=_key_words(needs_key=needs_key, is_loopback=is_loopback),
        is_loopback=is_loopback,
    )


async def _find_model(models: ModelManager, name: str | None) -> tuple[str, int]:
    """The named one, else one that is loaded, else the one that the next message would load."""
    loaded = [each for each in models.alive if each.model.kind == "chat" and each.state == "ready"]
    loaded.sort(key=lambda each: not each.is_page)
    if name is None and loaded:
        return loaded[0].model.id, loaded[0].context_tokens or USUAL_CONTEXT
    try:
        found = (await models.names.find(name)).model if name is not None else await models.default()
    except GlasshouseError:
        if name is not None:
            raise
        return USUAL_MODEL, USUAL_CONTEXT
    context = next((each.context_tokens for each in loaded if each.model.id == found.id), None)
    return found.id, context or min(found.context_train or USUAL_CONTEXT, USUAL_CONTEXT)


def _key_words(*, needs_key: bool, is_loopback: bool) -> str:
    if not needs_key:
        return "No key is needed; programs that insist on one take any word."
    if is_loopback:
        return "A key is needed, on this machine too: make one in Settings, or with: glasshouse keys create NAME."
    return "A key is needed: one made in Settings or with “glasshouse keys create NAME”; the passphrase works too."
