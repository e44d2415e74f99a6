"""`/api/blobs/{digest}`: a model file on its way here, before `/api/create` gives it a name."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from webui.api.dependencies import App
from webui.errors import UnknownBlob

PREFIX = "/api/blobs/"

router = APIRouter()


@router.head("/blobs/{digest}", summary="Whether a blob is here")
async def find_blob(digest: str, application: App) -> Response:
    if not await asyncio.to_thread(application.blobs.has, digest):
        raise UnknownBlob(digest)
    return Response()


@router.post(
    "/blobs/{digest}",
    status_code=201,
    summary="Send a blob",
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
)
async def put_blob(digest: str, request: Request, application: App) -> Response:
    """The raw bytes, whose SHA-256 digest the path names; they become a model with `/api/create`."""
    announced = request.headers.get("content-length", "")
    num_bytes = int(announced) if announced.isascii() and announced.isdigit() else 0
    await application.blobs.receive(digest, request.stream(), num_bytes)
    return Response(status_code=201)
