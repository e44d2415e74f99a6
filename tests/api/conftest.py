"""The API in this process: the real Application over a fake engine, the real routes and middleware, no socket.

`client` speaks as this machine, `stranger` as another one in the network.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.support.fake_engine import FakeEngine
from webui.api import add_routes
from webui.config import Settings
from webui.core.application import Application

PASSPHRASE = "correct horse battery"


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", lan=True, passphrase=PASSPHRASE)
    settings.models_dir.mkdir()
    async with Application(settings, engine_factory=FakeEngine) as opened:
        yield opened


@pytest.fixture
def app(application: Application) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    add_routes(app, application)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8002") as session:
        yield session


@pytest.fixture
async def stranger(app: FastAPI, application: Application) -> AsyncIterator[httpx.AsyncClient]:
    await application.access.ensure_passphrase()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.168.1.77", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://192.168.1.5:8002") as session:
        yield session
