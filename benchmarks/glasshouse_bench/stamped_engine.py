"""An engine process whose tokens are the time at which they left it: `python -m glasshouse_bench.stamped_engine`.

All answers move on together, a token a step, as in a real engine; a step takes as long as it says in the environment.
Whoever reads a token knows from it how long it was on its way: CLOCK_MONOTONIC is one for all processes.
"""

from __future__ import annotations

import os
import time

from webui.engine.process import Pipe
from webui.engine.protocol import Cancel, Command, Generate, Happened, Load, Loaded, Shutdown
from webui.types import EngineInfo, Finished, PromptProgress, TextDelta, Timings, Usage

STEP_SECONDS = "GLASSHOUSE_BENCH_STEP_SECONDS"
_TIMINGS = Timings(queued_seconds=0.0, first_token_seconds=0.0, total_seconds=0.0, tokens_per_second=0.0)


class StampedEngine:
    """The answers that run, by the id of their request, and how many tokens each still gets."""

    def __init__(self, pipe: Pipe, step_seconds: float) -> None:
        self._pipe = pipe
        self._step_seconds = step_seconds
        self._left: dict[int, int] = {}

    def run(self) -> None:
        next_step = time.monotonic()
        while True:
            timeout = max(0.0, next_step - time.monotonic()) if self._left else None
            command = self._pipe.receive(timeout)
            if isinstance(command, Shutdown):
                return
            if command is not None:
                self._take(command)
            elif time.monotonic() >= next_step:
                next_step = time.monotonic() + self._step_seconds
                self._step()
            self._pipe.flush()

    def _take(self, command: Command) -> None:
        match command:
            case Load():
                info = EngineInfo(
                    description="stamps", num_parameters=1, context_train=8192, options=command.options, device="CPU",
                    has_chat_template=True,
                )  # fmt: skip
                self._pipe.send(Loaded(info=info))
            case Generate(request_id=request_id, request=request):
                self._left[request_id] = request.sampling.max_tokens or 1
                self._pipe.send(Happened(request_id=request_id, event=PromptProgress(done=8, total=8)))
            case Cancel(request_id=request_id):
                self._left.pop(request_id, None)
            case _:
                pass

    def _step(self) -> None:
        for request_id in list(self._left):
            self._left[request_id] -= 1
            text = f"{time.monotonic_ns()} "
            self._pipe.send(Happened(request_id=request_id, event=TextDelta(text=text)))
            if not self._left[request_id]:
                del self._left[request_id]
                usage = Usage(prompt_tokens=8, cached_tokens=0, completion_tokens=1)
                end = Finished(reason="length", usage=usage, timings=_TIMINGS)
                self._pipe.send(Happened(request_id=request_id, event=end))


def main() -> None:
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    pipe = Pipe(open(0, "rb", buffering=0, closefd=False), stdout)  # noqa: SIM115 - a descriptor, for life
    pipe.start()
    StampedEngine(pipe, float(os.environ[STEP_SECONDS])).run()
    os._exit(0)


if __name__ == "__main__":
    main()
