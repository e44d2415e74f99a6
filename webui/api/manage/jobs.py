"""Changing model files over HTTP: start a job, watch it, cancel it; how large its result will be.

Models and adapters are named as in the list of models, never by a path. Jobs run one after another and belong to the
server: a client that goes away changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from webui.api.adapters import LoraChoice
from webui.api.dependencies import App
from webui.core.adapters import MAX_ADAPTERS
from webui.core.work_job import JobState, WorkJob
from webui.core.work_orders import (
    DEFAULT_PART_BYTES,
    SMALLEST_PART_BYTES,
    EditOrder,
    FileOrder,
    JoinOrder,
    MergeOrder,
    QuantizeOrder,
    SplitOrder,
)
from webui.library.quantizations import QUANTIZATIONS
from webui.workbench.protocol import Estimated, Written

PREFIX = "/manage/jobs"

router = APIRouter(prefix="/manage", tags=["Change models"])

_Name = Annotated[str, Field(min_length=1, max_length=500)]
_Key = Annotated[str, Field(min_length=1, max_length=200)]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: _Name = Field(description="The model to start from: an id, file name or name")
    result: str | None = Field(None, max_length=300, description="File name of the result; default: a free one")


class QuantizeBody(_Order):
    kind: Literal["quantize"]
    type: _Name = Field(description="A name of GET /manage/quantizations", examples=["Q4_K_M"])
    allow_requantize: bool = Field(False, description="Also from a file that is quantized already: it loses quality")
    imatrix: _Name | None = Field(None, description="An importance matrix (GGUF) in the model folders")

    def to_order(self) -> FileOrder:
        return QuantizeOrder(
            model=self.model,
            result=self.result,
            file_type=self.type,
            allow_requantize=self.allow_requantize,
            imatrix=self.imatrix,
        )


class MergeBody(_Order):
    kind: Literal["merge_adapters"]
    adapters: list[LoraChoice] = Field(min_length=1, max_length=MAX_ADAPTERS)
    precision: Literal["f16", "keep"] = Field(
        "f16", description="Changed tensors become F16, or keep their type (smaller, and less exact where quantized)"
    )

    def to_order(self) -> FileOrder:
        adapters = tuple(each.to_choice() for each in self.adapters)
        return MergeOrder(model=self.model, result=self.result, adapters=adapters, precision=self.precision)


class SplitBody(_Order):
    kind: Literal["split"]
    max_part_bytes: int = Field(DEFAULT_PART_BYTES, ge=SMALLEST_PART_BYTES, description="Tensors in one part, in bytes")

    def to_order(self) -> FileOrder:
        return SplitOrder(model=self.model, result=self.result, max_part_bytes=self.max_part_bytes)


class JoinBody(_Order):
    kind: Literal["join"]

    def to_order(self) -> FileOrder:
        return JoinOrder(model=self.model, result=self.result)


class EditBody(_Order):
    kind: Literal["edit_metadata"]
    name: str | None = Field(None, max_length=500, description="The model's name inside the file")
    chat_template: str | None = Field(None, max_length=1 << 20)
    values: dict[_Key, bool | int | float | str] = Field(
        default_factory=dict, max_length=100, description="Further keys and their new values"
    )
    removed: list[_Key] = Field(default_factory=list, max_length=100)

    def to_order(self) -> FileOrder:
        return EditOrder(
            model=self.model,
            result=self.result,
            name=self.name,
            chat_template=self.chat_template,
            values=dict(self.values),
            removed=tuple(self.removed),
        )


OrderBody = Annotated[QuantizeBody | MergeBody | SplitBody | JoinBody | EditBody, Field(discriminator="kind")]


class Job(BaseModel):
    """One job, queued, running or ended."""

    id: str
    kind: str
    title: str
    state: JobState
    progress: float = Field(description="0 to 1")
    words: str = Field(description="What it does right now")
    model: str = Field(description="Id of the model that it starts from")
    result: str = Field(description="Name of the file (of a split model: the folder) that it makes")
    size_bytes: int | None = Field(description="Of the result, once it is there")
    notes: list[str]
    error: str | None
    error_code: str | None
    created_at: float

    @classmethod
    def of(cls, job: WorkJob) -> Job:
        written = job.outcome if isinstance(job.outcome, Written) else None
        return cls(
            id=job.id,
            kind=job.kind,
            title=job.title,
            state=job.state,
            progress=job.progress,
            words=job.words,
            model=job.model_id,
            result=job.result_name,
            size_bytes=written.size_bytes if written else None,
            notes=list(written.notes) if written else [],
            error=job.error,
            error_code=job.error_code,
            created_at=job.created_at,
        )


class Estimate(BaseModel):
    size_bytes: int = Field(description="Of the result, to the byte")
    num_files: int
    is_requantizing: bool = Field(description="The model is quantized already: allow_requantize must be given")
    needs_imatrix: bool = Field(description="llama.cpp refuses this type without an importance matrix")
    problem: str | None = Field(description="Why it cannot be done")

    @classmethod
    def of(cls, estimated: Estimated) -> Estimate:
        return cls(
            size_bytes=estimated.size_bytes,
            num_files=estimated.num_files,
            is_requantizing=estimated.is_requantizing,
            needs_imatrix=estimated.needs_imatrix,
            problem=estimated.problem,
        )


class QuantizationType(BaseModel):
    name: str
    description: str
    needs_imatrix: bool
    estimate: Estimate | None = Field(description="Of the model that was asked for")


@router.get("/quantizations", summary="The types that a model can be quantized to")
async def list_quantizations(application: App, model: _Name | None = None) -> list[QuantizationType]:
    """With `model`: how large the model would be in each of them."""
    orders = [QuantizeOrder(model=model, file_type=each.name) for each in QUANTIZATIONS] if model else []
    estimates = [Estimate.of(each) for each in await application.workbench.estimate(orders)] if orders else []
    return [
        QuantizationType(
            name=each.name,
            description=each.words,
            needs_imatrix=each.needs_imatrix,
            estimate=estimates[number] if estimates else None,
        )
        for number, each in enumerate(QUANTIZATIONS)
    ]


@router.get("/jobs", summary="Every job, the newest last")
async def list_jobs(application: App) -> list[Job]:
    return [Job.of(job) for job in application.workbench.jobs]


@router.post("/jobs", status_code=202, summary="Start a job")
async def start_job(body: OrderBody, application: App, response: Response) -> Job:
    """Jobs run one after another. The result never takes the place of a file that is there."""
    job = await application.workbench.start(body.to_order())
    response.headers["Location"] = f"{PREFIX}/{job.id}"
    return Job.of(job)


@router.post("/jobs/estimate", summary="How large a job's result will be")
async def estimate_job(body: OrderBody, application: App) -> Estimate:
    return Estimate.of((await application.workbench.estimate([body.to_order()]))[0])


@router.get("/jobs/{job_id}", summary="How far a job is")
async def get_job(job_id: str, application: App) -> Job:
    return Job.of(application.workbench.job(job_id))


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job")
async def cancel_job(job_id: str, application: App) -> Job:
    """Nothing is left of it; one that has ended stays as it is."""
    return Job.of(await application.workbench.cancel(job_id))


@router.delete("/jobs/{job_id}", status_code=204, summary="Take a job off the list")
async def dismiss_job(job_id: str, application: App) -> None:
    """Cancels it first where it has not ended. The file that it made stays."""
    await application.workbench.cancel(job_id)
    application.workbench.dismiss(job_id)
