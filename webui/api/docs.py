"""The API's description for people at `/docs`: Swagger UI from our own files, so that it works without a network."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from webui.assets import STATIC_DIR

router = APIRouter(include_in_schema=False)


@router.head("/docs")
@router.get("/docs")
async def show_docs() -> FileResponse:
    return FileResponse(STATIC_DIR / "docs.html", headers={"Cache-Control": "no-cache"})
