"""Import of model files, straight to disk and resumable, in the manner of tus: create, PATCH pieces at an offset, done.

After a broken connection the client asks with HEAD how far it came and goes on from there.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, Field

from webui.api.dependencies import App

PREFIX = "/api/uploads"

router = APIRouter(prefix=PREFIX, tags=["Import"])


class UploadRequest(BaseModel):
    name: str = Field(description="File name, ending in .gguf", examples=["SmolLM2-135M-Instruct.Q4_1.gguf"])
    size: int = Field(ge=1, description="Bytes of the whole file")


class Upload(BaseModel):
    id: str
    name: str
    size: int
    offset: int = Field(description="Bytes that have arrived: where the next piece begins")
    state: str = Field(description="receiving, complete or failed")
    error: str | None = None


@router.post("", status_code=201, summary="Begin an import")
async def start_upload(body: UploadRequest, application: App, response: Response) -> Upload:
    """Checks the name and the free space. The same file begun before goes on where it stopped."""
    status = await application.uploads.start(body.name, body.size)
    response.headers["Location"] = f"{PREFIX}/{status.id}"
    return await get_upload(status.id, application, response)


@router.head("/{upload_id}", include_in_schema=False)
@router.get("/{upload_id}", summary="How far an import came")
async def get_upload(upload_id: str, application: App, response: Response) -> Upload:
    status = await application.uploads.status(upload_id)
    response.headers["Upload-Offset"] = str(status.offset)
    response.headers["Cache-Control"] = "no-store"
    return Upload(
        id=status.id,
        name=status.name,
        size=status.size_bytes,
        offset=status.offset,
        state=status.state,
        error=status.error,
    )


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send a piece",
    openapi_extra={"requestBody": {"content": {"application/offset+octet-stream": {}}, "required": True}},
)
async def append_to_upload(
    upload_id: str, request: Request, application: App, upload_offset: Annotated[int, Header(ge=0)]
) -> Response:
    """The raw bytes from `Upload-Offset` on. What arrives before a connection breaks is kept.

    The answer's `Upload-Offset` is where the next piece begins; a wrong offset is answered with 409 and the right one.
    """
    status = await application.uploads.append(upload_id, upload_offset, request.stream())
    return Response(status_code=204, headers={"Upload-Offset": str(status.offset)})


@router.delete("/{upload_id}", status_code=204, summary="Cancel an import")
async def cancel_upload(upload_id: str, application: App) -> None:
    """Removes what has arrived."""
    await application.uploads.cancel(upload_id)
