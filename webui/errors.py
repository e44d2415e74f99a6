"""Every way in which Glasshouse says no, with the words that a person reads.

    GlasshouseError
    ├── InvalidRequest                what was asked cannot be done as asked
    │   ├── EmptyMessage
    │   ├── ImagesNotSupported        the model has no projector, or one that does not work here
    │   ├── MessageTooLarge
    │   ├── ContextTooLong            prompt and context, both numbers
    │   │   └── InputTooLong          a text to embed or rank, both numbers
    │   ├── ContextTooLarge           more context than the model was trained for, both numbers
    │   ├── TemplateFailed            the model's chat template refused the messages
    │   ├── CannotThink               thinking was asked of a model that does not
    │   ├── NothingToContinue         the last message is no answer with a text
    │   ├── InvalidFolder             cannot be read for models
    │   ├── UnknownAdapter            no LoRA of that name
    │   ├── CannotInfill              a model without the tokens for filling in gaps
    │   ├── FileTooLarge              a file that a program sent, both numbers
    │   ├── UnusableAdapter           a LoRA that does not go with the model: both names, and why
    │   ├── InvalidDefault            what is to be kept about a model cannot be: which, and why
    │   ├── BrokenTemplate            a chat template that somebody wrote: the reason and the line
    │   ├── UnknownPreset
    │   ├── UnknownClient             no program of that name that we know how to connect
    │   └── UnknownModel
    ├── ModelFileError                a file that is not a usable model
    │   ├── NotGguf
    │   ├── DamagedGguf               truncated or inconsistent
    │   ├── UnreadableModel           the system does not let it be read
    │   ├── UnsupportedModel          whole, but of a kind that this engine cannot run
    │   ├── CannotRename              not Glasshouse's file, or in use
    │   ├── RenameFailed              the system refuses
    │   └── CannotDelete              not Glasshouse's file, or the system refuses
    ├── ModelLoadError
    │   ├── ModelTooBig               refused before loading: needed and free, both numbers
    │   ├── LoadOvertaken             another choice was made while it loaded
    │   ├── OutOfMemory               tried, and the machine had too little
    │   └── LoadFailed                llama.cpp's reason
    ├── DoctorError                   an examination of a model
    │   ├── DoctorBusy                one at a time
    │   ├── DoctorNeedsRoom           what is loaded would have to go first: ask the person
    │   └── NoDoctorReport
    ├── EngineError
    │   ├── NoModel                   nothing is loaded and nothing can be chosen
    │   │   └── NoModelOfKind         no embedding (or rerank) model is there
    │   ├── EngineDied                crashed or was killed
    │   ├── EngineStopped             unloaded or swapped while the request ran
    │   └── EngineBusy                the queue is full; retry_after seconds
    ├── TransferError
    │   ├── DiskFull                  needed and free, both numbers
    │   ├── InvalidFileName
    │   ├── FileExists
    │   ├── ImportUnderWay            an unfinished import of another file has this name
    │   ├── ImportTakenOver           another tab or connection sends the same file now
    │   ├── UnknownUpload
    │   ├── OffsetMismatch            carries the offset to go on from
    │   ├── DigestMismatch            what arrived is not what was sent; carries the offset to go on from
    │   ├── UploadTooLong             more bytes than announced
    │   ├── WriteFailed               the disk refuses for another reason than being full
    │   ├── UnknownDownload
    │   ├── AlreadyHere               the model that is to be fetched lies here
    │   ├── DownloadDamaged           what came is not what was announced
    │   ├── DownloadStopped           its process ended without a word
    │   ├── InvalidDigest             no SHA-256 digest
    │   ├── UnknownBlob               no file with this digest is here
    │   └── BlobMismatch              what arrived has another digest than it was sent with
    ├── HubError                      Hugging Face, or whoever else a model is fetched from
    │   ├── InvalidReference          no repository and no address of a file
    │   ├── HubOffline                cannot be reached
    │   ├── HubDenied                 private or gated: needs a token, or another one
    │   ├── HubNotFound               no such repository, file or quantization
    │   ├── HubBusy                   too many requests, or its own failure; retry_after seconds
    │   └── HubAnswerUnusable         an answer that makes no sense
    ├── WorkError                     a job of the workbench
    │   ├── AlreadyQuantized          quantizing it again must be asked for
    │   ├── ImatrixNeeded             the wanted type goes only with an importance matrix
    │   ├── UnknownQuantization       no type of that name
    │   ├── CannotEdit                a metadata key that cannot be changed so
    │   ├── NothingToDo               the result would be the file that is there
    │   ├── VocabularyMismatch        models that are compared must have one vocabulary
    │   ├── TextTooShort              to compare models on
    │   ├── UnknownJob
    │   └── WorkFailed                the job's process could not do it, or died
    ├── StoreError
    │   ├── UnknownConversation
    │   ├── UnknownMessage
    │   ├── UnknownImage              a picture of a chat
    │   ├── AlreadyAnswering          one reply at a time in a conversation
    │   ├── UnknownFile               no such file, or somebody else's
    │   ├── FileInUse                 a batch reads it
    │   ├── UnknownBatch              no such batch, or somebody else's
    │   ├── BatchOver                 it cannot be cancelled any more
    │   ├── UnknownResponse           of the Responses API: not there, not yours, or not kept any more
    │   ├── UnknownPrevious           that a response should go on from: the same reasons
    │   ├── ResponseUnfinished        it is still being written
    │   └── StoreFailed               the database could not be read or written
    ├── AccessError
    │   ├── SignInRequired
    │   ├── WrongPassphrase
    │   ├── WeakPassphrase
    │   ├── TooManyAttempts           retry_after seconds
    │   ├── InvalidKey                an API key that is unknown, expired or revoked
    │   ├── UnknownKey                no key of that id, to those who manage keys
    │   ├── MissingScope              a key that may not do this
    │   ├── RateLimited               a key that asks too much: of what, the limit, retry_after seconds
    │   └── ForbiddenOrigin           a foreign Host or Origin header
    └── ConfigurationError            a setting that cannot work; the process ends with this sentence

`code` is stable and goes over the wire; `details` are the constructor's arguments, so that an error crosses the pipe
between the processes as `(code, details)` and is the same error on the other side. `api/errors.py` alone knows HTTP
status codes. Nobody matches an error by its text.
"""

