"""Comparing quantizations on a text of one's own, below the doctor's card: which models, the job, and its figures."""

from __future__ import annotations

from pathlib import Path

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.comparing import Comparison
from webui.core.work_job import WorkJob
from webui.types import ModelFile
from webui.ui.models.part import Json
from webui.ui.models.sheet_part import SheetPart, Shown
from webui.workbench.protocol import Compared, ComparedFigures

KIND = "compare"
_SAME_SIZE = 0.03  # quantizations of one model differ by less in what their headers count


class ComparePart(SheetPart):
    """The model of the sheet is what the others are measured against."""

    def __init__(self, element: Element, application: Application, shown: Shown) -> None:
        super().__init__(element, application, shown)
        self.watch(application.workbench.changed, self._on_changed)
        element.on("compare", self._on_compare)

    async def first(self, model: ModelFile) -> Json:
        models = await self._app.models.models()
        others = [each for each in models if each.id != model.id and is_kin(each, model)]
        return {
            "compare": {
                "others": [
                    {"id": each.id, "name": each.name, "quantization": each.quantization, "size": each.size_bytes}
                    for each in others
                ],
                "jobs": await self._view_jobs(model.id),
            }
        }

    def _on_changed(self, job: WorkJob) -> None:
        if job.kind == KIND and job.model_id == self._shown.model_id:
            self.soon(self._tell_jobs(job.model_id), name="comparisons of the sheet")

    async def _tell_jobs(self, model_id: str) -> None:
        self.tell(model_id, compare={"jobs": await self._view_jobs(model_id)})

    async def _view_jobs(self, model_id: str) -> list[Json]:
        jobs = [job for job in self._app.workbench.jobs if job.kind == KIND and job.model_id == model_id]
        has_figures = any(isinstance(job.outcome, Compared) for job in jobs)
        models = await self._app.models.models() if has_figures else []
        names = {str(model.path): f"{model.name} {model.quantization}" for model in models}
        return [view_comparison(job, names) for job in reversed(jobs)]

    async def _on_compare(self, event: GenericEventArguments) -> None:
        model_id, given = str(event.args["id"]), event.args
        match given["action"]:
            case "start":
                text = str(given["text"]).strip() or None
                wanted = Comparison(models=(model_id, *(str(each) for each in given["others"])), text=text)
                await self.attempt_for(model_id, "compare", self._app.comparing.start(wanted))
            case "cancel":
                await self.attempt_for(model_id, "compare", self._app.workbench.cancel(str(given["job"])))
            case "dismiss":
                self._app.workbench.dismiss(str(given["job"]))
        await self._tell_jobs(model_id)


def is_kin(one: ModelFile, other: ModelFile) -> bool:
    """Whether they look like the same model in another quantization: whether they have one vocabulary is for the job to
    say, which opens them."""
    if one.problem is not None or not one.is_chat or one.architecture != other.architecture:
        return False
    return abs(one.num_parameters - other.num_parameters) <= _SAME_SIZE * other.num_parameters


def view_comparison(job: WorkJob, names: dict[str, str]) -> Json:
    outcome = job.outcome if isinstance(job.outcome, Compared) else None
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "progress": job.progress,
        "words": job.words,
        "error": job.error,
        "tokens": outcome.num_tokens if outcome else 0,
        "rows": [view_figures(each, names) for each in outcome.models] if outcome else [],
    }


def view_figures(figures: ComparedFigures, names: dict[str, str]) -> Json:
    return {
        "name": names.get(figures.path) or Path(figures.path).stem,
        "size": figures.size_bytes,
        "reads": figures.reading_speed,
        "writes": figures.writing_speed,
        "perplexity": figures.perplexity,
        "perplexityError": figures.perplexity_error,
        "divergence": figures.divergence,
        "divergenceError": figures.divergence_error,
        "sameBest": figures.same_best,
    }
