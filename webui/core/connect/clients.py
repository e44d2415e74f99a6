"""The programs that we know how to point at this server, from `webui/clients.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from webui.errors import UnknownClient
from webui.types import Value

ClientKind = Literal["library", "terminal", "editor", "chat", "home"]
Dialect = Literal["openai", "responses", "anthropic", "ollama"]
Use = Literal["list", "chat", "stream", "tools"]
Language = Literal["bash", "python", "javascript", "json", "yaml", "toml", "fields"]

CLIENTS_FILE = Path(__file__).resolve().parents[2] / "clients.toml"


class Paste(Value, frozen=True, forbid_unknown_fields=True):
    """Something to write somewhere. `fields` are lines of “Name: value” for a form."""

    where: str
    language: Language
    text: str  #: with placeholders


class Client(Value, frozen=True, forbid_unknown_fields=True):
    """One program."""

    id: str
    name: str
    kind: ClientKind
    speaks: Dialect
    uses: tuple[Use, ...]
    source: str  #: where this was looked up
    paste: tuple[Paste, ...]
    note: str = ""
    sends_key: bool = True
    runs_elsewhere: bool = False  #: usually in a container or on another machine


class _ClientFile(Value, frozen=True):
    client: tuple[Client, ...]


def load_clients(path: Path = CLIENTS_FILE) -> tuple[Client, ...]:
    """In the order of the file."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _ClientFile).client


def find_client(name: str, clients: Sequence[Client] | None = None) -> Client:
    """By id or name, whatever the case. Raises UnknownClient."""
    known = load_clients() if clients is None else clients
    wanted = name.strip().casefold()
    for client in known:
        if wanted in {client.id.casefold(), client.name.casefold()}:
            return client
    raise UnknownClient(name)
