"""What a batch has done: its two files, answers and what could not be answered, and what they count.

Lines are OpenAI's. A line that was written is never written again, whoever is killed in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from webui.core.batch_asking import Answered
from webui.core.batch_input import Line
from webui.core.batch_output import NO_USAGE, BatchOutput, add_usage, usage_of
from webui.core.files import Files, explaining
from webui.library.upload import to_its_end
from webui.store.batches import Batch
from webui.store.files import StoredFile
from webui.types import Usage


@dataclass(frozen=True, slots=True)
class Counts:
    """Of requests, and of their tokens."""

    num_completed: int
    num_failed: int
    usage: Usage


class BatchRecord:
    """Opened, written one line at a time, published, closed. Raises DiskFull or StoreFailed."""

    def __init__(self, batch: Batch, files: Files) -> None:
        self._batch = batch
        self._files = files
        self._outputs: dict[str, BatchOutput] = {}  # by the id of the file

    async def open(self) -> None:
        """A second time where the first one failed."""
        for file_id in {self._batch.output_id, self._batch.error_id} - set(self._outputs):
            path = self._files.path_of(file_id)
            with explaining(path, 0):
                self._outputs[file_id] = await to_its_end(asyncio.to_thread(BatchOutput, path))

    def close(self) -> None:
        for output in self._outputs.values():
            output.close()

    @property
    def done(self) -> set[str]:
        """The requests that have their line."""
        return set[str]().union(*(output.done for output in self._outputs.values()))

    @property
    def counts(self) -> Counts:
        output, errors = self._outputs[self._batch.output_id], self._outputs[self._batch.error_id]
        return Counts(len(output.done), len(errors.done), add_usage(output.usage, errors.usage))

    async def keep_answer(self, line: Line, answered: Answered) -> None:
        request_id = self._request_id(line)
        response = {"status_code": answered.status, "request_id": request_id, "body": msgspec.Raw(answered.body)}
        record = {"id": request_id, "custom_id": line.custom_id, "response": response, "error": None}
        file_id = self._batch.output_id if answered.is_success else self._batch.error_id
        await self._write(file_id, line, record, usage_of(answered.body))

    async def keep_failure(self, line: Line, code: str, message: str) -> None:
        """It got no answer at all."""
        error = {"code": code, "message": message}
        record = {"id": self._request_id(line), "custom_id": line.custom_id, "response": None, "error": error}
        await self._write(self._batch.error_id, line, record, NO_USAGE)

    async def sync(self, now: float) -> list[StoredFile]:
        """Bring what was written to the disk itself: the files that others may read from now on."""
        files = []
        for file_id, kind in ((self._batch.output_id, "output"), (self._batch.error_id, "error")):
            output = self._outputs[file_id]
            if output.size_bytes:
                with explaining(self._files.path_of(file_id), 0):
                    await to_its_end(asyncio.to_thread(output.sync))
                files.append(self._file(file_id, kind, output.size_bytes, now))
        return files

    def _file(self, file_id: str, kind: str, size_bytes: int, now: float) -> StoredFile:
        seconds = self._batch.output_seconds
        return StoredFile(
            id=file_id,
            owner=self._batch.owner,
            purpose="batch_output",
            name=f"{self._batch.id}_{kind}.jsonl",
            size_bytes=size_bytes,
            created_at=now,
            expires_at=None if seconds is None else now + seconds,
        )

    def _request_id(self, line: Line) -> str:
        return f"batch_req_{self._batch.id.removeprefix('batch_')}_{line.number}"

    async def _write(self, file_id: str, line: Line, record: Mapping[str, object], usage: Usage) -> None:
        data = msgspec.json.encode(record)
        with explaining(self._files.path_of(file_id), len(data)):
            await to_its_end(asyncio.to_thread(self._outputs[file_id].append, line.custom_id, data, usage))
