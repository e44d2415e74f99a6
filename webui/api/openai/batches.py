"""`/v1/batches` in OpenAI's shape: a file full of requests, answered while nobody else asks, into another file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from webui.api.dependencies import App, Owner
from webui.api.errors import ParameterError
from webui.api.openai.batch_answers import ENDPOINTS, BatchAnswerer
from webui.api.openai.files import ExpiresAfter
from webui.core.application import Application
from webui.core.batches import BatchOrder
from webui.store.batches import Batch, BatchState
from webui.types import Usage

_MAX_WINDOW_SECONDS = 30 * 86400
_WINDOW = re.compile(r"(?P<count>[1-9]\d{0,3})(?P<unit>[hd])")
_MAX_METADATA = 16

router = APIRouter(prefix="/v1", tags=["Files and batches"])

Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]


class BatchRequest(BaseModel):
    """A batch to be made."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: str = Field(description="A file of /v1/files with the purpose `batch`", max_length=200)
    endpoint: str = Field(description=f"Of all its lines: {', '.join(ENDPOINTS)}", examples=["/v1/chat/completions"])
    completion_window: str = Field("24h", description="What is not done by then is given up: hours or days, up to 30d")
    metadata: Annotated[dict[Key, Value], Field(max_length=_MAX_METADATA)] | None = None
    output_expires_after: ExpiresAfter | None = Field(None, description="When the written files go by themselves")

    def to_order(self) -> BatchOrder:
        """Raises ParameterError."""
        if self.endpoint not in ENDPOINTS:
            known = ", ".join(ENDPOINTS)
            raise ParameterError("endpoint", f"There are no batches for “{self.endpoint[:80]}”. There are for {known}.")
        return BatchOrder(
            endpoint=self.endpoint,
            input_file_id=self.input_file_id,
            completion_window=self.completion_window,
            seconds=self._seconds(),
            metadata=self.metadata or {},
            output_seconds=self.output_expires_after.seconds if self.output_expires_after is not None else None,
        )

    def _seconds(self) -> float:
        match = _WINDOW.fullmatch(self.completion_window)
        seconds = int(match["count"]) * (3600 if match["unit"] == "h" else 86400) if match else 0
        if not 0 < seconds <= _MAX_WINDOW_SECONDS:
            raise ParameterError("completion_window", "completion_window is a time such as “24h” or “7d”, up to “30d”.")
        return seconds


class Mistake(BaseModel):
    code: str
    message: str
    line: int | None
    param: str | None


class Mistakes(BaseModel):
    object: Literal["list"] = "list"
    data: list[Mistake]


class Counts(BaseModel):
    total: int
    completed: int
    failed: int


class BatchObject(BaseModel):
    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: Mistakes | None = Field(description="What is wrong with the input; or, while it runs, why it waits")
    input_file_id: str
    completion_window: str
    status: BatchState
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: Counts
    usage: dict[str, Any]
    metadata: dict[str, str] | None

    @classmethod
    def of(cls, batch: Batch) -> BatchObject:
        def at(state: BatchState) -> int | None:
            return int(batch.times[state]) if state in batch.times else None

        mistakes = [
            Mistake(code=each.code, message=each.message, line=each.line, param=each.param) for each in batch.mistakes
        ]
        return cls(
            id=batch.id,
            endpoint=batch.endpoint,
            errors=Mistakes(data=mistakes) if mistakes else None,
            input_file_id=batch.input_file_id,
            completion_window=batch.completion_window,
            status=batch.state,
            output_file_id=batch.output_id if batch.has_output else None,
            error_file_id=batch.error_id if batch.has_errors else None,
            created_at=int(batch.created_at),
            expires_at=int(batch.expires_at),
            in_progress_at=at("in_progress"),
            finalizing_at=at("finalizing"),
            completed_at=at("completed"),
            failed_at=at("failed"),
            expired_at=at("expired"),
            cancelling_at=at("cancelling"),
            cancelled_at=at("cancelled"),
            request_counts=Counts(total=batch.num_total, completed=batch.num_completed, failed=batch.num_failed),
            usage=_usage_object(batch.usage),
            metadata=batch.metadata or None,
        )


class BatchList(BaseModel):
    object: Literal["list"] = "list"
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


def resume_batches(application: Application) -> None:
    """Let batches be answered from now on; those of an earlier run go on. Does nothing the second time."""
    application.batches.serve(BatchAnswerer(application))


@router.post("/batches", summary="Answer a file full of requests")
async def create_batch(body: BatchRequest, application: App, owner: Owner) -> BatchObject:
    """Each line of the input is `{"custom_id", "method": "POST", "url", "body"}`. Requests run while nobody else asks,
    a few at a time, and go on after a restart. What is wrong with a line's form fails the whole batch, with the line in
    `errors`; what is wrong with a body is the answer to it, in the file of errors."""
    order = body.to_order()
    resume_batches(application)
    return BatchObject.of(await application.batches.create(owner, order))


@router.get("/batches", summary="Your batches")
async def list_batches(
    application: App,
    owner: Owner,
    after: Annotated[str | None, Query(description="Those behind the batch of this id")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> BatchList:
    found = await application.batches.page(owner, limit=limit + 1, after=after)
    batches = [BatchObject.of(each) for each in found[:limit]]
    return BatchList(
        data=batches,
        first_id=batches[0].id if batches else None,
        last_id=batches[-1].id if batches else None,
        has_more=len(found) > limit,
    )


@router.get("/batches/{batch_id}", summary="How far a batch is")
async def get_batch(batch_id: str, application: App, owner: Owner) -> BatchObject:
    return BatchObject.of(await application.batches.get(owner, batch_id))


@router.post("/batches/{batch_id}/cancel", summary="End a batch")
async def cancel_batch(batch_id: str, application: App, owner: Owner) -> BatchObject:
    """What was answered by now is in its files."""
    return BatchObject.of(await application.batches.cancel(owner, batch_id))


def _usage_object(usage: Usage) -> dict[str, Any]:
    """In the words that OpenAI has for batches. Thoughts are not counted apart."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
