"""The tab Downloads: the queue, and what a person does with it."""

from __future__ import annotations

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.downloads import DownloadJob
from webui.errors import GlasshouseError, HubDenied
from webui.ui.models.part import Json, Part


class DownloadsPart(Part):
    """Starts downloads, and pauses, resumes and cancels them by their ids."""

    def __init__(self, element: Element, application: Application) -> None:
        super().__init__(element, application)
        element.on("download", self._on_download)
        element.on("queue", self._on_queue)

    def view_jobs(self) -> Json:
        return {"downloads": [view_job(job) for job in self._app.downloads.jobs]}

    async def fetch(self, reference: str) -> None:
        """Begin a download; what needs a token first is asked for."""
        try:
            await self._app.downloads.start(reference)
        except HubDenied as error:
            self.send(denied={"reference": reference, "text": error.message})
        except GlasshouseError as error:
            self.send(error={"place": "download", "text": error.message})
        self.send(**self.view_jobs())

    async def act(self, job_id: str, action: str) -> None:
        """Pause, resume or cancel."""
        downloads = self._app.downloads
        actions = {"pause": downloads.pause, "resume": downloads.resume, "cancel": downloads.cancel}
        if action in actions:
            await self.attempt("download", actions[action](job_id))
        self.send(**self.view_jobs())

    async def _on_download(self, event: GenericEventArguments) -> None:
        await self.fetch(str(event.args))

    async def _on_queue(self, event: GenericEventArguments) -> None:
        await self.act(str(event.args["id"]), str(event.args["action"]))


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
