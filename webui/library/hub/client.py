"""Questions to the hub: search, and what a repository holds. Each has a short time-out and is asked once."""

from __future__ import annotations

from webui.library.hub.values import HubModel, HubRepo, HubVariant

HUB_ENDPOINT = "https://huggingface.co"


class HubClient:
    """`endpoint` is the hub's address. `token` is sent to it alone and is in no log."""

    def __init__(self, endpoint: str = HUB_ENDPOINT, token: str | None = None) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._token = token

    async def search(self, query: str, limit: int = 30) -> tuple[HubModel, ...]:
        """Repositories with GGUF files, the most fetched first. An empty query gives the most fetched of all."""
        raise NotImplementedError

    async def repo(self, repo: str, revision: str = "main") -> HubRepo:
        """Raises HubOffline, HubDenied, HubNotFound, HubBusy, HubAnswerUnusable."""
        raise NotImplementedError

    async def variants(self, repo: str, revision: str = "main") -> tuple[HubVariant, ...]:
        return (await self.repo(repo, revision)).variants