from __future__ import annotations

import math
from typing import ClassVar

Detail = str | int | float | bool | None


def format_bytes(count: int) -> str:
    """Decimal units with one digit from a gigabyte on, as disks and model pages count: 98 MB, 2.5 GB."""
    for unit, size in (("TB", 10**12), ("GB", 10**9)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.0f} {unit}"
    return f"{count} bytes"


class GlasshouseError(Exception):
    """Base of the tree. `str(error)` is a whole sentence (or two) that says what happened and what to do."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: Detail) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Detail] = details or {"message": message}


def error_from_wire(code: str, details: dict[str, Detail]) -> GlasshouseError:
    """The error that `(error.code, error.details)` describe; an unknown code becomes the base class."""
    kinds: list[type[GlasshouseError]] = [GlasshouseError]
    for kind in kinds:
        if kind.code == code:
            return kind(**details)  # type: ignore[arg-type]
        kinds.extend(kind.__subclasses__())
    return GlasshouseError(str(details.get("message", code)))


# --- requests ------------------------------------------------------------------------------------------------------


class InvalidRequest(GlasshouseError):
    code = "invalid_request"


class EmptyMessage(InvalidRequest):
    code = "empty_message"

    def __init__(self) -> None:
        super().__init__("The message is empty. Write something first.")
        self.details = {}


class ImagesNotSupported(InvalidRequest):
    code = "images_not_supported"

    def __init__(self, reason: str = "") -> None:
        """`reason` is a sentence, where there is more to say than that no projector is there."""
        why = reason or "Load one that has its projector (a file with “mmproj” in its name) beside it."
        super().__init__(f"This model cannot see images. {why}", reason=reason)


class MessageTooLarge(InvalidRequest):
    code = "message_too_large"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"The message is {format_bytes(size_bytes)}, more than the {format_bytes(limit_bytes)} that Glasshouse "
            "takes at once. Send it in smaller parts.",
            size_bytes=size_bytes,
            limit_bytes=limit_bytes,
        )


class ContextTooLong(InvalidRequest):
    code = "context_too_long"

    def __init__(self, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(
            f"This conversation is {prompt_tokens:,} tokens long, and the model reads at most {context_tokens:,}. "
            "Shorten the message, start a new chat, or load the model with a larger context.",
            prompt_tokens=prompt_tokens,
            context_tokens=context_tokens,
        )


class InputTooLong(ContextTooLong):
    code = "input_too_long"

    def __init__(self, prompt_tokens: int, context_tokens: int, number: int = 1) -> None:
        """`number`: which of the request's inputs it is, from 1."""
        InvalidRequest.__init__(
            self,
            f"Input {number} is {prompt_tokens:,} tokens long, and the model reads at most {context_tokens:,} at once. "
            "Split it into shorter pieces.",
            prompt_tokens=prompt_tokens,
            context_tokens=context_tokens,
            number=number,
        )


