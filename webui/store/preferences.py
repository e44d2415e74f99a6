"""What people chose in the page and find again after a restart: one row a preference, the value as JSON.

It knows how to keep typed values; it does not know who acts on them. Reading is free (all of it is in memory); a value
that is damaged or that this version does not know falls back to its default and says so in the log.
"""

from __future__ import annotations

import logging
from typing import TypedDict, Unpack

import msgspec

from webui.store.database import Database
from webui.types import SamplingParams, StoreKind, Value

_log = logging.getLogger(__name__)


class PreferenceValues(Value, frozen=True):
    """Every preference and its default. None for a number means that Glasshouse chooses."""

    model_id: str | None = None  #: the model that the next message starts
    system_prompt: str = ""  #: of conversations that have none of their own
    sampling: SamplingParams = SamplingParams()  #: of conversations that have none of their own
    ctx: int | None = None  #: context of one conversation in tokens
    gpu_layers: int | None = None
    extra_dirs: tuple[str, ...] = ()  #: further folders with models
    model_stores: tuple[StoreKind, ...] = ()  #: other programs whose models are used where they lie
    declined_stores: tuple[StoreKind, ...] = ()  #: those that are not to be offered again
    hub_token: str | None = None  #: for private and gated models; it is in no answer and no log
    inspects: bool = False  #: keep the last API requests in memory, to look at


class PreferenceChanges(TypedDict, total=False):
    """The keywords of `Preferences.set`; the same names and types as PreferenceValues."""

    model_id: str | None
    system_prompt: str
    sampling: SamplingParams
    ctx: int | None
    gpu_layers: int | None
    extra_dirs: tuple[str, ...]
    model_stores: tuple[StoreKind, ...]
    declined_stores: tuple[StoreKind, ...]
    hub_token: str | None
    inspects: bool


class Preferences:
    """`get()` is a snapshot, `await set(ctx=4096)` changes and stores. `await load()` comes before both."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._values = PreferenceValues()

    async def load(self) -> PreferenceValues:
        rows = await self._database.fetch_all("SELECT key, value FROM preferences")
        stored: dict[str, str] = dict(tuple(row) for row in rows)
        values = PreferenceValues()
        for field in msgspec.structs.fields(PreferenceValues):
            if field.name not in stored:
                continue
            try:
                value = msgspec.json.decode(stored[field.name], type=field.type)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                _log.warning("The stored preference %s is damaged (%s): taking the default", field.name, error)
                continue
            values = msgspec.structs.replace(values, **{field.name: value})
        self._values = values
        return values

    def get(self) -> PreferenceValues:
        return self._values

    async def set(self, **changes: Unpack[PreferenceChanges]) -> PreferenceValues:
        """Change some preferences, in memory and on disk; a value of a wrong type raises TypeError."""
        types = {field.name: field.type for field in msgspec.structs.fields(PreferenceValues)}
        for name, value in changes.items():
            if name not in types:
                raise TypeError(f"There is no preference named {name}")
            try:
                msgspec.convert(msgspec.to_builtins(value), types[name])
            except msgspec.ValidationError as error:
                raise TypeError(f"The preference {name} cannot be {value!r}: {error}") from error
        async with self._database.transaction() as connection:
            await connection.executemany(
                "INSERT INTO preferences (key, value) VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [(name, msgspec.json.encode(value).decode()) for name, value in changes.items()],
            )
        self._values = msgspec.structs.replace(self._values, **changes)
        return self._values
