"""The whole application without a door: everything that pages, API and command line share, opened and closed in order.

It knows what is made of what; it does not know who uses it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from webui.config import Settings
from webui.core.access import Access
from webui.core.batches import Batches
from webui.core.chat import Chats
from webui.core.comparing import Comparing
from webui.core.data_lock import DataLock
from webui.core.doctor.doctor import Doctor, current_tuning
from webui.core.doctor.engine import DoctorEngineFactory
from webui.core.doctor.house import ModelHouse
from webui.core.doctor.tuned_planner import fixed_by_person, with_tuned_memory, with_tuning
from webui.core.downloads import Downloads
from webui.core.embedding_models import EmbeddingModels
from webui.core.engine import EmbeddingEngineFactory, EngineFactory
from webui.core.engine_client import LOW_PRIORITY_COMMAND, EngineClient
from webui.core.files import Files
from webui.core.fitting import Fitting
from webui.core.hub import Hub
from webui.core.inspector import Inspector
from webui.core.keys import ApiKeys
from webui.core.machine import Machine
from webui.core.memory_watch import MemoryWatch
from webui.core.model_manager import ModelManager
from webui.core.model_records import ModelRecords
from webui.core.model_stores import ModelStores
from webui.core.planning import create_ladder, create_planner
from webui.core.response_cache import ResponseCache, create_response_cache
from webui.core.responses import Responses
from webui.core.telemetry.telemetry import Telemetry
from webui.core.telemetry.tracing import create_tracing
from webui.core.uploads import ObservedUploads
from webui.core.wire import Wire
from webui.core.workbench import Workbench
from webui.library.blobs import Blobs
from webui.library.catalog import Catalog
from webui.library.uploads import Uploads
from webui.store.batches import BatchStore
from webui.store.conversations import ConversationStore
from webui.store.database import Database, make_private_folder
from webui.store.doctor_reports import DoctorReports
from webui.store.files import FileStore
from webui.store.keys import KeyStore
from webui.store.model_records import ModelRecordStore
from webui.store.preferences import Preferences
from webui.store.responses import ResponseStore
from webui.store.sessions import SessionStore
from webui.types import ModelFile

_log = logging.getLogger(__name__)


class Application:
    """`async with Application(settings) as application:`; its parts exist inside that block.

    Raises ConfigurationError when the data folder cannot be used or another server uses it.
    """

    preferences: Preferences
    catalog: Catalog
    stores: ModelStores
    uploads: ObservedUploads
    hub: Hub
    downloads: Downloads
    blobs: Blobs
    workbench: Workbench
    records: ModelRecords
    models: ModelManager
    fitting: Fitting
    memory_watch: MemoryWatch
    doctor: Doctor
    comparing: Comparing
    embedding_models: EmbeddingModels
    chats: Chats
    files: Files
    batches: Batches
    responses: Responses
    access: Access
    keys: ApiKeys
    inspector: Inspector

    def __init__(
        self,
        settings: Settings,
        *,
        engine_factory: EngineFactory = EngineClient,
        embedding_engine_factory: EmbeddingEngineFactory = EngineClient,
        doctor_engine_factory: DoctorEngineFactory | None = None,
    ) -> None:
        self.settings = settings
        self._engine_factory = engine_factory
        self._embedding_engine_factory = embedding_engine_factory
        self._doctor_engine_factory = doctor_engine_factory or _create_quiet_engine
        self.machine = Machine()
        self.wire = Wire()
        self.telemetry = Telemetry()
        self.response_cache: ResponseCache | None = None  #: None: switched off
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:  # what was opened is closed again when a later part fails
            await self._open(opening)
            self._closing = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    async def set_extra_dirs(self, folders: Sequence[Path]) -> None:
        """Look for models in these folders too, now and after a restart."""
        await self.preferences.set(extra_dirs=tuple(str(folder) for folder in folders))
        self._renew_catalog()

    async def _find_model(self, name: str) -> ModelFile:
        return (await self.models.names.find(name)).model

    def _renew_catalog(self) -> None:
        self.catalog = self._create_catalog()
        self.models.use_catalog(self.catalog)

    def _create_catalog(self) -> Catalog:
        """Where to look for models; a file that `--model` names by its path is one of them, wherever it lies."""
        settings = self.settings
        named = [Path(settings.model).expanduser()] if settings.model else []
        chosen = map(Path, self.preferences.get().extra_dirs)
        extra = [path for path in named if path.is_file()] + [*settings.extra_models_dirs, *chosen]
        return Catalog(settings.models_dir, extra, stores=self.preferences.get().model_stores)

    async def _open_access(self, database: Database, closing: AsyncExitStack) -> None:
        settings = self.settings
        self.access = Access(
            SessionStore(database),
            passphrase=settings.passphrase,
            first_visitor=settings.first_visitor and settings.sign_in,
        )
        await self.access.load()
        self.keys = ApiKeys(KeyStore(database))
        await self.keys.load()
        closing.push_async_callback(self.keys.close)

    async def _open_model_folders(self, closing: AsyncExitStack) -> None:
        """What brings model files, and makes others of them."""
        settings = self.settings
        self.stores = ModelStores(self.preferences, self._renew_catalog)
        self.uploads = ObservedUploads(
            Uploads(settings.models_dir), on_complete=lambda: self.models.catalog_changed.emit(None)
        )
        self.hub = Hub(settings, self.preferences, lambda: self.catalog, memory=self.machine.measure)
        self.downloads = Downloads(
            settings.models_dir, self.hub.client, on_complete=lambda: self.models.catalog_changed.emit(None)
        )
        closing.push_async_callback(self.downloads.close)
        await self.downloads.open()
        self.blobs = Blobs(settings.models_dir)
        await asyncio.to_thread(self.blobs.sweep)
        self.workbench = Workbench(
            lambda: self.catalog, settings.models_dir, on_complete=lambda: self.models.catalog_changed.emit(None)
        )
        closing.push_async_callback(self.workbench.close)
        await self.workbench.open()

    async def _open_programs(self, database: Database, closing: AsyncExitStack) -> None:
        """What programs leave here; what runs for a key ends with it."""
        self.files = Files(FileStore(database), self.settings.data_dir / "files")
        self.batches = Batches(BatchStore(database), self.files)
        await self.files.open(spare=await self.batches.open())
        self.keys.when_revoked(self.batches.cancel_all)
        closing.push_async_callback(self.batches.close)
        self.responses = Responses(ResponseStore(database))
        closing.push_async_callback(self.responses.close)
        await self.responses.open()
        self.keys.when_revoked(self.responses.cancel_all)

    async def _open(self, closing: AsyncExitStack) -> None:
        settings = self.settings
        make_private_folder(settings.data_dir)
        lock = DataLock(settings.data_dir)
        lock.acquire()
        closing.callback(lock.release)
        self.telemetry.tracing = create_tracing()
        closing.push_async_callback(self.telemetry.close)
        self.response_cache = create_response_cache(
            settings.response_cache, settings.response_cache_mb << 20, settings.response_cache_seconds
        )
        if self.response_cache is not None:
            closing.push_async_callback(self.response_cache.close)

        database = await Database.open(settings.data_dir / "glasshouse.db")
        closing.push_async_callback(database.close)
        conversations = ConversationStore(database)
        num_interrupted = await conversations.close_interrupted()
        if num_interrupted:
            _log.warning("%d answers were cut off when Glasshouse stopped the last time", num_interrupted)
        self.preferences = Preferences(database)
        await self.preferences.load()
        await self._open_access(database, closing)
        self.inspector = Inspector(self.preferences, self.wire)
        closing.push_async_callback(self.inspector.close)

        self.catalog = self._create_catalog()
        self.records = ModelRecords(ModelRecordStore(database))
        await self.records.load()
        reports = DoctorReports(database)
        await reports.load()
        planner = create_planner(settings, self.machine.measure)
        tuning = partial(current_tuning, reports)
        self.models = ModelManager(
            self.catalog,
            self.preferences,
            settings,
            records=self.records,
            ladder=create_ladder(settings, self.machine.measure),
            memory=self.machine.memory,
            engine_factory=self._engine_factory,
            embedding_engine_factory=self._embedding_engine_factory,
            planner=with_tuning(planner, settings, tuning),
            telemetry=self.telemetry,
            response_cache=self.response_cache,
            charge=self.keys.charge,
        )
        closing.push_async_callback(self.models.close)
        self.fitting = Fitting(
            settings,
            with_tuned_memory(self.models.target, settings, tuning),
            self.models.neighbours,
            self.machine.measure,
        )
        self.memory_watch = MemoryWatch(lambda: self.models.neighbours().all)
        closing.push_async_callback(self.memory_watch.close)
        self.memory_watch.open()
        self.embedding_models = EmbeddingModels(
            self.models.names, self.models.wishes, self.models.pool, self.telemetry, charge=self.keys.charge
        )
        closing.callback(self.models.catalog_changed.subscribe(lambda _: self.embedding_models.drop_missing()))
        await self._open_model_folders(closing)
        self.doctor = Doctor(
            self._find_model,
            reports,
            ModelHouse(self.models),
            planner,
            create_engine=self._doctor_engine_factory,
            fixed_settings=lambda model: fixed_by_person(settings, self.records.of(model).defaults),
        )
        self.comparing = Comparing(
            self._find_model,
            planner,
            lambda: ModelHouse(self.models).neighbours,
            self.workbench,
            conversations,
            scratch_dir=settings.data_dir,
        )
        self.chats = Chats(conversations, self.models, self.preferences)
        closing.push_async_callback(self.chats.close)
        await self._open_programs(database, closing)


def _create_quiet_engine() -> EngineClient:
    return EngineClient(command=LOW_PRIORITY_COMMAND)
