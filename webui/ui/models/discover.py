"""The tab Discover: presets by memory, a search of the hub, and the variants of a repository with their fit."""

from __future__ import annotations

import asyncio

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.hub import RepoListing
from webui.errors import GlasshouseError, HubDenied, HubNotFound, HubOffline, InvalidReference
from webui.library.hub.reference import Reference, UrlReference, parse_reference
from webui.library.hub.values import FitVerdict, HubModel, HubVariant
from webui.library.presets import PresetStatus
from webui.ui.models.part import Json, Part

_FIT_WORDS = {"fits": "fits", "partly": "fits partly", "too_big": "too big"}


class DiscoverPart(Part):
    """Answers each search to the page that asked; an answer that comes late is for a query that nobody wants any more,
    and the browser drops it."""

    def __init__(self, element: Element, application: Application) -> None:
        super().__init__(element, application)
        element.on("presets", self._on_presets)
        element.on("search", self._on_search)
        element.on("variants", self._on_variants)

    async def _on_presets(self) -> None:
        """The list as it is known, then as the hub knows it now."""
        await self._send_presets(self._app.hub.presets())
        self.soon(self._check_presets(), name="check the presets")

    async def _check_presets(self) -> None:
        try:
            await self._send_presets(await self._app.hub.check_presets())
        except GlasshouseError:  # offline: the list is good as it is
            return

    async def _send_presets(self, presets: tuple[PresetStatus, ...]) -> None:
        fits = await asyncio.gather(
            *(self._app.hub.judge(each.size_bytes or each.preset.size_bytes) for each in presets)
        )
        self.send(presets=[view_preset(preset, fit) for preset, fit in zip(presets, fits, strict=True)])

    async def _on_search(self, event: GenericEventArguments) -> None:
        query = str(event.args)
        try:
            found = await self._find(query)
        except GlasshouseError as error:
            found = {"error": view_hub_error(error)}
        self.send(found={"query": query, **found})

    async def _find(self, query: str) -> Json:
        """Models by words; for what names one model, that one with its variants, ready to be fetched."""
        reference = read_reference(query)
        if isinstance(reference, UrlReference):
            return {"results": [], "direct": {"reference": query, "name": reference.name}}
        if reference is None:
            return {"results": [view_hub_model(model) for model in await self._app.hub.search(query)]}
        try:
            listing = await self._app.hub.listing(reference.repo, reference.revision)
        except HubNotFound:  # two words with a slash between them
            return {"results": [view_hub_model(model) for model in await self._app.hub.search(query)]}
        except HubDenied as error:
            self.send(variants={reference.repo: {"error": view_hub_error(error)}})
            return {"results": [view_hub_model(HubModel(repo=reference.repo, is_gated=True))], "opened": reference.repo}
        repo = listing.repo
        self.send(variants={reference.repo: {"list": view_listing(listing)}})
        shown = HubModel(repo.repo, repo.downloads, repo.likes, repo.updated_at, repo.is_gated, repo.tags)
        direct = {"reference": query, "name": str(reference)} if reference.variant or reference.file else None
        return {"results": [view_hub_model(shown)], "opened": reference.repo, "direct": direct}

    async def _on_variants(self, event: GenericEventArguments) -> None:
        await self.send_variants(str(event.args))

    async def send_variants(self, repo: str) -> None:
        """What the repository holds, or why that cannot be told."""
        try:
            listing = await self._app.hub.listing(repo)
        except GlasshouseError as error:
            self.send(variants={repo: {"error": view_hub_error(error)}})
        else:
            self.send(variants={repo: {"list": view_listing(listing)}})


def read_reference(query: str) -> Reference | None:
    """What names one model or file; None for words to search for."""
    if "/" not in query:
        return None
    try:
        return parse_reference(query)
    except InvalidReference:
        return None


def view_hub_error(error: GlasshouseError) -> Json:
    return {
        "text": error.message,
        "isOffline": isinstance(error, HubOffline),
        "isDenied": isinstance(error, HubDenied),
    }


def view_hub_model(model: HubModel) -> Json:
    return {
        "repo": model.repo,
        "downloads": model.downloads,
        "likes": model.likes,
        "updatedAt": model.updated_at,
        "isGated": model.is_gated,
    }


def view_listing(listing: RepoListing) -> list[Json]:
    """The variants of a repository, from small to large."""
    repo = listing.repo.repo
    return [view_variant(repo, variant, listing.fits.get(variant.label)) for variant in listing.repo.variants]


def view_variant(repo: str, variant: HubVariant, fit: FitVerdict | None) -> Json:
    return {
        "label": variant.label,
        "reference": f"{repo}:{variant.label}",
        "size": variant.total_bytes,
        "numFiles": len(variant.files),
        "hasVision": variant.mmproj is not None,
        "isDefault": variant.is_default,
        "fit": view_verdict(fit),
    }


def view_verdict(fit: FitVerdict | None) -> Json | None:
    return {"kind": fit.fit, "words": _FIT_WORDS[fit.fit], "title": fit.words} if fit else None


def view_preset(status: PresetStatus, fit: FitVerdict) -> Json:
    preset = status.preset
    return {
        "id": preset.id,
        "name": preset.name,
        "repo": preset.repo,
        "variant": preset.variant,
        "size": status.size_bytes or preset.size_bytes,
        "minMemory": preset.min_memory_gb,
        "kind": preset.kind,
        "words": preset.words,
        "license": preset.license,
        "state": status.state,
        "fit": view_verdict(fit),
    }
