"""The `glasshouse` command in this process: over folders of one's own, or before a server that the test plays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from webui.cli.app import app
from webui.cli.door import Door, Place

Glasshouse = Callable[..., Result]
Answer = Callable[[str, str, Any], Any]
"""What the played server says to a method, a path and a body: JSON, or an httpx.Response."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds `data/` and `models/`; nothing of this machine's settings is seen."""
    for name in ("GLASSHOUSE_SERVER", "GLASSHOUSE_KEY", "GLASSHOUSE_DATA_DIR", "GLASSHOUSE_MODELS_DIR", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("webui.library.store_places.OLLAMA_SERVICE", tmp_path / "no service")
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def glasshouse(folder: Path) -> Glasshouse:
    """`glasshouse("list", "--json")`, while no server runs unless the test started one over `folder`."""
    places = ["--data-dir", str(folder / "data"), "--models-dir", str(folder / "models")]

    def run(*words: str, width: int = 200, typed: str | None = None, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, [*words, *places], input=typed, env={"COLUMNS": str(width)} | (env or {}))

    return run


@pytest.fixture
def play_server(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`play_server(answer)`: every command of this test asks `answer` instead of a server."""

    def play(answer: Answer, *, is_server: bool = True) -> None:
        def handle(request: httpx.Request) -> httpx.Response:
            body = request.content.decode()
            said = answer(request.method, request.url.path, body)
            return said if isinstance(said, httpx.Response) else httpx.Response(200, json=said)

        @asynccontextmanager
        async def open_door(place: Place) -> AsyncIterator[Door]:
            transport = httpx.MockTransport(handle)
            async with httpx.AsyncClient(transport=transport, base_url="http://played") as client:
                yield Door(client, is_server=is_server)

        monkeypatch.setattr("webui.cli.command.open_door", open_door)

    return play


def refusal(status: int, code: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "code": code}})
