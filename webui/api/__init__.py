"""The wire: HTTP routes over one Application.

A module or a room for each dialect (`openai`, `anthropic`, `native`, …); `errors` turns exceptions into status codes;
what is in `door` stands before all of them.
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from webui.api import (
    adapters,
    anthropic,
    docs,
    health,
    llama_server,
    lm_studio,
    lm_studio_v1,
    manage,
    metrics,
    native,
    ollama,
    openai,
    plain,
)
from webui.api.capture import Capture
from webui.api.description import describe_refusals
from webui.api.door import session
from webui.api.door.cross_origin import cross_origin_options
from webui.api.door.gate import Gate
from webui.api.door.headers import PageNonce, SecurityHeaders
from webui.api.door.limits import BodyLimit
from webui.api.door.observe import Observe
from webui.api.door.request_ids import RequestIds
from webui.api.door.route_names import RouteNames
from webui.api.door.static_files import VersionedStaticFiles
from webui.api.door.timeouts import BodyTimeout
from webui.api.errors import add_error_handlers
from webui.api.fallback import ApiFallback
from webui.api.json_bodies import AssumeJson
from webui.api.manage import uploads
from webui.api.ndjson import MEDIA_TYPE
from webui.api.ollama import blobs
from webui.api.openai import files
from webui.assets import STATIC_DIR
from webui.core.application import Application

_API_PREFIXES = ("/v1/", "/api/", "/manage/")
_LARGE_BODIES = (f"{uploads.PREFIX}/", blobs.PREFIX, files.PATH)  # go to disk as they come
_JSON_PATHS = (
    *_API_PREFIXES, "/load_model", "/completion", "/tokenize", "/detokenize", "/apply-template", "/infill",
    "/models/", "/lora-adapters", "/generate", "/chat", "/responses", "/embeddings", "/rerank",
)  # fmt: skip
# Only for the "Authorize" button of /docs: the gate has checked the key before.
_DESCRIBE_KEY = Security(HTTPBearer(auto_error=False, description="An API key; not needed on this machine"))


def add_routes(app: FastAPI, application: Application) -> None:
    """Every route, `/static`, the error bodies and the middleware. Pages are mounted after this.

    `app.state.stopping` is set by whoever runs the server when it begins to stop.
    """
    app.state.application = application
    app.state.stopping = asyncio.Event()
    for module in (health, native, metrics, openai, anthropic, ollama, lm_studio, lm_studio_v1, llama_server):
        app.include_router(module.router, dependencies=[_DESCRIBE_KEY])
    for module in (plain, adapters, manage):
        app.include_router(module.router, dependencies=[_DESCRIBE_KEY])
    for module in (session, docs):
        app.include_router(module.router)
    app.include_router(openai.socket_router)  # without the description of keys, which FastAPI has for HTTP only
    app.mount("/static", VersionedStaticFiles(directory=STATIC_DIR), name="static")
    app.router.routes.append(ApiFallback(app.router.routes, _API_PREFIXES))
    add_error_handlers(app)
    describe_refusals(app)
    # The last one added is the first to see a request.
    app.add_middleware(PageNonce)
    app.add_middleware(
        GZipMiddleware,
        minimum_size=1024,
        compresslevel=5,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, MEDIA_TYPE),  # a compressed stream arrives in lumps
    )
    app.add_middleware(AssumeJson, prefixes=_JSON_PATHS)
    app.add_middleware(BodyLimit, exempt=_LARGE_BODIES, sign_in=session.PATH)
    app.add_middleware(BodyTimeout, unhurried=_LARGE_BODIES)
    app.add_middleware(
        Gate, settings=application.settings, people=lambda: application.access, keys=lambda: application.keys
    )
    app.add_middleware(Capture, inspector=lambda: application.inspector)
    app.add_middleware(Observe, telemetry=lambda: application.telemetry, routes=RouteNames(app.router.routes))
    if application.settings.allowed_origins:
        app.add_middleware(CORSMiddleware, **cross_origin_options(application.settings.allowed_origins))
    app.add_middleware(RequestIds)
    app.add_middleware(SecurityHeaders)
    application.wire.connect(app)
