"""How an engine begins: load what the first command names, then serve with the loop that fits the model.

It does not know llama.cpp or the operating system: who loads and the channel are handed to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from webui.engine.channel import Channel
from webui.engine.embedding_loop import EmbeddingLoop, EmbeddingRunner
from webui.engine.loop import EngineLoop
from webui.engine.protocol import Load, LoadFailed, LoadProgress, Shutdown
from webui.engine.runner import Runner
from webui.errors import GlasshouseError

_PROGRESS_STEP = 0.01

LoadModel = Callable[[Load, Callable[[float], None]], Runner | EmbeddingRunner]


def run_loop(channel: Channel, load_model: LoadModel, clock: Callable[[], float] = time.monotonic) -> bool:
    """Load the model that the first command names, then serve until Shutdown. False when there was nothing to serve."""
    command = channel.receive(None)
    if not isinstance(command, Load):
        return isinstance(command, Shutdown)
    try:
        runner = load_model(command, _ProgressReports(channel))
    except GlasshouseError as error:
        channel.send(LoadFailed(code=error.code, details=error.details))
        channel.flush()
        return False
    if isinstance(runner, EmbeddingRunner):
        EmbeddingLoop(channel, runner, clock).run()
    else:
        EngineLoop(channel, runner, clock).run()
    return True


class _ProgressReports:
    """Passes loading progress on in steps of one percent; 0 and 1 always arrive."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._last = -1.0

    def __call__(self, fraction: float) -> None:
        if fraction - self._last >= _PROGRESS_STEP or (fraction >= 1 and self._last < 1):
            self._last = fraction
            self._channel.send(LoadProgress(fraction=min(1.0, max(0.0, fraction))))
            self._channel.flush()
