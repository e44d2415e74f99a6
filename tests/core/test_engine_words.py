"""The small parts of the engine's parent: its inboxes, its ear on stderr, its words for a death."""

from __future__ import annotations

import asyncio
import logging

import pytest

from webui.core.engine_death import explain_death, explain_failed_start
from webui.core.engine_inbox import Inbox
from webui.core.line_tail import LineTail
from webui.errors import EngineDied, LoadFailed, OutOfMemory
from webui.types import PromptProgress, Queued, ReasoningDelta, TextDelta


async def test_text_that_nobody_reads_yet_is_joined() -> None:
    inbox = Inbox()
    for letter in "Hello":
        inbox.put(TextDelta(text=letter))
    inbox.put(ReasoningDelta(text="Hm"))
    assert await inbox.get() == TextDelta(text="Hello")
    assert await inbox.get() == ReasoningDelta(text="Hm")


async def test_of_progress_only_the_newest_is_told() -> None:
    inbox = Inbox()
    inbox.put(Queued(position=2))
    inbox.put(Queued(position=1))
    inbox.put(PromptProgress(done=1, total=9))
    inbox.put(PromptProgress(done=9, total=9))
    assert await inbox.get() == Queued(position=1)
    assert await inbox.get() == PromptProgress(done=9, total=9)


async def test_what_came_before_the_end_is_heard_before_the_end() -> None:
    inbox = Inbox()
    reading = asyncio.create_task(inbox.get())
    inbox.put(TextDelta(text="last words"))
    inbox.fail(EngineDied("it crashed"))
    assert await reading == TextDelta(text="last words")
    for _ in range(2):
        with pytest.raises(EngineDied):
            await inbox.get()


async def test_one_end_for_many_readers_is_told_to_each_as_if_it_were_alone() -> None:
    end = EngineDied("it crashed")
    lengths = set()
    for _ in range(50):
        inbox = Inbox()
        inbox.fail(end)
        with pytest.raises(EngineDied) as told:
            await inbox.get()
        lengths.add(len(told.traceback))
    assert len(lengths) == 1, "a traceback that grows with every reader fills the log and the memory"


async def test_the_last_lines_are_kept_and_each_line_has_a_limit() -> None:
    stream = asyncio.StreamReader()
    tail = LineTail(logging.getLogger("test"))
    for number in range(100):
        stream.feed_data(f"line {number}\n".encode())
    stream.feed_data(b"x" * 1_000_000 + b"\nthe end")
    stream.feed_eof()
    await tail.drain(stream)
    assert len(tail.lines) == 50
    assert tail.lines[-1] == "the end"
    assert tail.lines[-3] == "line 99"
    assert len(tail.lines[-2]) <= 2000


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (-9, "memory ran out"),
        (-6, "internal error"),
        (-11, "crashed"),
        (-26, "chat template did not come to an end"),
        (-64, "code -64"),
        (0, "by itself"),
        (3, "code 3"),
    ],
)
def test_a_death_is_explained_in_words(exit_code: int, words: str) -> None:
    assert words in explain_death(exit_code)


def test_a_death_for_want_of_memory_says_so_whatever_the_code() -> None:
    assert explain_death(-6, ["ggml-cuda.cu:97: CUDA error", "cudaMalloc failed: out of memory"]) == "memory ran out"


def test_a_death_while_loading_is_out_of_memory_when_anything_says_so() -> None:
    assert isinstance(explain_failed_start("Tiny", -9, []), OutOfMemory)
    assert isinstance(explain_failed_start("Tiny", -6, ["cudaMalloc failed: out of memory"]), OutOfMemory)
    assert isinstance(explain_failed_start("Tiny", -11, ["create_tensor"]), LoadFailed)
