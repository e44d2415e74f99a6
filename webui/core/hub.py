"""The hub for everybody in the house: search, what a repository holds and whether it runs here, presets, newer files.

It knows the token and the machine's memory; fetching is `core/downloads`'.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

from webui.config import Settings
from webui.core.preset_check import PresetCheck
from webui.errors import HubNotFound, LoadFailed, UnknownModel
from webui.library.catalog import Catalog
from webui.library.fit_plan import Wishes
from webui.library.hardware import count_physical_cores, has_gpu_backend, read_memory
from webui.library.hub.client import HubClient
from webui.library.hub.origin import read_origin
from webui.library.hub.reference import HubReference
from webui.library.hub.remote_header import read_remote_header
from webui.library.hub.values import FitVerdict, HubModel, HubRepo
from webui.library.hub.verdict import judge_header, judge_size
from webui.library.presets import PresetStatus
from webui.store.preferences import Preferences
from webui.types import Memory, Value


class RepoListing(Value, frozen=True):
    """A repository, and for each label of its variants whether that runs here."""

    repo: HubRepo
    fits: Mapping[str, FitVerdict]


class ModelUpdate(Value, frozen=True):
    """Where a model came from, and whether that place has another file now."""

    model_id: str
    repo: str
    commit: str  #: when it was fetched
    sha256: str
    has_newer: bool
    is_gone: bool  #: the file is there no more
    reference: str  #: what `Downloads.start` takes to fetch it anew


class Hub:
    """Every method that asks the hub raises HubOffline, HubDenied, HubNotFound, HubBusy or HubAnswerUnusable."""

    def __init__(
        self,
        settings: Settings,
        preferences: Preferences,
        catalog: Callable[[], Catalog],
        *,
        memory: Callable[[], Memory] = read_memory,
    ) -> None:
        self._settings = settings
        self._preferences = preferences
        self._catalog = catalog
        self._memory = memory
        self._presets = PresetCheck()

    @property
    def endpoint(self) -> str:
        """The setting, else what every program of the hub looks at."""
        settings = self._settings
        usual = None if "hub_endpoint" in settings.model_fields_set else os.environ.get("HF_ENDPOINT")
        return (usual or settings.hub_endpoint).rstrip("/")

    @property
    def has_token(self) -> bool:
        return self._token() is not None

    async def set_token(self, token: str | None) -> None:
        """Keep an access token for private and gated repositories (in the database; in no log and no answer)."""
        await self._preferences.set(hub_token=(token or "").strip() or None)

    def client(self) -> HubClient:
        """With the token as it is now."""
        return HubClient(self.endpoint, self._token())

    async def search(self, query: str, limit: int = 30) -> tuple[HubModel, ...]:
        return await self.client().search(query, limit)

    async def listing(self, repo: str, revision: str = "main") -> RepoListing:
        found = await self.client().repo(repo, revision)
        memory, can_offload = await asyncio.to_thread(self._machine)
        fits = {each.label: judge_size(each.size_bytes, memory, can_offload=can_offload) for each in found.variants}
        return RepoListing(repo=found, fits=fits)

    async def judge(self, size_bytes: int) -> FitVerdict:
        """Whether a model file of this size runs here. Asks nobody but the machine."""
        memory, can_offload = await asyncio.to_thread(self._machine)
        return judge_size(size_bytes, memory, can_offload=can_offload)

    async def judge_exactly(self, repo: str, label: str | None, revision: str = "main") -> FitVerdict:
        """The same from the header of the file, of which some megabytes are read from the hub; of a split model still
        from its size. Raises NotGguf, DamagedGguf and UnsupportedModel too."""
        client = self.client()
        found, variant = await client.resolve(HubReference(repo=repo, variant=label, revision=revision))
        if len(variant.files) > 1:
            return await self.judge(variant.size_bytes)
        file = variant.files[0]
        url = client.file_url(found.repo, found.commit, file.path)
        header = await asyncio.to_thread(read_remote_header, url, file.name, file.size_bytes, client.token)
        memory, can_offload = await asyncio.to_thread(self._machine)
        wishes = Wishes(slots=self._settings.slots, threads=self._settings.threads or count_physical_cores())
        try:
            return judge_header(header, file.name, memory, wishes, can_offload=can_offload)
        except LoadFailed:  # a KV type that this model cannot have: its size still tells most
            return await self.judge(file.size_bytes)

    def presets(self) -> tuple[PresetStatus, ...]:
        """As last seen; all "unchecked" before the first `check_presets`."""
        return self._presets.statuses

    async def check_presets(self) -> tuple[PresetStatus, ...]:
        """Ask the hub for each whether it is there and how large it is."""
        return await self._presets.check(self.client)

    async def update_of(self, model_id: str) -> ModelUpdate | None:
        """None for a model that was not fetched from the hub. Raises UnknownModel too."""
        model = next((each for each in await self._catalog().scan() if each.id == model_id), None)
        if model is None:
            raise UnknownModel(model_id)
        origin = await asyncio.to_thread(read_origin, model.path)
        if origin is None or not origin.repo:
            return None
        wanted = HubReference(repo=origin.repo, file=origin.path, revision=origin.revision)
        try:
            _, variant = await self.client().resolve(wanted)
        except HubNotFound:
            file = None
        else:
            file = next(each for each in variant.files if each.path == origin.path)
        return ModelUpdate(
            model_id=model_id,
            repo=origin.repo,
            commit=origin.commit,
            sha256=origin.sha256,
            has_newer=file is not None and file.sha256 != origin.sha256,
            is_gone=file is None,
            reference=str(wanted),
        )

    def _machine(self) -> tuple[Memory, bool]:
        """What is free, and whether the installed engine can use a GPU."""
        return self._memory(), has_gpu_backend()

    def _token(self) -> str | None:
        """What somebody gave in the page, then the setting, then what every program of the hub looks at."""
        chosen = self._preferences.get().hub_token or self._settings.hf_token or os.environ.get("HF_TOKEN")
        return (chosen or "").strip() or None
