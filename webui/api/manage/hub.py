"""Getting models: search on the hub, what a repository holds and whether it runs here, presets, and downloads.

Downloads belong to the application: they go on when whoever asked is gone.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, SecretStr

from webui.api.dependencies import App
from webui.core.download_job import DownloadJob, DownloadState
from webui.errors import InvalidReference
from webui.library.hub.reference import HubReference, parse_reference
from webui.library.hub.values import Fit, FitVerdict, HubVariant
from webui.library.presets import PresetState, PresetStatus

router = APIRouter(prefix="/manage", tags=["Get models"])

_Body = TypeVar("_Body", bound=BaseModel)
RepoName = Annotated[str, Query(max_length=2000, examples=["Qwen/Qwen3-4B-GGUF"])]


class Verdict(BaseModel):
    fit: Fit
    words: str = Field(description="The same for people")
    needed_bytes: int
    free_bytes: int
    is_exact: bool = Field(description="From the model's header; else a rule of thumb from its size")


class FoundModel(BaseModel):
    repo: str
    downloads: int
    likes: int
    updated_at: float | None = Field(description="Unix seconds")
    is_gated: bool = Field(description="Needs a token of somebody who accepted its terms")
    tags: list[str]


class File(BaseModel):
    path: str
    size_bytes: int
    sha256: str | None


class Variant(BaseModel):
    label: str = Field(description="What follows the colon in a reference")
    files: list[File]
    size_bytes: int
    mmproj: File | None = Field(description="What a vision model sees through; fetched along")
    total_bytes: int = Field(description="Of the model and the mmproj")
    is_default: bool
    fit: Verdict


class Repo(BaseModel):
    repo: str
    commit: str
    license: str
    is_gated: bool
    is_private: bool
    downloads: int
    likes: int
    updated_at: float | None
    variants: list[Variant]


class PresetEntry(BaseModel):
    id: str
    name: str
    reference: str = Field(description="What a download takes")
    kind: str
    words: str
    license: str
    min_memory_gb: int
    size_bytes: int = Field(description="The hub's once it was asked, approximate before")
    state: PresetState
    fit: Verdict


class Update(BaseModel):
    model: str
    repo: str
    commit: str
    has_newer: bool
    is_gone: bool = Field(description="The file is there no more")
    reference: str


class TokenRequest(BaseModel):
    token: SecretStr = Field(description="An access token of a Hugging Face account; reading is enough")


class TokenState(BaseModel):
    has_token: bool


class DownloadRequest(BaseModel):
    reference: str = Field(
        max_length=2000,
        description="org/repo, org/repo:Q4_K_M, hf.co/org/repo, or the https address of a GGUF file",
        examples=["Qwen/Qwen3-4B-GGUF:Q4_K_M"],
    )


class Download(BaseModel):
    id: str
    reference: str
    title: str
    state: DownloadState
    done_bytes: int
    total_bytes: int
    bytes_per_second: float
    seconds_left: float | None
    error: str | None
    error_code: str | None
    path: str | None = Field(description="The model's file, once it is whole")


# --- the hub -------------------------------------------------------------------------------------------------------


@router.get("/hub/search", summary="Search for models")
async def search(
    application: App,
    q: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> list[FoundModel]:
    """Repositories with GGUF files, the most fetched first."""
    return [_body(FoundModel, each) for each in await application.hub.search(q, limit)]


@router.get("/hub/variants", summary="What a repository holds")
async def list_variants(repo: RepoName, application: App) -> Repo:
    """One entry for each quantization, from small to large, and whether it runs here."""
    reference = _repo_reference(repo)
    listing = await application.hub.listing(reference.repo, reference.revision)
    variants = [_variant(each, listing.fits[each.label]) for each in listing.repo.variants]
    return _body(Repo, listing.repo, variants=variants)


@router.get("/hub/fit", summary="Whether a model runs here, exactly")
async def judge(
    repo: RepoName, application: App, variant: Annotated[str | None, Query(max_length=200)] = None
) -> Verdict:
    """Reads the header of its file from the hub, some megabytes."""
    reference = _repo_reference(repo)
    label = variant or reference.variant
    return _body(Verdict, await application.hub.judge_exactly(reference.repo, label, reference.revision))


@router.get("/hub/update", summary="Whether a newer file is upstream")
async def find_update(model: Annotated[str, Query(max_length=300)], application: App) -> Update | None:
    """null for a model that did not come from the hub."""
    update = await application.hub.update_of(model)
    return None if update is None else _body(Update, update, model=update.model_id)


@router.get("/hub/token", summary="Whether there is an access token")
async def get_token_state(application: App) -> TokenState:
    return TokenState(has_token=application.hub.has_token)


@router.put("/hub/token", summary="Keep an access token")
async def put_token(body: TokenRequest, application: App) -> TokenState:
    """For private and gated repositories. It is sent to the hub alone and never given out again."""
    await application.hub.set_token(body.token.get_secret_value())
    return TokenState(has_token=application.hub.has_token)


@router.delete("/hub/token", status_code=204, summary="Forget the access token")
async def delete_token(application: App) -> None:
    await application.hub.set_token(None)


@router.get("/presets", summary="Models worth having")
async def list_presets(application: App) -> list[PresetEntry]:
    """As last checked; nothing is asked of the hub."""
    return [await _preset(each, application) for each in application.hub.presets()]


@router.post("/presets/check", summary="Check the presets against the hub")
async def check_presets(application: App) -> list[PresetEntry]:
    return [await _preset(each, application) for each in await application.hub.check_presets()]


# --- downloads -----------------------------------------------------------------------------------------------------


@router.get("/downloads", summary="All downloads")
async def list_downloads(application: App) -> list[Download]:
    """In the order in which they were asked for."""
    return [_download(each) for each in application.downloads.jobs]


@router.post("/downloads", status_code=201, summary="Fetch a model")
async def start_download(body: DownloadRequest, application: App) -> Download:
    """Asks the hub what it is and queues it. The same model asked for again is the same download, which goes on."""
    return _download(await application.downloads.start(body.reference))


@router.get("/downloads/{download_id}", summary="One download")
async def get_download(download_id: str, application: App) -> Download:
    return _download(application.downloads.job(download_id))


@router.post("/downloads/{download_id}/{action}", summary="Pause or resume a download")
async def act_on_download(download_id: str, action: Literal["pause", "resume"], application: App) -> Download:
    """What has come is kept, also through a restart."""
    downloads = application.downloads
    return _download(await (downloads.pause if action == "pause" else downloads.resume)(download_id))


@router.delete("/downloads/{download_id}", status_code=204, summary="Cancel a download")
async def cancel_download(download_id: str, application: App) -> None:
    """Removes what came of it. One that is done is only taken off the list."""
    await application.downloads.cancel(download_id)


# --- inside --------------------------------------------------------------------------------------------------------


def _body(kind: type[_Body], value: msgspec.Struct, **more: object) -> _Body:
    """The fields of a value that this body has, and what else it wants."""
    fields = msgspec.to_builtins(value)
    return kind.model_validate({name: each for name, each in fields.items() if name in kind.model_fields} | more)


def _variant(variant: HubVariant, verdict: FitVerdict) -> Variant:
    return _body(Variant, variant, total_bytes=variant.total_bytes, fit=_body(Verdict, verdict))


async def _preset(status: PresetStatus, application: App) -> PresetEntry:
    verdict = await application.hub.judge(status.size_bytes)
    return _body(
        PresetEntry,
        status.preset,
        reference=status.preset.reference,
        size_bytes=status.size_bytes,
        state=status.state,
        fit=_body(Verdict, verdict),
    )


def _download(job: DownloadJob) -> Download:
    return _body(Download, job)


def _repo_reference(text: str) -> HubReference:
    reference = parse_reference(text)
    if not isinstance(reference, HubReference):
        raise InvalidReference(text, "name a repository (org/name); this address can be fetched at once.")
    return reference