class ContextTooLarge(InvalidRequest):
    code = "context_too_large"

    def __init__(self, name: str, asked_tokens: int, trained_tokens: int) -> None:
        super().__init__(
            f"{name} was trained for {trained_tokens:,} tokens of context, and {asked_tokens:,} were asked for. Ask "
            f"for at most {trained_tokens:,}, or for none to let Glasshouse choose.",
            name=name,
            asked_tokens=asked_tokens,
            trained_tokens=trained_tokens,
        )


class TemplateFailed(InvalidRequest):
    code = "template_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The model's chat template does not accept this conversation: {reason}", reason=reason)


class CannotThink(InvalidRequest):
    code = "cannot_think"

    def __init__(self) -> None:
        super().__init__("This model does not support thinking. Leave that setting out, or choose a model that thinks.")
        self.details = {}


class NothingToContinue(InvalidRequest):
    code = "nothing_to_continue"

    def __init__(self) -> None:
        super().__init__("There is no answer to go on with: the last message is not one, or it is empty.")
        self.details = {}


class InvalidFolder(InvalidRequest):
    code = "invalid_folder"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"“{path}” cannot be used: {reason}", path=path, reason=reason)


class UnknownAdapter(InvalidRequest):
    code = "unknown_adapter"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no adapter “{name}” here. GET /lora-adapters lists what is in the models folder.", name=name
        )


class UnusableAdapter(InvalidRequest):
    code = "unusable_adapter"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The adapter “{name}” cannot be used with this model: {reason}.", name=name, reason=reason)


class CannotInfill(InvalidRequest):
    code = "cannot_infill"

    def __init__(self, missing: str) -> None:
        """`missing`: the tokens that its vocabulary lacks, in words."""
        super().__init__(
            f"This model cannot fill in gaps: its vocabulary has no token for {missing}. Take a code model that was "
            "trained for it, such as Qwen2.5-Coder, or leave out what comes behind the gap.",
            missing=missing,
        )


class FileTooLarge(InvalidRequest):
    code = "file_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The file is larger than the {format_bytes(limit_bytes)} that are taken. Send it in several parts.",
            limit_bytes=limit_bytes,
        )


class UnknownModel(InvalidRequest):
    code = "unknown_model"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no model named “{name}” here. Put its GGUF file into the models folder or pick another one.",
            name=name,
        )


