"""What the hub says about models, as values: found models, the files of a repository, and these as variants."""

from __future__ import annotations

from typing import Literal

from webui.types import Value

Fit = Literal["fits", "partly", "too_big"]


class HubModel(Value, frozen=True):
    """One search result."""

    repo: str
    downloads: int = 0  #: in the last 30 days
    likes: int = 0
    updated_at: float | None = None  #: Unix seconds
    is_gated: bool = False  #: its files need a token of somebody who accepted the terms
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.repo.rpartition("/")[2]


class HubFile(Value, frozen=True):
    """One file of a repository. `sha256` is None where the hub keeps none (files outside of its large-file store)."""

    path: str
    size_bytes: int
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class HubVariant(Value, frozen=True):
    """The files that make one model: one GGUF, or all parts of a split one. `mmproj` is the file through which a vision
    model sees; it is fetched along and not part of `size_bytes`."""

    label: str  #: "Q4_K_M"
    files: tuple[HubFile, ...]
    size_bytes: int
    mmproj: HubFile | None = None
    is_default: bool = False  #: the one to take when nobody chose; one in each repository

    @property
    def total_bytes(self) -> int:
        """All that is fetched."""
        return self.size_bytes + (self.mmproj.size_bytes if self.mmproj else 0)


class HubRepo(Value, frozen=True):
    """A repository at one commit. `variants` are sorted from small to large and may be none."""

    repo: str
    commit: str  #: what `revision` meant when this was asked
    variants: tuple[HubVariant, ...] = ()
    updated_at: float | None = None
    downloads: int = 0
    likes: int = 0
    is_gated: bool = False
    is_private: bool = False
    license: str = ""
    tags: tuple[str, ...] = ()


class FitVerdict(Value, frozen=True):
    """Whether a model of this size runs here. `words` is the sentence for people; bytes are RAM and VRAM together."""

    fit: Fit
    words: str
    needed_bytes: int
    free_bytes: int
    is_exact: bool = False  #: reckoned from the model's header, not from its size alone
