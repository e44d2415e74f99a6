"""Questions to the hub: search, and what a repository holds. Each has a short time-out and is asked once.

huggingface-hub asks and parses; what it hands on is checked here field by field, because it believes the hub.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlsplit

from huggingface_hub import HfApi, ModelInfo

from webui.errors import HubAnswerUnusable, HubNotFound, HubOffline
from webui.library.hub.answers import hub_errors
from webui.library.hub.reference import HubReference, is_safe_path
from webui.library.hub.session import ANSWER_SECONDS, use_hub_sessions
from webui.library.hub.values import HubFile, HubModel, HubRepo, HubVariant
from webui.library.hub.variants import find_variant, group_variants

HUB_ENDPOINT = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_FILE_BYTES = 1 << 42
_MAX_TAGS = 60
_T = TypeVar("_T")


class HubClient:
    """`endpoint` is the hub's address. `token` is sent to it alone and is in no log."""

    def __init__(self, endpoint: str = HUB_ENDPOINT, token: str | None = None) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.token = token
        self.host = urlsplit(self.endpoint).hostname or self.endpoint
        self._api = HfApi(endpoint=self.endpoint, token=token or False)
        use_hub_sessions()

    async def search(self, query: str, limit: int = 30) -> tuple[HubModel, ...]:
        """Repositories with GGUF files, the most fetched first. An empty query gives the most fetched of all."""
        return await self._ask(partial(self._search, query.strip()[:200], limit))

    async def repo(self, repo: str, revision: str = "main") -> HubRepo:
        """Raises HubOffline, HubDenied, HubNotFound, HubBusy, HubAnswerUnusable."""
        return await self._ask(partial(self._repo, repo, revision))

    async def variants(self, repo: str, revision: str = "main") -> tuple[HubVariant, ...]:
        return (await self.repo(repo, revision)).variants

    async def resolve(self, reference: HubReference) -> tuple[HubRepo, HubVariant]:
        """What the reference means now. Raises HubNotFound, which names what there is, and the errors of `repo`."""
        repo = await self.repo(reference.repo, reference.revision)
        return repo, _find(repo, reference)

    def file_url(self, repo: str, commit: str, path: str) -> str:
        return f"{self.endpoint}/{repo}/resolve/{quote(commit, safe='')}/{quote(path)}"

    async def _ask(self, question: Callable[[], _T]) -> _T:
        """In a thread, and not for longer than an answer may take: to look up a name can last far longer."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.to_thread(question)
        except TimeoutError as error:
            raise HubOffline(self.host) from error

    def _search(self, query: str, limit: int) -> tuple[HubModel, ...]:
        with hub_errors(self.host, query, has_token=self.token is not None):
            found = self._api.list_models(
                search=query or None,
                filter="gguf",
                sort="downloads",
                limit=limit,
                expand=["downloads", "likes", "lastModified", "gated", "tags"],
            )
            return tuple(model for each in found if (model := _model(each)) is not None)

    def _repo(self, repo: str, revision: str) -> HubRepo:
        with hub_errors(self.host, repo, has_token=self.token is not None):
            info = self._api.model_info(repo, revision=revision, files_metadata=True)
            commit = str(info.sha or "")
            if not _COMMIT.fullmatch(commit):
                raise HubAnswerUnusable(self.host, "it names no commit")
            return HubRepo(
                repo=repo,
                commit=commit,
                variants=group_variants(_files(info)),
                updated_at=_timestamp(info.last_modified),
                downloads=_count(info.downloads),
                likes=_count(info.likes),
                is_gated=bool(info.gated),
                is_private=bool(info.private),
                license=next((tag.removeprefix("license:") for tag in _tags(info) if tag.startswith("license:")), ""),
                tags=_tags(info),
            )


def _find(repo: HubRepo, reference: HubReference) -> HubVariant:
    if not repo.variants:
        raise HubNotFound(repo.repo, "the repository has no GGUF files. Look for one whose name ends in -GGUF.")
    if reference.file is None:
        variant = find_variant(repo.variants, reference.variant)
    else:
        variant = next((each for each in repo.variants if reference.file in {file.path for file in each.files}), None)
    if variant is None:
        there = ", ".join(each.label for each in repo.variants[:40])
        raise HubNotFound(str(reference), f"the repository has these: {there}.")
    return variant


def _model(info: ModelInfo) -> HubModel | None:
    """None for a result that cannot be one."""
    repo = str(info.id)
    org, slash, name = repo.partition("/")
    if not slash or not is_safe_path(f"{org}/{name}.gguf"):
        return None
    return HubModel(
        repo=repo,
        downloads=_count(info.downloads),
        likes=_count(info.likes),
        updated_at=_timestamp(info.last_modified),
        is_gated=bool(info.gated),
        tags=_tags(info),
    )


def _files(info: ModelInfo) -> Iterable[HubFile]:
    for sibling in info.siblings or ():
        size = sibling.lfs.size if sibling.lfs is not None else sibling.size
        if not isinstance(sibling.rfilename, str) or type(size) is not int or not 0 < size <= _MAX_FILE_BYTES:
            continue
        sha256 = sibling.lfs.sha256 if sibling.lfs is not None else None
        is_digest = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
        yield HubFile(path=sibling.rfilename, size_bytes=size, sha256=sha256 if is_digest else None)


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def _timestamp(value: datetime | None) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None


def _tags(info: ModelInfo) -> tuple[str, ...]:
    tags = info.tags if isinstance(info.tags, list) else []
    return tuple(tag[:100] for tag in tags[:_MAX_TAGS] if isinstance(tag, str) and tag.isprintable())
