"""The words that the web process and a workbench process say to each other: lines of JSON.

One request goes down the child's stdin. Up its stdout come any number of `Progress`, then exactly one `Done` or
`Failed`; stderr is the log. EOF without either means that the process died. Requests name files by path: names are
looked up before, in the core. Everything that is written goes into `output_dir`, which is the job's own and which
nobody else looks into; the parent publishes what is whole.

A new kind of job is a request and an outcome here, and a module with `run(request, report)` named in `dispatch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from webui.errors import Detail, GlasshouseError, error_from_wire
from webui.types import LoraAdapter

MAX_LINE_BYTES = 16 << 20

Precision = Literal["f16", "keep"]
Scalar = bool | int | float | str


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of what is asked of a workbench process."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of what comes of it."""


# --- requests ------------------------------------------------------------------------------------------------------


class FileRequest(Request, frozen=True):
    """A request that makes a model file. `source` is the model (the first part of a split one), `file_name` what the
    result is to be called inside `output_dir`."""

    source: str
    output_dir: str
    file_name: str
    keep_free_bytes: int = 0  #: of the disk that the result is written to


class Quantize(FileRequest, frozen=True, kw_only=True, tag="quantize"):
    """Write the model's tensors in other types, chosen by llama.cpp for `file_type` ("Q4_K_M")."""

    file_type: str
    allow_requantize: bool = False  #: from a file that is quantized already, which loses more than once
    imatrix: str | None = None  #: path of an importance matrix (GGUF)
    threads: int = 1


class MergeAdapters(FileRequest, frozen=True, kw_only=True, tag="merge_adapters"):
    """Add LoRA adapters to the weights, each with its scale. Changed tensors are written as F16, or in the type that
    they had ("keep"), where ggml can quantize to it."""

    adapters: tuple[LoraAdapter, ...]
    precision: Precision = "f16"


class Split(FileRequest, frozen=True, kw_only=True, tag="split"):
    """Write the model as several files, `file_name` with "-00001-of-0000N" before its ending."""

    max_part_bytes: int  #: of tensors in one part; a larger tensor gets a part for itself


class Join(FileRequest, frozen=True, kw_only=True, tag="join"):
    """Write the parts of a split model as one file."""


class EditMetadata(FileRequest, frozen=True, kw_only=True, tag="edit_metadata"):
    """Copy the model with other metadata: keys of simple types are set or removed, tensors stay as they are."""

    values: dict[str, Scalar] = {}
    removed: tuple[str, ...] = ()


AnyFileRequest = Quantize | MergeAdapters | Split | Join | EditMetadata


class Estimate(Request, frozen=True, tag="estimate"):
    """Say how large the results of requests will be, without writing them."""

    of: tuple[AnyFileRequest, ...]


class CompareModel(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    gpu_layers: int = 0


class Compare(Request, frozen=True, kw_only=True, tag="compare"):
    """Read a text with models of one vocabulary and compare them with the first. Nothing is written but a scratch file
    in `scratch_dir`, which has no name."""

    models: tuple[CompareModel, ...]
    text: str
    scratch_dir: str
    context_tokens: int = 512  #: of a chunk; the second half of it is scored
    max_chunks: int = 16
    threads: int = 1
    keep_free_bytes: int = 0


AnyRequest = AnyFileRequest | Estimate | Compare


# --- outcomes ------------------------------------------------------------------------------------------------------


class Written(Outcome, frozen=True, tag="written"):
    """The files that are whole in `output_dir`, by name, in order; checked, and on the disk."""

    file_names: tuple[str, ...]
    size_bytes: int  #: of all of them
    notes: tuple[str, ...] = ()  #: sentences that the person should read


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """What one request would write; `problem` says why it cannot."""

    size_bytes: int = 0  #: of the result, to the byte
    num_files: int = 1
    is_requantizing: bool = False  #: the source is quantized already: it goes only with `allow_requantize`
    needs_imatrix: bool = False  #: llama.cpp refuses this type without an importance matrix
    problem: str | None = None


class Estimates(Outcome, frozen=True, tag="estimates"):
    """One for each request, in their order."""

    items: tuple[Estimated, ...]


class ComparedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one model made of the text. Divergences are from the first model, in nats a token; None for itself."""

    path: str
    size_bytes: int
    reading_speed: float  #: tokens a second
    writing_speed: float
    perplexity: float
    perplexity_error: float  #: standard error
    divergence: float | None = None  #: mean of the Kullback-Leibler divergence
    divergence_error: float | None = None
    divergence_tail: float | None = None  #: 99 % of the tokens stay below
    same_best: float | None = None  #: share of tokens for which both hold the same one for the most probable


class Compared(Outcome, frozen=True, kw_only=True, tag="compared"):
    """In the order of the request."""

    models: tuple[ComparedFigures, ...]
    num_tokens: int  #: that were scored
    num_chunks: int
    context_tokens: int


AnyOutcome = Written | Estimates | Compared


# --- reports -------------------------------------------------------------------------------------------------------


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="report"):
    """Base of what the child says."""


class Progress(Report, frozen=True, tag="progress"):
    """`fraction` of the work is done (0..1); `words` say what is going on."""

    fraction: float
    words: str = ""


class Done(Report, frozen=True, tag="done"):
    outcome: AnyOutcome


class Failed(Report, frozen=True, tag="failed"):
    """One of our errors, by its code and details."""

    code: str
    details: dict[str, Detail]

    @property
    def error(self) -> GlasshouseError:
        return error_from_wire(self.code, self.details)


AnyReport = Progress | Done | Failed
ReportProgress = Callable[[float, str], None]

_encoder = msgspec.json.Encoder()
_request_decoder: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_report_decoder: msgspec.json.Decoder[AnyReport] = msgspec.json.Decoder(AnyReport)


def encode_line(message: Request | Report) -> bytes:
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> AnyRequest:
    return _request_decoder.decode(line)


def decode_report(line: bytes) -> AnyReport:
    return _report_decoder.decode(line)
