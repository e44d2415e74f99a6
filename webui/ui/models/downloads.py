"""The tab Downloads: the queue, and what a person does with it."""

from __future__ import annotations

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.downloads import DownloadJob
from webui.ui.models.part import Json, Part


class DownloadsPart(Part):
    """Starts downloads, and pauses, resumes and cancels them by their ids."""

    def __init__(self, element: Element, application: Application) -> None:
        super().__init__(element, application)
        element.on("download", self._on_download)
        element.on("queue", self._on_queue)

    def view_jobs(self) -> Json:
        return {"downloads": [view_job(job) for job in self._app.downloads.jobs]}

    async def _on_download(self, event: GenericEventArguments) -> None:
        await self.attempt("download", self._app.downloads.start(str(event.args)))
        self.send(**self.view_jobs())

    async def _on_queue(self, event: GenericEventArguments) -> None:
        downloads, job_id = self._app.downloads, str(event.args["id"])
        actions = {"pause": downloads.pause, "resume": downloads.resume, "cancel": downloads.cancel}
        action = actions.get(str(event.args["action"]))
        if action is not None:
            await self.attempt("download", action(job_id))
        self.send(**self.view_jobs())


def view_job(job: DownloadJob) -> Json:
    return {
        "id": job.id,
        "reference": job.reference,
        "title": job.title,
        "state": job.state,
        "done": job.done_bytes,
        "total": job.total_bytes,
        "speed": job.bytes_per_second,
        "secondsLeft": job.seconds_left,
        "error": job.error,
        "code": job.error_code,
    }