class InvalidDefault(InvalidRequest):
    code = "invalid_default"

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param} cannot be kept like this: {reason}.", param=param, reason=reason)


class BrokenTemplate(InvalidRequest):
    code = "broken_template"

    def __init__(self, reason: str, line: int | None = None) -> None:
        where = f" in line {line}" if line is not None else ""
        super().__init__(
            f"The chat template does not work{where}: {reason}. Correct it, or leave it out to use the model's own.",
            reason=reason,
            line=line,
        )


class UnknownPreset(InvalidRequest):
    code = "unknown_preset"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no preset named “{name}”. GET /manage/named-presets lists them.", name=name)


class UnknownClient(InvalidRequest):
    code = "unknown_client"

    def __init__(self, name: str) -> None:
        super().__init__(f"There are no words about “{name}” here. See which ones: glasshouse connect", name=name)


# --- model files ---------------------------------------------------------------------------------------------------


class ModelFileError(GlasshouseError):
    code = "model_file_error"


class NotGguf(ModelFileError):
    code = "not_gguf"

    def __init__(self, name: str) -> None:
        super().__init__(f"“{name}” is not a GGUF model file.", name=name)


class DamagedGguf(ModelFileError):
    code = "damaged_gguf"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"“{name}” is damaged ({reason}). Get the file again.", name=name, reason=reason)


class UnreadableModel(ModelFileError):
    code = "unreadable_model"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"“{name}” cannot be read ({reason}). Check that the file is still there, and its permissions.",
            name=name,
            reason=reason,
        )


class UnsupportedModel(ModelFileError):
    code = "unsupported_model"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"“{name}” cannot be used for chat: {reason}.", name=name, reason=reason)


class CannotRename(ModelFileError):
    code = "cannot_rename"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The file of {name} cannot be renamed: {reason}.", name=name, reason=reason)


class RenameFailed(CannotRename):
    code = "rename_failed"


class CannotDelete(ModelFileError):
    code = "cannot_delete"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} cannot be deleted: {reason}.", name=name, reason=reason)


# --- loading -------------------------------------------------------------------------------------------------------


class ModelLoadError(GlasshouseError):
    code = "model_load_error"


class ModelTooBig(ModelLoadError):
    code = "model_too_big"

    def __init__(self, name: str, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{name} is too big for this machine right now: it needs {format_bytes(needed_bytes)}, and "
            f"{format_bytes(free_bytes)} are free. Close other programs, choose a smaller context, or take a smaller "
            "model or quantization.",
            name=name,
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
        )


class OutOfMemory(ModelLoadError):
    code = "out_of_memory"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Out of memory while loading {name}. Close other programs, choose a smaller context or fewer GPU layers, "
            "or take a smaller model or quantization.",
            name=name,
        )


class LoadFailed(ModelLoadError):
    code = "load_failed"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} could not be loaded: {reason}", name=name, reason=reason)


class LoadOvertaken(ModelLoadError):
    code = "load_overtaken"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was not loaded: another choice was made meanwhile.", name=name)


# --- the engine ----------------------------------------------------------------------------------------------------


class EngineError(GlasshouseError):
    code = "engine_error"


class NoModel(EngineError):
    code = "no_model"

    def __init__(self) -> None:
        super().__init__("No model is loaded. Open Models and load one.")
        self.details = {}


class NoModelOfKind(NoModel):
    code = "no_model_of_kind"

    def __init__(self, kind: str) -> None:
        """`kind`: "embedding" or "rerank"."""
        article = "an" if kind[0] in "aeiou" else "a"
        GlasshouseError.__init__(
            self,
            f"There is no {kind} model here. Put the GGUF file of {article} {kind} model into the models folder.",
            kind=kind,
        )


class EngineDied(EngineError):
    code = "engine_died"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The model stopped unexpectedly ({reason}). What was written is kept; the next message starts it again.",
            reason=reason,
        )


