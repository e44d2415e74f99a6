"""The words that the web process and an engine process say to each other.

A frame is a 4-byte big-endian length and that many bytes of msgpack. Commands go down the child's stdin, reports come
up its stdout; stderr is the log. `Load` is the first command, `Loaded` or `LoadFailed` its answer. Every `Generate` is
answered by any number of `Happened` and ends with exactly one `Happened(Finished)` or one `Failed`; `Embed`, `Rerank`
and `Probe` are answered by one `Embedded`, `Reranked` or `Probed`, or one `Failed`. EOF on stdin means that the parent
is gone: the engine exits.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from webui.errors import Detail, GlasshouseError, MessageTooLarge, error_from_wire
from webui.types import (
    EmbeddingRequest,
    Embeddings,
    EngineInfo,
    EngineLoad,
    EngineOptions,
    GenerationEvent,
    GenerationRequest,
    Ranking,
    RerankRequest,
)

MAX_FRAME_BYTES = 64 * 1024 * 1024
HEADER = struct.Struct(">I")


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of everything that crosses the pipe."""


# --- commands, parent to child -------------------------------------------------------------------------------------


class Load(Frame, frozen=True):
    """Load a GGUF. `model_name` is what people call it, for the sentences of errors."""

    model_path: str
    options: EngineOptions
    model_name: str = ""


class Generate(Frame, frozen=True):
    """Answer a request."""

    request_id: int
    request: GenerationRequest


class Prefill(Frame, frozen=True):
    """Read a request's messages ahead, at idle priority; nothing is generated. The last message is a draft that may go
    on, so nothing behind its text is read. It ends with a Finished, or is cancelled when the draft changes."""

    request_id: int
    request: GenerationRequest


class Embed(Frame, frozen=True):
    """Turn texts into vectors; for an engine with an embedding model."""

    request_id: int
    request: EmbeddingRequest


class Rerank(Frame, frozen=True):
    """Score documents against a query; for an engine with a rerank model."""

    request_id: int
    request: RerankRequest


class Tokenize(Frame, frozen=True):
    """What the tokenizer makes of each text, and of its tokens again."""

    texts: tuple[str, ...]
    adds_bos: bool = True  #: the token that begins a prompt, where the model wants one


class Detokenize(Frame, frozen=True):
    """What tokens say, control tokens too."""

    tokens: tuple[int, ...]


class Render(Frame, frozen=True):
    """What the model's own chat template makes of `messages` and `tools`, JSON lists as the template is given them."""

    messages: str
    tools: str = ""
    add_generation_prompt: bool = True


class ListSlots(Frame, frozen=True):
    """What each slot holds, and who computes in it."""


class Score(Frame, frozen=True):
    """How well the model foresees a text. Only an engine that does nothing else answers."""

    text: str


class CountPrompt(Frame, frozen=True):
    """How long the prompt of a request would be, as an answer to it would read it."""

    request: GenerationRequest


class ShowPrompt(Frame, frozen=True):
    """What an answer to this request would read: messages through the template, and the oldest ones left out."""

    request: GenerationRequest


class Probe(Frame, frozen=True):
    """Look at what answers do not show; for an engine with a chat model. Only `Score` needs one that does nothing else:
    the others compute nothing."""

    request_id: int
    asked: Tokenize | Detokenize | Render | CountPrompt | ShowPrompt | ListSlots | Score


class Cancel(Frame, frozen=True):
    """Stop a request within one step. It still ends with `Finished(reason="cancelled")`; an Embed or Rerank ends
    without a word, since it has nothing to tell."""

    request_id: int


class Pause(Frame, frozen=True):
    """Leave a request out of the batch until `Resume`; it keeps its KV memory unless somebody needs it."""

    request_id: int


class Resume(Frame, frozen=True):
    request_id: int


class Forget(Frame, frozen=True):
    """Drop everything that is kept of a conversation: its idle slots, its parked states, its files."""

    conversation: str


class Shutdown(Frame, frozen=True):
    """Exit now; open requests are not answered any more."""


Command = Load | Generate | Prefill | Embed | Rerank | Probe | Cancel | Pause | Resume | Forget | Shutdown

# --- reports, child to parent --------------------------------------------------------------------------------------


class LoadProgress(Frame, frozen=True):
    fraction: float


class Loaded(Frame, frozen=True):
    info: EngineInfo


class LoadFailed(Frame, frozen=True):
    code: str
    details: dict[str, Detail]

    @property
    def error(self) -> GlasshouseError:
        return error_from_wire(self.code, self.details)


