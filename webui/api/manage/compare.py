"""Comparing quantizations over HTTP: start it, and read the figures when the job is done.

It is a job like the others: `/manage/jobs/{id}` tells how far it is and cancels it.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from webui.api.dependencies import App
from webui.api.manage.jobs import Job
from webui.core.comparing import MOST_CHARACTERS, MOST_CHUNKS, MOST_MODELS, Comparison
from webui.errors import UnknownJob
from webui.workbench.protocol import Compared

router = APIRouter(prefix="/manage", tags=["Doctor"])

_Name = Annotated[str, Field(min_length=1, max_length=500)]


class CompareBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: list[_Name] = Field(
        min_length=2, max_length=MOST_MODELS, description="The first is what the others are compared with"
    )
    text: str | None = Field(None, max_length=MOST_CHARACTERS, description="What they read; default: the newest chats")
    chunks: int = Field(16, ge=1, le=MOST_CHUNKS, description="Most chunks of 512 tokens that are read")


class ComparisonResult(BaseModel):
    job: Job
    result: dict[str, Any] | None = Field(
        description="Once the job is done. For each model: size_bytes, reading_speed and writing_speed (tokens/s), "
        "perplexity with its standard error, and from the first model the mean divergence (nats), the one that 99 % of "
        "the tokens stay below, and the share of tokens with the same most probable one."
    )


@router.post("/compare", status_code=202, summary="Compare models on a text")
async def start_comparison(body: CompareBody, application: App, response: Response) -> Job:
    comparison = Comparison(models=tuple(body.models), text=body.text, chunks=body.chunks)
    job = await application.comparing.start(comparison)
    response.headers["Location"] = f"/manage/compare/{job.id}"
    return Job.of(job)


@router.get("/compare/{job_id}", summary="What a comparison found")
async def get_comparison(job_id: str, application: App) -> ComparisonResult:
    job = application.workbench.job(job_id)
    if job.kind != "compare":
        raise UnknownJob(job_id)
    result = msgspec.to_builtins(job.outcome) if isinstance(job.outcome, Compared) else None
    return ComparisonResult(job=Job.of(job), result=result)