class EngineStopped(EngineError):
    code = "engine_stopped"

    def __init__(self) -> None:
        super().__init__("The model was unloaded while it was answering. What was written is kept.")
        self.details = {}


class EngineBusy(EngineError):
    code = "engine_busy"

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            f"Too many requests are waiting. Try again in about {retry_after:.0f} seconds.", retry_after=retry_after
        )


# --- the doctor ----------------------------------------------------------------------------------------------------


class DoctorError(GlasshouseError):
    code = "doctor_error"


class DoctorBusy(DoctorError):
    code = "doctor_busy"

    def __init__(self, model: str) -> None:
        super().__init__(f"{model} is being examined right now. Wait for the end, or cancel it first.", model=model)


class DoctorNeedsRoom(DoctorError):
    code = "doctor_needs_room"

    def __init__(self, model: str, loaded: str, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"To be examined, {model} needs {format_bytes(needed_bytes)}, and {format_bytes(free_bytes)} are free "
            f"beside {loaded}. Let {loaded} be unloaded for it (unload), or unload it yourself.",
            model=model,
            loaded=loaded,
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
        )


class NoDoctorReport(DoctorError):
    code = "no_doctor_report"

    def __init__(self, model: str) -> None:
        super().__init__(f"{model} has not been examined yet. Let the doctor look at it first.", model=model)


# --- files in transfer ---------------------------------------------------------------------------------------------


class TransferError(GlasshouseError):
    code = "transfer_error"


class DiskFull(TransferError):
    code = "disk_full"

    def __init__(self, name: str, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"The disk is too full for {name}: it needs {format_bytes(needed_bytes)}, and {format_bytes(free_bytes)} "
            "are free. Make room and try again.",
            name=name,
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
        )


class InvalidFileName(TransferError):
    code = "invalid_file_name"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"“{name}” is not a usable file name. A model file ends in .gguf and has no folder in its name.", name=name
        )


class FileExists(TransferError):
    code = "file_exists"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is already a model file named “{name}”. Rename yours or delete the other one first.", name=name
        )


class ImportUnderWay(TransferError):
    code = "import_under_way"

    def __init__(self, name: str, offset: int, size_bytes: int) -> None:
        super().__init__(
            f"Another file named “{name}” is being imported ({format_bytes(offset)} of {format_bytes(size_bytes)} are "
            "here). Finish or cancel that import first.",
            name=name,
            offset=offset,
            size_bytes=size_bytes,
        )


class ImportTakenOver(TransferError):
    code = "import_taken_over"

    def __init__(self, name: str) -> None:
        super().__init__(f"The import of “{name}” goes on in another tab or window.", name=name)


class UnknownUpload(TransferError):
    code = "unknown_upload"

    def __init__(self, upload_id: str) -> None:
        super().__init__("This import is not known here (any more). Start it again.", upload_id=upload_id)


class OffsetMismatch(TransferError):
    code = "offset_mismatch"

    def __init__(self, expected: int) -> None:
        super().__init__(f"The import goes on at byte {expected}, not elsewhere.", expected=expected)


class DigestMismatch(TransferError):
    code = "digest_mismatch"

    def __init__(self, name: str, expected: int) -> None:
        super().__init__(
            f"What arrived of “{name}” is not what was sent, or another file was begun under this name. The import "
            f"goes on at byte {expected} once what is here is found to be this file's.",
            name=name,
            expected=expected,
        )


class UploadTooLong(TransferError):
    code = "upload_too_long"

    def __init__(self, name: str, size_bytes: int) -> None:
        super().__init__(
            f"“{name}” is longer than the {format_bytes(size_bytes)} that were announced: it changed meanwhile. "
            "Cancel the import and start it again.",
            name=name,
            size_bytes=size_bytes,
        )


class WriteFailed(TransferError):
    code = "write_failed"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"“{name}” could not be written to the models folder: {reason}. Check the folder and its permissions.",
            name=name,
            reason=reason,
        )