class Happened(Frame, frozen=True):
    request_id: int
    event: GenerationEvent


class Embedded(Frame, frozen=True):
    request_id: int
    embeddings: Embeddings


class Reranked(Frame, frozen=True):
    request_id: int
    ranking: Ranking


class TokenizedText(Frame, frozen=True):
    num_tokens: int
    text: bytes  #: what the tokens say: the same text again, if all is well
    tokens: tuple[int, ...] = ()


class Tokenized(Frame, frozen=True):
    texts: tuple[TokenizedText, ...]


class Detokenized(Frame, frozen=True):
    pieces: tuple[bytes, ...]  #: of each token; a character may be spread over several


class Rendered(Frame, frozen=True):
    """`text` is None when the template refused, with its reason."""

    text: str | None
    refusal: str = ""
    num_tokens: int = 0
    num_bos: int = 0  #: tokens at the beginning that say "beginning": more than one is a mistake


class PromptCount(Frame, frozen=True):
    num_tokens: int


class ShownPrompt(Frame, frozen=True):
    """`text` is what the prompt's tokens say, control tokens too."""

    text: str
    num_tokens: int


class SlotInfo(Frame, frozen=True):
    """One slot. Without a request in it the counts of that are 0."""

    id: int
    num_tokens: int  #: resident in the KV memory
    is_processing: bool = False
    is_paused: bool = False
    priority: str = ""  #: of the request: interactive, api, background, idle
    num_prompt_tokens: int = 0
    num_computed_tokens: int = 0
    num_cached_tokens: int = 0  #: of the prompt, not computed again
    num_decoded_tokens: int = 0


class SlotList(Frame, frozen=True):
    slots: tuple[SlotInfo, ...]


class Scored(Frame, frozen=True):
    """Sums over the tokens of a text behind its first; `nats` and `entropy` are None when logits were no numbers."""

    num_tokens: int
    num_bytes: int
    num_nan: int
    num_infinite: int
    nats: float | None  #: minus the sum of the log-probabilities of what came
    entropy: float | None  #: mean of the distributions, in nats


Finding = Tokenized | Detokenized | Rendered | PromptCount | ShownPrompt | SlotList | Scored


class Probed(Frame, frozen=True):
    request_id: int
    finding: Finding


class Failed(Frame, frozen=True):
    request_id: int
    code: str
    details: dict[str, Detail]

    @property
    def error(self) -> GlasshouseError:
        return error_from_wire(self.code, self.details)


class LoadReport(Frame, frozen=True):
    load: EngineLoad


Report = LoadProgress | Loaded | LoadFailed | Happened | Embedded | Reranked | Probed | Failed | LoadReport

# --- frames, for either side ---------------------------------------------------------------------------------------


def encode_frame(frame: Command | Report) -> bytes:
    """The bytes of one frame, header included. Raises MessageTooLarge beyond `MAX_FRAME_BYTES`."""
    body = msgspec.msgpack.encode(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise MessageTooLarge(len(body), MAX_FRAME_BYTES)
    return HEADER.pack(len(body)) + body


def read_command(stream: BinaryIO) -> Command | None:
    """Block until the next command is whole; None when the parent closed the pipe. For the child's reader thread.

    `stream` should be unbuffered: a buffered one holds a lock while it blocks, which the interpreter wants at its end.
    """
    header = _read_exactly(stream, HEADER.size)
    if header is None:
        return None
    (size,) = HEADER.unpack(header)
    body = _read_exactly(stream, size)
    return None if body is None else msgspec.msgpack.decode(body, type=Command)


def _read_exactly(stream: BinaryIO, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)


class ReportReader:
    """Cuts what comes up the pipe into reports. A step's reports usually come in one piece, and leave as one list."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._decoder = msgspec.msgpack.Decoder(Report)  # kept: looking a union's type up takes longer than decoding

    def feed(self, data: bytes) -> list[Report]:
        """The reports that are whole with `data`. Raises msgspec.DecodeError for what is no report."""
        self._buffer += data
        reports: list[Report] = []
        start = 0
        while (body := start + HEADER.size) <= len(self._buffer):
            (size,) = HEADER.unpack_from(self._buffer, start)
            if body + size > len(self._buffer):
                break
            reports.append(self._decoder.decode(self._buffer[body : body + size]))
            start = body + size
        del self._buffer[:start]
        return reports
