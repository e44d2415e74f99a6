"""What people keep about their models, found again by the file: titles, tags, notes, defaults, presets.

A record belongs to a file by its name and size. A file without one takes over that of a file that is gone: the one of
the same length with the same two ends (it was renamed or moved), else the one of the same name (a newer version came).
It knows files only by what the catalog tells and a hash of their ends; who uses defaults is not its business.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TypedDict, Unpack

import msgspec

from webui.core.kept_words import clean_defaults, clean_notes, clean_preset_name, clean_tags, clean_title
from webui.core.signal import Signal
from webui.core.template_check import CheckTemplate, check_template
from webui.errors import UnknownPreset
from webui.library.fingerprint import fingerprint
from webui.store.model_records import ModelRecordStore
from webui.store.model_values import ModelDefaults, ModelPreset, ModelRecord
from webui.types import ModelFile

_log = logging.getLogger(__name__)


class RecordChanges(TypedDict, total=False):
    """The keywords of `ModelRecords.update`."""

    title: str | None
    tags: tuple[str, ...]
    is_favourite: bool
    notes: str
    defaults: ModelDefaults


class ModelRecords:
    """All of them are in memory after `load`: reading is free, and nothing is written about a model of which nothing
    is kept."""

    def __init__(self, store: ModelRecordStore, *, check: CheckTemplate = check_template) -> None:
        self.changed: Signal[None] = Signal()
        self._store = store
        self._check_template = check
        self._records: dict[int, ModelRecord] = {}  # by row
        self._rows: dict[tuple[str, int], int] = {}  # by file name and size
        self._presets: dict[str, tuple[int, ModelPreset]] = {}  # by name in small letters; with the row
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        self._records = await self._store.all()
        self._rows = {_key(record): row for row, record in self._records.items()}
        await self._load_presets()

    # --- reading ---------------------------------------------------------------------------------------------------

    def of(self, model: ModelFile) -> ModelRecord:
        """What is kept about a model; an empty record when nothing is."""
        row = self._rows.get((model.path.name, model.size_bytes))
        return self._records[row] if row is not None else _new_record(model)

    @property
    def presets(self) -> tuple[ModelPreset, ...]:
        return tuple(preset for _, preset in self._presets.values())

    def preset(self, name: str) -> ModelPreset | None:
        """By its name, whatever the case of its letters."""
        found = self._presets.get(name.casefold())
        return found[1] if found is not None else None

    def presets_of(self, model: ModelFile) -> tuple[ModelPreset, ...]:
        return tuple(preset for preset in self.presets if preset.model_id == model.id)

    def titled(self, models: Sequence[ModelFile]) -> list[ModelFile]:
        """The models under the names that people gave them."""
        return [
            msgspec.structs.replace(model, name=title) if (title := self.of(model).title) else model for model in models
        ]

    # --- writing ---------------------------------------------------------------------------------------------------

    async def update(self, model: ModelFile, **changes: Unpack[RecordChanges]) -> ModelRecord:
        """Change what is kept. Raises InvalidRequest for what cannot be, BrokenTemplate for a template that fails."""
        if changes.get("title") is not None:
            changes["title"] = clean_title(changes["title"] or "")
        if "tags" in changes:
            changes["tags"] = clean_tags(changes["tags"])
        if "notes" in changes:
            changes["notes"] = clean_notes(changes["notes"])
        if "defaults" in changes:
            changes["defaults"] = await self._checked(changes["defaults"], self.of(model).defaults)
        async with self._lock:
            record = await self._change(model, **changes)
        self.changed.emit(None)
        return record

    async def note_use(self, model: ModelFile) -> None:
        """It was loaded just now."""
        async with self._lock:
            await self._change(model, used_at=time.time())

    async def move(self, model: ModelFile, moved: ModelFile) -> None:
        """The file has another name now."""
        async with self._lock:
            row = self._rows.get((model.path.name, model.size_bytes))
            if row is not None:
                await self._adopt(row, moved)
        self.changed.emit(None)

    async def forget(self, model: ModelFile) -> None:
        """Drop the record with its presets: the file was deleted on purpose."""
        async with self._lock:
            row = self._rows.pop((model.path.name, model.size_bytes), None)
            if row is None:
                return
            await self._store.delete(row)
            del self._records[row]
            await self._load_presets()
        self.changed.emit(None)

    async def save_preset(self, preset: ModelPreset, model: ModelFile) -> ModelPreset:
        """Keep a preset of this model in place of one with the same name. Raises as `update`."""
        name = clean_preset_name(preset.name)
        former = self.preset(name)
        defaults = await self._checked(preset.defaults, former.defaults if former else ModelDefaults())
        async with self._lock:
            await self._change(model)  # a preset belongs to a record
            row = self._rows[(model.path.name, model.size_bytes)]
            created_at = former.created_at if former else time.time()
            saved = ModelPreset(name=name, model_id=model.id, defaults=defaults, created_at=created_at)
            await self._store.save_preset(row, saved)
            self._presets[name.casefold()] = (row, saved)
        self.changed.emit(None)
        return saved

    async def delete_preset(self, name: str) -> None:
        """Raises UnknownPreset."""
        async with self._lock:
            if not await self._store.delete_preset(name):
                raise UnknownPreset(name)
            self._presets.pop(name.casefold(), None)
        self.changed.emit(None)

    # --- files come, go and change ---------------------------------------------------------------------------------

    async def match(self, models: Sequence[ModelFile]) -> None:
        """These are the models that there are: hand records of files that are gone over to those that took their
        place. Cheap when nothing changed."""
        present = {(model.path.name, model.size_bytes) for model in models}
        homeless = {row: record for row, record in self._records.items() if _key(record) not in present}
        strangers = [model for model in models if (model.path.name, model.size_bytes) not in self._rows]
        if not homeless and all(record.fingerprint for record in self._records.values()):
            return
        async with self._lock:
            for model in strangers:
                row = await self._find_former(model, homeless)
                if row is not None:
                    del homeless[row]
                    await self._adopt(row, model)
            for model in models:
                await self._take_fingerprint(model)

    async def _find_former(self, model: ModelFile, homeless: dict[int, ModelRecord]) -> int | None:
        same_size = {row: each for row, each in homeless.items() if each.size_bytes == model.size_bytes}
        if any(each.fingerprint for each in same_size.values()) and (ends := await _fingerprint(model)):
            for row, record in same_size.items():
                if record.fingerprint == ends:
                    return row
        return next((row for row, each in homeless.items() if each.file_name == model.path.name), None)

    async def _adopt(self, row: int, model: ModelFile) -> None:
        record = msgspec.structs.replace(
            self._records[row],
            model_id=model.id,
            file_name=model.path.name,
            size_bytes=model.size_bytes,
            fingerprint="" if model.size_bytes != self._records[row].size_bytes else self._records[row].fingerprint,
        )
        _log.info("What is kept about %s goes on with %s", self._records[row].file_name, model.path.name)
        await self._keep(row, record)
        await self._load_presets()

    async def _take_fingerprint(self, model: ModelFile) -> None:
        row = self._rows.get((model.path.name, model.size_bytes))
        if row is None or self._records[row].fingerprint:
            return
        if ends := await _fingerprint(model):
            await self._keep(row, msgspec.structs.replace(self._records[row], fingerprint=ends))

    # --- under the lock --------------------------------------------------------------------------------------------

    async def _change(self, model: ModelFile, **changes: object) -> ModelRecord:
        record = msgspec.structs.replace(self.of(model), model_id=model.id, **changes)
        row = self._rows.get(_key(record))
        if row is None:
            record = msgspec.structs.replace(record, fingerprint=await _fingerprint(model))
            row = await self._store.add(record)
            self._records[row], self._rows[_key(record)] = record, row
        else:
            await self._keep(row, record)
        return record

    async def _keep(self, row: int, record: ModelRecord) -> None:
        await self._store.save(row, record)
        self._rows.pop(_key(self._records[row]), None)
        self._records[row], self._rows[_key(record)] = record, row

    async def _load_presets(self) -> None:
        self._presets = {preset.name.casefold(): (row, preset) for row, preset in await self._store.presets()}

    async def _checked(self, defaults: ModelDefaults, former: ModelDefaults) -> ModelDefaults:
        defaults = clean_defaults(defaults)
        if defaults.chat_template and defaults.chat_template != former.chat_template:
            await self._check_template(defaults.chat_template)
        return defaults


def _key(record: ModelRecord) -> tuple[str, int]:
    return record.file_name, record.size_bytes


def _new_record(model: ModelFile) -> ModelRecord:
    return ModelRecord(model_id=model.id, file_name=model.path.name, size_bytes=model.size_bytes)


async def _fingerprint(model: ModelFile) -> str:
    """Empty for a file that cannot be read: nothing is known again by that."""
    try:
        return await asyncio.to_thread(fingerprint, model.path)
    except OSError:
        return ""