class UnknownDownload(TransferError):
    code = "unknown_download"

    def __init__(self, download_id: str) -> None:
        super().__init__("This download is not known here (any more). Start it again.", download_id=download_id)


class AlreadyHere(TransferError):
    code = "already_here"

    def __init__(self, name: str) -> None:
        super().__init__(f"“{name}” is here already, in the models folder.", name=name)


class DownloadDamaged(TransferError):
    code = "download_damaged"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"“{name}” did not arrive as it was announced ({reason}), and nothing of it was kept. Start it again; when "
            "that happens twice, something on the way changes it, or the repository is broken.",
            name=name,
            reason=reason,
        )


class DownloadStopped(TransferError):
    code = "download_stopped"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The download of “{name}” stopped unexpectedly ({reason}). What came is kept; resume it.",
            name=name,
            reason=reason,
        )


class InvalidDigest(TransferError):
    code = "invalid_digest"

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"“{digest[:80]}” is no digest. Write sha256: and the 64 hex digits of the file's SHA-256.",
            digest=digest[:80],
        )


class UnknownBlob(TransferError):
    code = "unknown_blob"

    def __init__(self, digest: str) -> None:
        super().__init__(f"There is no blob {digest} here. Send the file to /api/blobs/{digest} first.", digest=digest)


class BlobMismatch(TransferError):
    code = "blob_mismatch"

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"What arrived is not {expected}: its digest is sha256:{found}. Nothing of it was kept; send it again.",
            expected=expected,
            found=found,
        )


# --- models elsewhere ----------------------------------------------------------------------------------------------


class HubError(GlasshouseError):
    code = "hub_error"


class InvalidReference(HubError):
    code = "invalid_reference"

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"“{text}” is no model that can be fetched: {reason}", text=text, reason=reason)


class HubOffline(HubError):
    code = "hub_offline"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} cannot be reached. Check this machine's connection to the internet; the models that are here "
            "already work without it.",
            host=host,
        )


class HubDenied(HubError):
    code = "hub_denied"

    def __init__(self, name: str, has_token: bool, is_gated: bool = False) -> None:
        """`is_gated`: everybody may ask for access to it, on its page."""
        if is_gated:
            reason = "its authors want its terms to be accepted first. Accept them on its page at huggingface.co"
            reason += "." if has_token else ", then give Glasshouse an access token of that account."
        elif has_token:
            reason = "the access token does not open it. Check the token, and that its account may read it."
        else:
            reason = "it is private or does not exist. For a private one, give Glasshouse an access token."
        super().__init__(f"“{name}” is not open: {reason}", name=name, has_token=has_token, is_gated=is_gated)


class HubNotFound(HubError):
    code = "hub_not_found"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"“{name}” was not found: {reason}", name=name, reason=reason)


class HubBusy(HubError):
    code = "hub_busy"

    def __init__(self, host: str, retry_after: float) -> None:
        super().__init__(
            f"{host} takes no more requests right now. Try again in about {retry_after:.0f} seconds.",
            host=host,
            retry_after=retry_after,
        )


class HubAnswerUnusable(HubError):
    code = "hub_answer_unusable"

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"{host} gave an answer that makes no sense ({reason}). Try again later.", host=host, reason=reason
        )


# --- the workbench -------------------------------------------------------------------------------------------------


class WorkError(GlasshouseError):
    code = "work_error"


class AlreadyQuantized(WorkError):
    code = "already_quantized"

    def __init__(self, name: str, quantization: str) -> None:
        super().__init__(
            f"{name} is quantized already ({quantization}), and quantizing it again loses quality twice. Start from an "
            "F16, BF16 or Q8_0 file of the model, or allow it all the same.",
            name=name,
            quantization=quantization,
        )


