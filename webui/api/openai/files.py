"""`/v1/files` in OpenAI's shape: what programs send for batches or keep here for themselves, and what batches wrote."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from webui.api.dependencies import App, Owner
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.multipart import Form, read_form
from webui.core.files import MAX_FILE_BYTES
from webui.errors import FileTooLarge, UnknownFile
from webui.store.files import StoredFile

PATH = "/v1/files"
MIN_KEEP_SECONDS, MAX_KEEP_SECONDS = 3600, 30 * 86400  # OpenAI's
_PURPOSES = ("batch", "user_data")
_FORM_BYTES = 1 << 20  # of a form beside its file
_MAX_NAME = 255
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(_PURPOSES)},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {
                            "type": "integer", "minimum": MIN_KEEP_SECONDS, "maximum": MAX_KEEP_SECONDS,
                        },
                    },
                }
            }
        },
    }
}  # fmt: skip

router = APIRouter(prefix="/v1", tags=["Files and batches"])


class FileObject(BaseModel):
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"

    @classmethod
    def of(cls, file: StoredFile) -> FileObject:
        return cls(
            id=file.id,
            bytes=file.size_bytes,
            created_at=int(file.created_at),
            expires_at=None if file.expires_at is None else int(file.expires_at),
            filename=file.name,
            purpose=file.purpose,
        )


class FilePage(BaseModel):
    """Which of them are listed."""

    purpose: str | None = None
    after: str | None = Field(None, description="Those behind the file of this id")
    limit: int = Field(10_000, ge=1, le=10_000)
    order: Literal["asc", "desc"] = "desc"


class FileList(BaseModel):
    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


@router.post("/files", summary="Send a file", openapi_extra=_FORM)
async def create_file(request: Request, application: App, owner: Owner) -> FileObject:
    """A form with the `file` and its `purpose`: `batch` for the input of a batch, `user_data` for anything else. It is
    written to the disk as it comes, and listed when it is whole."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_FILE_BYTES + _FORM_BYTES:
        raise FileTooLarge(MAX_FILE_BYTES)
    async with application.files.receive() as incoming:
        form = await read_form(request.headers, request.stream(), "file", incoming.write)
        file = await application.files.keep(
            incoming, owner=owner, name=_name_in(form), purpose=_purpose_in(form), keep_seconds=_seconds_in(form)
        )
    return FileObject.of(file)


@router.get("/files", summary="Your files")
async def list_files(wanted: Annotated[FilePage, Query()], application: App, owner: Owner) -> FileList:
    found = await application.files.page(
        owner, limit=wanted.limit + 1, purpose=wanted.purpose, after=wanted.after, order=wanted.order
    )
    files = [FileObject.of(each) for each in found[: wanted.limit]]
    return FileList(
        data=files,
        first_id=files[0].id if files else None,
        last_id=files[-1].id if files else None,
        has_more=len(found) > wanted.limit,
    )


@router.get("/files/{file_id}", summary="One file")
async def get_file(file_id: str, application: App, owner: Owner) -> FileObject:
    return FileObject.of(await application.files.get(owner, file_id))


@router.get(
    "/files/{file_id}/content",
    summary="What is in a file",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def get_file_content(file_id: str, application: App, owner: Owner) -> FileResponse:
    file = await application.files.get(owner, file_id)
    path = application.files.path_of(file.id)
    if not await asyncio.to_thread(path.is_file):
        raise UnknownFile(file_id)
    return FileResponse(path, media_type="application/octet-stream", filename=file.name)


@router.delete("/files/{file_id}", summary="Delete a file")
async def delete_file(file_id: str, application: App, owner: Owner) -> DeletedFile:
    """A file that a batch still reads stays: 409."""
    await application.files.delete(owner, file_id)
    return DeletedFile(id=file_id)


# --- what the form says ----------------------------------------------------------------------------------------------


def _name_in(form: Form) -> str:
    """What people called it; a folder in front of it is of no concern here."""
    name = (form.file_name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in name if each.isprintable())[:_MAX_NAME] or "file"


def _purpose_in(form: Form) -> str:
    purpose = form.fields.get("purpose")
    if purpose is None:
        raise ParameterError("purpose", "Say what the file is for: purpose=batch or purpose=user_data.")
    if purpose not in _PURPOSES:
        raise UnsupportedParameter("purpose", f"Files are kept for batch or user_data, not for “{purpose[:40]}”.")
    return purpose


def _seconds_in(form: Form) -> float | None:
    """How long it is kept."""
    wanted = ExpiresAfter.in_form(form.fields)
    return None if wanted is None else wanted.seconds


class ExpiresAfter(BaseModel):
    """When a file goes by itself: so long after it was made."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=MIN_KEEP_SECONDS, le=MAX_KEEP_SECONDS)

    @classmethod
    def in_form(cls, fields: dict[str, str]) -> ExpiresAfter | None:
        """Raises ParameterError."""
        anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
        if anchor is None and seconds is None:
            return None
        is_number = seconds is not None and seconds.isascii() and seconds.isdigit() and len(seconds) < 10
        if anchor != "created_at" or not is_number or not MIN_KEEP_SECONDS <= int(seconds or 0) <= MAX_KEEP_SECONDS:
            raise ParameterError(
                "expires_after",
                f"expires_after needs the anchor “created_at” and {MIN_KEEP_SECONDS} to {MAX_KEEP_SECONDS} seconds.",
            )
        return cls(anchor="created_at", seconds=int(seconds or 0))
