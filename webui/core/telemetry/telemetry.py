"""Where requests and answers are reported when they begin and end; hands them to the meters, the log and the traces.

It knows who is to be told, not how they tell it further.
"""

from __future__ import annotations

import asyncio
import logging
import time

from webui.core.telemetry.access_log import log_request
from webui.core.telemetry.answer_watch import AnswerWatch
from webui.core.telemetry.meters import Meters
from webui.core.telemetry.request_record import AnswerRecord, RequestRecord, find_current
from webui.core.telemetry.tracing import Tracing

_log = logging.getLogger(__name__)


class Telemetry:
    """One for an Application. `tracing` is None where nobody collects traces."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.meters = Meters()
        self.tracing = tracing

    def watch_answer(self) -> AnswerWatch:
        """For an answer of the present request, or of none (a chat in the page)."""
        return AnswerWatch(find_current(), self.meters.between, self._answer_ended)

    def request_started(self, _: RequestRecord) -> None:
        self.meters.request_started()

    def request_ended(self, record: RequestRecord) -> None:
        """Everything is known of it by now. What fails here must not fail the request."""
        record.ended_at = time.perf_counter()
        try:
            self.meters.request_ended(record)
            log_request(record)
            if self.tracing is not None:
                self.tracing.tell_request(record)
        except Exception:  # noqa: BLE001 - logged
            _log.exception("A request could not be reported")

    async def close(self) -> None:
        """What is not told yet is told now; that may take a moment on the network."""
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)

    def _answer_ended(self, answer: AnswerRecord, request: RequestRecord | None) -> None:
        try:
            self.meters.answer_ended(answer)
            if request is None and self.tracing is not None:
                self.tracing.tell_answer(answer)
        except Exception:  # noqa: BLE001 - logged
            _log.exception("An answer could not be reported")
