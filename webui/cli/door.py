"""One way to ask for things, whether a server runs or not: HTTP on loopback, to the running server or to a brief one of
this process over an Application of its own.

It knows where to find a server and what its refusals look like; the commands know what to ask.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from webui.config import Settings
from webui.core.running_server import RunningServer, read_running_server
from webui.errors import ConfigurationError, GlasshouseError

_CONNECT_SECONDS = 5.0
_SIGN_OF_LIFE = httpx.Timeout(_CONNECT_SECONDS)


class Unreachable(GlasshouseError):
    """No answer, or the answer of something else."""

    code = "unreachable"

    def __init__(self, url: str, reason: str = "") -> None:
        super().__init__(
            f"There is no Glasshouse at {url}{f' ({reason})' if reason else ''}. Start one with: glasshouse serve",
            url=url,
        )


class Refused(GlasshouseError):
    """The server's no, in its own words; `kind` is its code and `status` HTTP's."""

    code = "refused"

    def __init__(self, message: str, kind: str = "error", status: int = 500) -> None:
        super().__init__(message, kind=kind, status=status)
        self.kind = kind
        self.status = status


@dataclass(frozen=True, slots=True)
class Place:
    """Which server a command is for: one that was named, or the one of these settings' data folder."""

    settings: Settings
    server: str | None = None
    key: str | None = None


class Door:
    """`is_server`: a server runs, so what is loaded stays loaded when the command ends."""

    def __init__(self, client: httpx.AsyncClient, *, is_server: bool) -> None:
        self._client = client
        self.is_server = is_server

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return str(self._client.base_url).rstrip("/")

    @property
    def key(self) -> str | None:
        """What it is asked with."""
        return self._client.headers.get("Authorization", "").removeprefix("Bearer ") or None

    async def get(self, path: str, **query: Any) -> Any:
        return await self.ask("GET", path, query=query)

    async def ask(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """The answer's JSON, None where there is none. Raises Refused or Unreachable."""
        wanted = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = await self._client.request(method, path, json=body, params=wanted)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if not answer.is_success:
            raise _refusal(answer.status_code, answer.content)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise self._unreachable(error) from error

    async def events(self, path: str, body: Any) -> AsyncGenerator[dict[str, Any], None]:
        """What a stream of server-sent events says. An error in the stream is raised as Refused."""
        try:
            async with self._client.stream("POST", path, json=body) as answer:
                if not answer.is_success:
                    raise _refusal(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    if not line.startswith("data: ") or line == "data: [DONE]":
                        continue
                    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    if "error" in event:
                        raise _refusal(500, json.dumps(event).encode())
                    yield event
        except (httpx.HTTPError, ValueError) as error:
            raise self._unreachable(error) from error

    async def find_id(self, name: str) -> str:
        """The id of the model that is meant, fit for a path: the server knows names, only slashes need a look."""
        if "/" not in name and "\\" not in name:
            return quote(name, safe="")
        wanted = name.casefold()
        for model in await self.get("/manage/models"):
            if wanted in {str(model[field]).casefold() for field in ("id", "name", "path", "file_name")}:
                return quote(str(model["id"]), safe="")
        raise Refused(f"There is no model named “{name}” here. See: glasshouse list", "unknown_model", 404)

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(self.url, str(error).lower())


@asynccontextmanager
async def open_door(place: Place) -> AsyncIterator[Door]:
    """To the server that was named, to the running one, or to an Application that is opened for this command. Raises
    Unreachable, or ConfigurationError when the data folder cannot be used."""
    if place.server is not None:
        async with _connect(_as_url(place.server), place.key, trust_env=True) as client:
            yield Door(client, is_server=True)
    elif (running := await _find_running(place)) is not None:
        async with _connect(running.url, place.key or running.key, trust_env=False) as client:
            yield Door(client, is_server=True)
    else:
        logging.basicConfig(level=logging.ERROR)
        # Only now, because these take most of a second.
        from webui.cli.folders import prepare_folders  # noqa: PLC0415
        from webui.core.application import Application  # noqa: PLC0415
        from webui.server import serve_briefly  # noqa: PLC0415

        prepare_folders(place.settings)
        async with (
            Application(place.settings) as application,
            serve_briefly(application) as url,
            _connect(url, application.keys.lend() if place.settings.require_key else None, trust_env=False) as client,
        ):
            yield Door(client, is_server=False)


async def _find_running(place: Place) -> RunningServer | None:
    """The server that uses this data folder, if it gives a sign of life."""
    server = read_running_server(place.settings.data_dir)
    if server is None:
        return None
    try:
        async with httpx.AsyncClient(timeout=_SIGN_OF_LIFE, trust_env=False) as client:
            answer = await client.get(f"{server.url}/health")
    except httpx.HTTPError:
        return None
    return server if answer.is_success else None


def _connect(url: str, key: str | None, *, trust_env: bool) -> httpx.AsyncClient:
    headers = [(b"Authorization", f"Bearer {key}".encode())] if key else []
    timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)  # loading a model takes as long as it takes
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=trust_env)


def _as_url(server: str) -> str:
    url = (server if "://" in server else f"http://{server}").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"--server {server}: that is no address. Write it like http://192.168.1.5:8002.")
    return url


def _refusal(status: int, content: bytes) -> Refused:
    try:
        error = json.loads(content)["error"]
        return Refused(str(error["message"]), str(error["code"]), status)
    except (ValueError, KeyError, TypeError):
        return Refused(f"The server answered with status {status}, and not in Glasshouse's words.", "error", status)
