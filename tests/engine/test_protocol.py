"""Frames: what one side writes, the other reads, in whatever pieces the pipe delivers it."""

from __future__ import annotations

import io

import pytest

from webui.engine import protocol
from webui.engine.protocol import Failed, Generate, Happened, Load, ReportReader, encode_frame, read_command
from webui.errors import ContextTooLong, MessageTooLarge
from webui.types import EngineOptions, GenerationRequest, Message, TextDelta


class Trickle(io.RawIOBase):
    """A stream that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        byte, self._data = self._data[:1], self._data[1:]
        return byte


def test_commands_arrive_whole_from_a_pipe_that_trickles() -> None:
    load = Load(model_path="/models/größe.gguf", options=EngineOptions(context_tokens=1, kv_tokens=2, num_slots=3))
    ask = Generate(request_id=7, request=GenerationRequest(messages=(Message(role="user", content="👍" * 1000),)))
    stream = Trickle(encode_frame(load) + encode_frame(ask))
    assert read_command(stream) == load  # type: ignore[arg-type]
    assert read_command(stream) == ask  # type: ignore[arg-type]
    assert read_command(stream) is None  # type: ignore[arg-type]


def test_a_command_cut_off_by_the_parents_death_is_the_end() -> None:
    frame = encode_frame(Load(model_path="x", options=EngineOptions(context_tokens=1, kv_tokens=2, num_slots=3)))
    assert read_command(io.BytesIO(frame[:-1])) is None


def test_reports_arrive_whole_however_the_pipe_cuts_them() -> None:
    first, second = (Happened(request_id=number, event=TextDelta(text="Hi")) for number in (1, 2))
    data = encode_frame(first) + encode_frame(second) + b"\x00\x00"
    bytewise = ReportReader()
    assert [report for byte in data for report in bytewise.feed(bytes([byte]))] == [first, second]
    assert ReportReader().feed(data) == [first, second], "a step's reports in one piece"


def test_an_error_is_the_same_error_on_the_other_side() -> None:
    error = ContextTooLong(5000, 4096)
    crossed = Failed(request_id=1, code=error.code, details=error.details).error
    assert isinstance(crossed, ContextTooLong)
    assert str(crossed) == str(error)


def test_a_frame_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_FRAME_BYTES", 100)
    with pytest.raises(MessageTooLarge):
        encode_frame(Happened(request_id=1, event=TextDelta(text="x" * 200)))
