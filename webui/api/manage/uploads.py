"""Import of model files, straight to disk and resumable, in the manner of tus: create, PATCH pieces at an offset, done.

After a broken connection the client asks with HEAD how far it came and goes on from there. Who was away (a reload, a
restart) asks for the digest of what is here first, so that two files of one name are never glued together; a digest
with each piece proves the whole in the end.
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


class Digest(BaseModel):
    offset: int = Field(description="Bytes that have arrived")
    blake3: str = Field(description="The BLAKE3 digest of these bytes, in hex")


@router.get("/{upload_id}/digest", summary="What has arrived, as a digest")
async def get_digest(upload_id: str, application: App, response: Response) -> Digest:
    """After a restart of the server what is here is read from the disk first, which takes as long as that takes."""
    offset, digest = await application.uploads.digest(upload_id)
    response.headers["Cache-Control"] = "no-store"
    return Digest(offset=offset, blake3=digest)


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send a piece",
    openapi_extra={"requestBody": {"content": {"application/offset+octet-stream": {}}, "required": True}},
)
async def append_to_upload(
    upload_id: str,
    request: Request,
    application: App,
    upload_offset: Annotated[int, Header(ge=0)],
    upload_digest: Annotated[str | None, Header(pattern="^[0-9a-f]{64}$")] = None,
) -> Response:
    """The raw bytes from `Upload-Offset` on. What arrives before a connection breaks is kept.

    `Upload-Digest` is the BLAKE3 digest (hex) of the whole file up to the last byte of this piece. What does not
    agree with it is taken back, and answered with 409. The last piece, which may be empty, ends the import.

    The answer's `Upload-Offset` is where the next piece begins; a wrong offset is answered with 409 and the right one.
    """
    status = await application.uploads.append(upload_id, upload_offset, request.stream(), upload_digest)
    return Response(status_code=204, headers={"Upload-Offset": str(status.offset)})


@router.delete("/{upload_id}", status_code=204, summary="Cancel an import")
async def cancel_upload(upload_id: str, application: App) -> None:
    """Removes what has arrived."""
    await application.uploads.cancel(upload_id)
