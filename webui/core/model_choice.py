"""Which model a name means, and how it is wanted: the one place where names of models are read.

A name is an id, a file name or a path, a preset, a title that a person gave, or one that other programs use
(`llama3.2:3b`), in this order. It knows the catalog and what is kept about models, not what is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from webui.core.model_records import ModelRecords
from webui.errors import UnknownModel
from webui.library.catalog import Catalog
from webui.library.loose_names import means
from webui.store.model_values import ModelDefaults, ModelPreset
from webui.types import ModelFile


@dataclass(frozen=True, slots=True)
class Choice:
    """A model under the name that people see, what was chosen with it, and how it is used by default."""

    model: ModelFile
    preset: ModelPreset | None
    defaults: ModelDefaults  #: of the preset, over the model's own

    @property
    def name(self) -> str:
        """What a request's `model` field takes to mean exactly this."""
        return self.preset.name if self.preset is not None else self.model.id

    @property
    def insists(self) -> ModelDefaults:
        """What only loading the model anew would bring; a model's own defaults do not insist on that."""
        return self.preset.defaults if self.preset is not None else ModelDefaults()


class ModelNames:
    """`catalog` gives the present one: the folders to look in may change."""

    def __init__(self, catalog: Callable[[], Catalog], records: ModelRecords) -> None:
        self._catalog = catalog
        self._records = records
        self._has_listed = False  # records of files that were renamed while nobody looked find their new owners then

    async def list(self) -> list[ModelFile]:
        """Every model on this machine under the name that people see, sorted by it."""
        models = await self._catalog().scan()
        await self._records.match(models)
        self._has_listed = True
        return sorted(self._records.titled(models), key=lambda model: (model.name.casefold(), model.id.casefold()))

    async def find(self, name: str) -> Choice:
        """Raises UnknownModel."""
        if not self._has_listed:
            await self.list()
        try:
            found = await self._catalog().find(name)
        except UnknownModel:
            return await self._find_otherwise(name)
        return self.choice(found)

    def choice(self, model: ModelFile, preset: ModelPreset | None = None) -> Choice:
        record = self._records.of(model)
        defaults = preset.defaults.over(record.defaults) if preset is not None else record.defaults
        return Choice(msgspec.structs.replace(model, name=record.title or model.name), preset, defaults)

    async def _find_otherwise(self, name: str) -> Choice:
        models = await self.list()
        if (preset := self._records.preset(name)) is not None:
            model = next((each for each in models if each.id == preset.model_id), None)
            if model is None:
                raise UnknownModel(name)
            return self.choice(model, preset)
        usable = [model for model in models if model.problem is None and model.kind != "adapter"]
        for model in usable:
            if model.name.casefold() == name.casefold():
                return self.choice(model)
        for model in usable:
            if means(name, model.id) or means(name, model.name):
                return self.choice(model)
        raise UnknownModel(name)