class ImatrixNeeded(WorkError):
    code = "imatrix_needed"

    def __init__(self, file_type: str) -> None:
        super().__init__(
            f"{file_type} is so small that it needs an importance matrix made for the model. Give one, or choose a "
            "larger type.",
            file_type=file_type,
        )


class UnknownQuantization(WorkError):
    code = "unknown_quantization"

    def __init__(self, file_type: str) -> None:
        super().__init__(
            f"There is no quantization “{file_type}”. Usual ones are Q4_K_M and Q8_0.", file_type=file_type
        )


class CannotEdit(WorkError):
    code = "cannot_edit"

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"The metadata “{key}” cannot be changed like that: {reason}.", key=key, reason=reason)


class NothingToDo(WorkError):
    code = "nothing_to_do"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"There is nothing to do for {name}: {reason}.", name=name, reason=reason)


class VocabularyMismatch(WorkError):
    code = "vocabulary_mismatch"

    def __init__(self, name: str, reference: str) -> None:
        super().__init__(
            f"{name} and {reference} have different vocabularies, so their figures would say nothing of each other. "
            "Compare files of one model.",
            name=name,
            reference=reference,
        )


class TextTooShort(WorkError):
    code = "text_too_short"

    def __init__(self, num_tokens: int, fewest: int) -> None:
        super().__init__(
            f"The text is {num_tokens} tokens long, and models are compared on {fewest} at least. Take a longer one; a "
            "page or more tells them apart.",
            num_tokens=num_tokens,
            fewest=fewest,
        )


class UnknownJob(WorkError):
    code = "unknown_job"

    def __init__(self, job_id: str) -> None:
        super().__init__("This job is not known here (any more).", job_id=job_id)


class WorkFailed(WorkError):
    code = "work_failed"

    def __init__(self, reason: str) -> None:
        """`reason` goes on in a sentence and has no full stop."""
        super().__init__(
            f"The job could not be finished: {reason}. Nothing was changed and nothing is left of it.", reason=reason
        )


# --- the store -----------------------------------------------------------------------------------------------------


class StoreError(GlasshouseError):
    code = "store_error"


class UnknownConversation(StoreError):
    code = "unknown_conversation"

    def __init__(self, conversation_id: str) -> None:
        super().__init__("This chat does not exist (any more).", conversation_id=conversation_id)


class UnknownImage(StoreError):
    code = "unknown_image"

    def __init__(self, image_id: str) -> None:
        super().__init__("This picture does not exist (any more).", image_id=image_id)


class UnknownMessage(StoreError):
    code = "unknown_message"

    def __init__(self, message_id: str) -> None:
        super().__init__("This message does not exist (any more).", message_id=message_id)


class AlreadyAnswering(StoreError):
    code = "already_answering"

    def __init__(self) -> None:
        super().__init__("An answer is still being written in this chat. Wait for it or stop it first.")
        self.details = {}


class UnknownFile(StoreError):
    code = "unknown_file"

    def __init__(self, file_id: str) -> None:
        super().__init__(
            f"There is no file “{file_id[:80]}” here (any more). GET /v1/files lists yours.", file_id=file_id[:80]
        )


class FileInUse(StoreError):
    code = "file_in_use"

    def __init__(self, file_id: str, batch_id: str) -> None:
        super().__init__(
            f"The batch {batch_id} still reads this file. Wait for its end, or cancel it first.",
            file_id=file_id,
            batch_id=batch_id,
        )


class UnknownBatch(StoreError):
    code = "unknown_batch"

    def __init__(self, batch_id: str) -> None:
        super().__init__(
            f"There is no batch “{batch_id[:80]}” here. GET /v1/batches lists yours.", batch_id=batch_id[:80]
        )


class BatchOver(StoreError):
    code = "batch_over"

    def __init__(self, batch_id: str, state: str) -> None:
        super().__init__(
            f"The batch {batch_id} is over ({state}) and cannot be cancelled.", batch_id=batch_id, state=state
        )


