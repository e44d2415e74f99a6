"""The hub for everybody in the house: search, what a repository holds and whether it runs here, presets, newer files.

It knows the token and the machine's memory; fetching is `core/downloads`'.
"""

from __future__ import annotations

from collections.abc import Mapping

from webui.library.hub.values import FitVerdict, HubModel, HubRepo
from webui.library.presets import PresetStatus
from webui.types import Value


class RepoListing(Value, frozen=True):
    """A repository, and for each label of its variants whether that runs here."""

    repo: HubRepo
    fits: Mapping[str, FitVerdict]


class ModelUpdate(Value, frozen=True):
    """What is known of where a model came from, and whether that place has another file now."""

    model_id: str
    repo: str
    commit: str  #: when it was fetched
    sha256: str
    has_newer: bool
    reference: str  #: what `Downloads.start` takes to fetch it anew


class Hub:
    """Every method that asks the hub raises HubOffline, HubDenied, HubNotFound, HubBusy or HubAnswerUnusable."""

    @property
    def has_token(self) -> bool:
        raise NotImplementedError

    async def set_token(self, token: str | None) -> None:
        """Keep an access token for private and gated repositories (in the database; in no log and no answer)."""
        raise NotImplementedError

    async def search(self, query: str, limit: int = 30) -> tuple[HubModel, ...]:
        raise NotImplementedError

    async def listing(self, repo: str, revision: str = "main") -> RepoListing:
        raise NotImplementedError

    async def judge(self, size_bytes: int) -> FitVerdict:
        """Whether a model file of this size runs here. Asks nobody but the machine."""
        raise NotImplementedError

    async def judge_exactly(self, repo: str, label: str, revision: str = "main") -> FitVerdict:
        """The same from the header of the file, of which some megabytes are read from the hub."""
        raise NotImplementedError

    def presets(self) -> tuple[PresetStatus, ...]:
        """As last seen; all "unchecked" before the first `check_presets`."""
        raise NotImplementedError

    async def check_presets(self) -> tuple[PresetStatus, ...]:
        """Ask the hub for each whether it is there and how large it is."""
        raise NotImplementedError

    async def update_of(self, model_id: str) -> ModelUpdate | None:
        """None for a model that was not fetched from the hub. Raises UnknownModel too."""
        raise NotImplementedError
