"""`/api/pull`: fetch a model, with its progress as lines.

Names are those of Hugging Face's repositories; the short ones that Ollama's own registry has are looked up among our
presets. The download is the application's and goes on when whoever asked is gone; asked for again, its progress is
told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from webui.api.dependencies import App, get_stopping
from webui.api.errors import ServerStopping, describe
from webui.api.hangup import run_while_connected
from webui.api.ndjson import MEDIA_TYPE, LineStream, line
from webui.api.ollama.names import plain_name
from webui.core.application import Application
from webui.core.download_job import DownloadJob
from webui.errors import AlreadyHere, DownloadStopped, GlasshouseError, UnknownModel, error_from_wire
from webui.library.loose_names import means

_PATH = "/api/pull"
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "Lines of JSON, or one object with `stream` false"}
}

router = APIRouter()


class PullRequest(BaseModel):
    model: str = ""
    name: str = Field("", description="The older word for `model`")
    insecure: bool | None = Field(None, description="Without effect: connections are always checked")
    stream: bool | None = None


@router.post("/pull", summary="Fetch a model", response_class=JSONResponse, responses=_RESPONSES)
async def pull(body: PullRequest, request: Request, application: App) -> Response:
    """`hf.co/org/repo:Q4_K_M`, `org/repo`, or the name of a preset; a model that is here already is a success."""
    name = plain_name(body.model or body.name)
    stopping = get_stopping(request)
    job = await run_while_connected(request.receive, stopping, _start(name, application))
    states = _watch(job, application)
    if body.stream is not False:
        return LineStream(_lines(states), stopping, line(describe(ServerStopping(), _PATH)))
    await run_while_connected(request.receive, stopping, _wait(states))
    return JSONResponse({"status": "success"})


async def _start(name: str, application: Application) -> DownloadJob | None:
    """The download; None when the model is here. Raises HubError and what else `Downloads.start` raises."""
    try:
        await application.models.names.find(name)
    except UnknownModel:
        pass
    else:
        return None
    try:
        return await application.downloads.start(_reference(name, application))
    except AlreadyHere:
        return None


def _reference(name: str, application: Application) -> str:
    if "/" not in name:
        for status in application.hub.presets():
            if means(name, status.preset.id) or means(name, status.preset.name):
                return status.preset.reference
    return name


async def _watch(job: DownloadJob | None, application: Application) -> AsyncGenerator[DownloadJob, None]:
    """Every state of the download until it is done. Raises what it failed with, or DownloadStopped."""
    if job is None:
        return
    news: asyncio.Queue[None] = asyncio.Queue(maxsize=1)  # that there is something to look at, not what

    def hear(changed: DownloadJob) -> None:
        if changed.id == job.id and news.empty():
            news.put_nowait(None)

    unsubscribe = application.downloads.changed.subscribe(hear)
    try:
        while True:
            now = next((each for each in application.downloads.jobs if each.id == job.id), None)
            if now is None or now.state == "paused":
                raise DownloadStopped(job.title, "somebody paused or cancelled it")
            if now.state == "failed":
                raise _failure(now)
            yield now
            if now.state == "done":
                return
            await news.get()
    finally:
        unsubscribe()


def _failure(job: DownloadJob) -> GlasshouseError:
    return error_from_wire(job.error_code or "", {"message": job.error or "The download failed."})


async def _wait(states: AsyncGenerator[DownloadJob, None]) -> None:
    async with aclosing(states):
        async for _ in states:
            pass


async def _lines(states: AsyncGenerator[DownloadJob, None]) -> AsyncGenerator[bytes, None]:
    yield line({"status": "pulling manifest"})
    try:
        async with aclosing(states):
            async for job in states:
                yield line(_record(job))
    except GlasshouseError as error:
        yield line(describe(error, _PATH))
    else:
        yield line({"status": "success"})


def _record(job: DownloadJob) -> dict[str, Any]:
    if job.state == "verifying":
        return {"status": "verifying sha256 digest"}
    if job.state == "done":
        return {"status": "writing manifest"}
    return {"status": f"pulling {job.title}", "digest": job.id, "total": job.total_bytes, "completed": job.done_bytes}