class UnknownResponse(StoreError):
    code = "response_not_found"

    def __init__(self, response_id: str, param: str = "response_id") -> None:
        super().__init__(
            f"Response with id '{response_id[:100]}' not found. It was deleted, was not stored, is too old, or is "
            "somebody else's.",
            response_id=response_id[:100],
            param=param,
        )


class UnknownPrevious(StoreError):
    code = "previous_response_not_found"

    def __init__(self, response_id: str, param: str = "previous_response_id") -> None:
        super().__init__(
            f"Previous response with id '{response_id[:100]}' not found. "
            "Send the whole conversation as “input” instead.",
            response_id=response_id[:100],
            param=param,
        )


class ResponseUnfinished(StoreError):
    code = "response_unfinished"

    def __init__(self, response_id: str) -> None:
        super().__init__(
            f"Response '{response_id[:100]}' is still being written. Wait until its status is not “in_progress” any "
            "more, or cancel it.",
            response_id=response_id[:100],
        )


class StoreFailed(StoreError):
    code = "store_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Glasshouse could not read or write its database ({reason}). Check that the disk has room and that the "
            "data folder can be written to.",
            reason=reason,
        )


# --- access --------------------------------------------------------------------------------------------------------


class AccessError(GlasshouseError):
    code = "access_error"


class SignInRequired(AccessError):
    code = "sign_in_required"

    def __init__(self) -> None:
        super().__init__(
            "Sign in with the passphrase first. Programs send an API key: make one in Settings under Keys, or with "
            "glasshouse keys create."
        )
        self.details = {}


class WrongPassphrase(AccessError):
    code = "wrong_passphrase"

    def __init__(self) -> None:
        super().__init__("That passphrase is not right.")
        self.details = {}


class WeakPassphrase(AccessError):
    code = "weak_passphrase"

    def __init__(self, min_length: int) -> None:
        super().__init__(f"Choose a passphrase of at least {min_length} characters.", min_length=min_length)


class TooManyAttempts(AccessError):
    code = "too_many_attempts"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Too many wrong attempts. Try again in {retry_after:.0f} seconds.", retry_after=retry_after)


class InvalidKey(AccessError):
    """`state`: unknown, expired or revoked."""

    code = "invalid_api_key"

    def __init__(self, state: str = "unknown") -> None:
        said = {"expired": "has expired", "revoked": "was revoked"}.get(
            state, "is not known: it was revoked, or mistyped"
        )
        super().__init__(
            f"This API key {said}. Make a new one in Settings under Keys, or with glasshouse keys create.", state=state
        )


class UnknownKey(AccessError):
    code = "unknown_key"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no API key “{key}”. See: glasshouse keys list", key=key)


class MissingScope(AccessError):
    code = "missing_scope"

    def __init__(self, needed: str, has_key: bool = True) -> None:
        if has_key:
            said = f"This needs the scope “{needed}”, which this API key does not have."
        else:
            said = "A page of another origin may only ask models. "
            said += f"For this it needs an API key with the scope “{needed}”."
        super().__init__(said, needed=needed, has_key=has_key)


class RateLimited(AccessError):
    """`of`: requests, tokens (both a minute) or concurrent requests."""

    code = "rate_limit_exceeded"

    def __init__(self, of: str, limit: int, retry_after: float) -> None:
        what = f"{limit:,} answers at once" if of == "concurrent requests" else f"{limit:,} {of} a minute"
        super().__init__(
            f"This API key is allowed {what}. Try again in {max(1, math.ceil(retry_after))} seconds.",
            of=of,
            limit=limit,
            retry_after=retry_after,
        )


class ForbiddenOrigin(AccessError):
    code = "forbidden_origin"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"Glasshouse does not answer to “{host}”. Use the address that it printed, or allow this name with "
            "GLASSHOUSE_ALLOWED_HOSTS.",
            host=host,
        )


class ConfigurationError(GlasshouseError):
    code = "configuration_error"
