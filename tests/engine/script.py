"""A scripted conversation with the loop: commands in, reports out, over the fake model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tests.engine.fake_runner import FakeRunner, next_letter
from webui.engine.boot import run_loop
from webui.engine.protocol import Command, Failed, Generate, Happened, Load, Report, Shutdown
from webui.types import (
    EngineOptions,
    Finished,
    GenerationEvent,
    GenerationRequest,
    Message,
    Priority,
    SamplingParams,
    TextDelta,
)

OPTIONS = EngineOptions(context_tokens=400, kv_tokens=800, num_slots=2, batch_tokens=64)


class Script:
    """A channel that plays commands, all at once or each when the engine is idle again, and keeps the reports."""

    def __init__(self, *commands: Command, one_at_a_time: bool = False) -> None:
        self.one_at_a_time = one_at_a_time
        self.commands: deque[Command] = deque(commands)
        self.reports: list[Report] = []
        self.on_report: Callable[[Report], None] = lambda _report: None

    def receive(self, timeout: float | None) -> Command | None:
        is_idle = timeout != 0
        if self.commands and (is_idle or not self.one_at_a_time):
            return self.commands.popleft()
        return Shutdown() if is_idle else None

    def send(self, report: Report) -> None:
        self.reports.append(report)
        self.on_report(report)

    def flush(self) -> None:
        pass

    def events(self, request_id: int) -> list[GenerationEvent]:
        return [
            report.event for report in self.reports if isinstance(report, Happened) and report.request_id == request_id
        ]

    def text(self, request_id: int) -> str:
        return "".join(event.text for event in self.events(request_id) if isinstance(event, TextDelta))

    def end(self, request_id: int) -> Finished:
        (end,) = (event for event in self.events(request_id) if isinstance(event, Finished))
        return end

    def failure(self, request_id: int) -> Failed:
        (failure,) = (
            report for report in self.reports if isinstance(report, Failed) and report.request_id == request_id
        )
        return failure


class Clock:
    """Every look at it takes a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def ask(
    request_id: int,
    text: str = "Hi",
    *,
    max_tokens: int | None = 5,
    stop: tuple[str, ...] = (),
    owner: str = "",
    priority: Priority = Priority.INTERACTIVE,
) -> Generate:
    return Generate(
        request_id=request_id,
        request=GenerationRequest(
            messages=(Message(role="user", content=text),),
            sampling=SamplingParams(max_tokens=max_tokens, stop=stop),
            owner=owner,
            priority=priority,
        ),
    )


def play(script: Script, engine_options: EngineOptions = OPTIONS, **options: object) -> FakeRunner:
    runner = FakeRunner(engine_options, **options)  # type: ignore[arg-type]
    script.commands.appendleft(Load(model_path="fake.gguf", options=engine_options))
    assert run_loop(script, lambda _load, _progress: runner, Clock())
    assert all(sampler.is_closed for sampler in runner.samplers), "every sampler is freed"
    return runner


def answer_alone(text: str, length: int) -> str:
    tokens = [ord(character) for character in f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"]
    start = len(tokens)
    for _ in range(length):
        tokens.append(next_letter(tokens))
    return "".join(map(chr, tokens[start:]))
