"""The sheet's tab Change: new files made from a model, their sizes first, and the jobs that make them."""

from __future__ import annotations

from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.adapters import AdapterChoice
from webui.core.application import Application
from webui.core.work_job import WorkJob
from webui.core.work_orders import EditOrder, FileOrder, JoinOrder, MergeOrder, QuantizeOrder, SplitOrder
from webui.errors import GlasshouseError, InvalidRequest
from webui.library.quantizations import QUANTIZATIONS, Quantization
from webui.types import ModelFile
from webui.ui.models.compare import KIND as COMPARE
from webui.ui.models.part import Json
from webui.ui.models.sheet_part import SheetPart, Shown
from webui.workbench.protocol import Estimated, Written


class ChangePart(SheetPart):
    """Jobs belong to the application; the sheet of a model shows those that start from it."""

    def __init__(self, element: Element, application: Application, shown: Shown) -> None:
        super().__init__(element, application, shown)
        self.watch(application.workbench.changed, self._on_changed)
        element.on("change", self._on_change)

    async def first(self, model: ModelFile) -> Json:
        adapters = await matching_adapters(self._app, model)
        about = {"name": model.name, "adapters": adapters}
        return {"change": {"about": about, "jobs": await self._view_jobs(model.id)}}

    def _on_changed(self, job: WorkJob) -> None:
        if job.model_id and job.model_id == self._shown.model_id:
            self._tell_jobs_soon(job.model_id)

    def _tell_jobs_soon(self, model_id: str) -> None:
        self.soon(self._tell_jobs(model_id), name="jobs of the sheet")

    async def _tell_jobs(self, model_id: str) -> None:
        self.tell(model_id, change={"jobs": await self._view_jobs(model_id)})

    async def _view_jobs(self, model_id: str) -> list[Json]:
        jobs = [job for job in self._app.workbench.jobs if job.model_id == model_id and job.kind != COMPARE]
        has_results = any(job.result_path for job in jobs)
        models = await self._app.models.models() if has_results else []
        ids = {model.path: model.id for model in models}
        return [view_job(job, ids.get(job.result_path) if job.result_path else None) for job in reversed(jobs)]

    async def _on_change(self, event: GenericEventArguments) -> None:
        model_id, given = str(event.args["id"]), event.args
        match str(given["action"]):
            case "types":
                await self.attempt_for(model_id, "change", self._tell_types(model_id))
            case "estimate":
                await self._tell_estimate(model_id, str(given["key"]), given["order"])
            case "start":
                await self.attempt_for(model_id, "change", self._start(model_id, given["order"]))
            case "cancel":
                await self.attempt_for(model_id, "change", self._app.workbench.cancel(str(given["job"])))
            case "dismiss":
                await self.attempt_for(model_id, "change", self._dismiss(str(given["job"])))
        await self._tell_jobs(model_id)

    async def _start(self, model_id: str, given: Json) -> None:
        await self._app.workbench.start(read_order(model_id, given))

    async def _dismiss(self, job_id: str) -> None:
        self._app.workbench.dismiss(job_id)

    async def _tell_types(self, model_id: str) -> None:
        orders = [QuantizeOrder(model=model_id, file_type=each.name) for each in QUANTIZATIONS]
        sizes = await self._app.workbench.estimate(orders)
        types = [view_type(each, size) for each, size in zip(QUANTIZATIONS, sizes, strict=True)]
        self.tell(model_id, change={"types": types})

    async def _tell_estimate(self, model_id: str, key: str, given: Json) -> None:
        try:
            (size,) = await self._app.workbench.estimate([read_order(model_id, given)])
            answer = {"size": size.size_bytes, "numFiles": size.num_files, "problem": size.problem}
        except GlasshouseError as error:
            answer = {"size": 0, "numFiles": 0, "problem": error.message}
        self.tell(model_id, estimates={key: answer})


async def matching_adapters(application: Application, model: ModelFile) -> list[Json]:
    """The LoRA adapters that were made for models of this architecture."""
    models = await application.models.models()
    return [
        {"id": each.id, "name": each.name}
        for each in models
        if each.kind == "adapter" and each.problem is None and each.architecture == model.architecture
    ]


def read_order(model_id: str, given: Json) -> FileOrder:
    """What a browser asks for. Raises InvalidRequest for what no sheet sends."""
    try:
        return _read_order(model_id, given)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRequest("This change is not complete. Reload the page and try again.") from error


def _read_order(model_id: str, given: Json) -> FileOrder:
    match given["kind"]:
        case "quantize":
            return QuantizeOrder(
                model=model_id, file_type=str(given["fileType"]), allow_requantize=bool(given.get("isAllowed"))
            )
        case "merge":
            adapters = tuple(AdapterChoice(str(each["name"]), float(each["scale"])) for each in given["adapters"])
            return MergeOrder(model=model_id, adapters=adapters, precision="keep" if given.get("keepsTypes") else "f16")
        case "split":
            return SplitOrder(model=model_id, max_part_bytes=int(given["partBytes"]))
        case "join":
            return JoinOrder(model=model_id)
        case "edit":
            return EditOrder(model=model_id, name=_text(given.get("name")), chat_template=_text(given.get("template")))
        case kind:
            raise ValueError(kind)


def _text(given: Any) -> str | None:
    return None if given is None else str(given)


def view_type(quantization: Quantization, size: Estimated) -> Json:
    return {
        "name": quantization.name,
        "words": quantization.words,
        "size": size.size_bytes,
        "isRequantizing": size.is_requantizing,
        "problem": quantization.words if size.needs_imatrix else size.problem,
    }


def view_job(job: WorkJob, result_id: str | None) -> Json:
    outcome = job.outcome if isinstance(job.outcome, Written) else None
    return {
        "id": job.id,
        "kind": job.kind,
        "title": job.title,
        "state": job.state,
        "progress": job.progress,
        "words": job.words,
        "error": job.error,
        "size": outcome.size_bytes if outcome else 0,
        "notes": list(outcome.notes) if outcome else [],
        "resultId": result_id,
    }
