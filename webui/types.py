"""The nouns that every room shares.

Values only: no behaviour beyond derived properties, no I/O, no library but msgspec. They are frozen msgspec structs,
because most of them travel through the pipe between the web process and the engine process.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]
ToolMode = Literal["auto", "none", "required"]
ThinkingEffort = Literal["minimal", "low", "medium", "high", "xhigh"]
EngineState = Literal["stopped", "starting", "ready", "stopping", "failed"]
MessageState = Literal["streaming", "complete", "stopped", "failed"]
StoreKind = Literal["ollama", "lmstudio", "jan", "huggingface"]
ModelSource = Literal["local", "folder", "starter", "ollama", "lmstudio", "jan", "huggingface"]
ModelKind = Literal["chat", "embedding", "rerank"]
FileKind = Literal["chat", "embedding", "rerank", "adapter"]
KvLayout = Literal["separate", "shared"]
KvType = Literal["f16", "q8_0", "q4_0"]
FlashAttention = Literal["auto", "on", "off"]
OverflowPolicy = Literal["error", "drop_oldest", "shift"]
GrammarKind = Literal["json_schema", "json_object", "regex", "gbnf", "choice", "calls"]
CheckName = Literal["header", "tokenizer", "template", "output", "json", "tools", "speed", "tuning"]
CheckState = Literal["ok", "warn", "fail", "skipped"]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every value in this module."""


class Priority(IntEnum):
    """Who goes first when the engine is busy: a person in front of the page, a program, background work, and what
    nobody has asked for yet (IDLE runs only while nothing else does)."""

    INTERACTIVE = 0
    API = 1
    BACKGROUND = 2
    IDLE = 3


# --- what is asked of an engine ------------------------------------------------------------------------------------


class Tool(Value, frozen=True):
    """A function that the model may ask for. `parameters` is the JSON schema of its arguments, an object's."""

    name: str
    description: str = ""
    parameters: str = '{"type": "object", "properties": {}}'


class ToolCall(Value, frozen=True):
    """A function that a model asked for; `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


class ToolChoice(Value, frozen=True):
    """Whether the model may (auto), may not (none) or must (required) call a tool; `name`: it must call this one."""

    mode: ToolMode = "auto"
    name: str | None = None
    is_parallel: bool = True  #: several calls in one answer

    @property
    def is_forced(self) -> bool:
        return self.mode == "required" or self.name is not None


class Thinking(Value, frozen=True):
    """Whether, and how much, a model thinks before it answers. What is None is for the model's template to say.

    How a model is told is found out from its template. One that knows no effort gets a share of the answer's room
    instead; one that cannot be told to leave it gets its thoughts closed before they begin.
    """

    is_on: bool | None = None
    effort: ThinkingEffort | None = None  #: thinking is then on, too, unless `is_on` says otherwise
    budget_tokens: int | None = None  #: after so many tokens of thoughts the answer begins
    is_wish: bool = False  #: a model that does not think just answers; otherwise it is refused (CannotThink)


class ThinkingSupport(Value, frozen=True):
    """What can be asked of a model in its own words; everything is False or empty for one that does not think."""

    can_think: bool = False
    can_switch: bool = False  #: its template knows on and off
    is_on: bool = False  #: it thinks when nothing is said
    efforts: tuple[ThinkingEffort, ...] = ()  #: those that its template tells apart, from little to much


class Image(Value, frozen=True):
    """A picture of a message as it was sent (PNG, JPEG, WebP or GIF, not decoded), and where in the text it stands."""

    data: bytes
    at: int = 0  #: characters of the message's text before it


class Message(Value, frozen=True):
    """One message as a chat template sees it. A result of a tool has the role "tool" and names its call."""

    role: Role
    content: str
    images: tuple[Image, ...] = ()  #: in the order of where they stand
    tool_calls: tuple[ToolCall, ...] = ()  #: of an assistant, in place of text or behind it
    tool_call_id: str = ""  #: of a tool's result
    name: str = ""  #: of the tool whose result this is, where known
    reasoning: str = ""  #: what an assistant thought; templates show it where the model's family wants to see it


class Grammar(Value, frozen=True):
    """The form that an answer must have. `source` is a JSON schema, a regular expression, a grammar in llama.cpp's
    notation, or (choice) a JSON list of the texts to choose from; `json_object` needs none. `calls` is made by the
    engine itself, from tools and the format that the model speaks."""

    kind: GrammarKind
    source: str = ""


class SamplingParams(Value, frozen=True):
    """How the next token is chosen. The defaults suit chat; `temperature=0` is greedy.

    `top_k=0`, `top_p=1`, `min_p=0` and `repeat_penalty=1` each switch their sampler off. `max_tokens=None` means "as
    far as the context reaches". `stop` strings end the answer and are not part of it.

    Penalties and DRY see the generated tokens only. `mirostat` (1 or 2) takes the place of the samplers that cut off
    (top_k, top_p, min_p, typical, top-n-sigma, XTC).
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    repeat_last_n: int = -1  #: how many of the last tokens the penalties see; -1: the whole answer
    typical_p: float = 1.0  #: locally typical sampling; 1 is off
    top_n_sigma: float = 0.0  #: keep logits within so many standard deviations of the best; 0 is off
    dry_multiplier: float = 0.0  #: against repeating whole sequences; 0 is off
    dry_base: float = 1.75
    dry_allowed_length: int = 2  #: sequences up to this many tokens may repeat
    dry_penalty_last_n: int = -1  #: -1: the whole answer
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    xtc_probability: float = 0.0  #: how often the most probable tokens are left out; 0 is off
    xtc_threshold: float = 0.1  #: all tokens above it but the least probable of them
    mirostat: Literal[0, 1, 2] = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    dynatemp_range: float = 0.0  #: temperature moves by so much with the entropy; 0 is off
    dynatemp_exponent: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()  #: token ids, and what is added to their logits
    ignore_eos: bool = False  #: the model may not end its answer: it ends at max_tokens or a stop string
    logprobs: int | None = None  #: tell each token's log-probability, and those of so many alternatives
    grammar: Grammar | None = None


class LoraAdapter(Value, frozen=True):
    """A LoRA adapter file and how strongly it acts (1.0 as trained, 0.0 not at all)."""

    path: str
    scale: float = 1.0
    version: str = ""  #: another one when the file was replaced: what it made of a prompt must not be used again


class OtherFile(Value, frozen=True):
    """A file, or a piece of one, that helps to understand another."""

    name: str
    text: str


class Gap(Value, frozen=True):
    """A place between two texts that is to be filled in."""

    prefix: str
    suffix: str
    others: tuple[OtherFile, ...] = ()  #: the last one matters most; the first go where the context is too small


class GenerationRequest(Value, frozen=True):
    """One answer that is wanted, on its way from a door through the core to the engine."""

    messages: tuple[Message, ...]
    #: in place of messages: a text (control tokens in it count as such) or token ids, read without a template
    prompt: str | tuple[int, ...] | None = None
    prompt_images: tuple[Image, ...] = ()  #: of a prompt that is a text
    gap: Gap | None = None  #: in place of both; what was left out is told by ContextTrimmed
    sampling: SamplingParams = SamplingParams()
    owner: str = ""  #: the person (or key) that fairness counts by
    priority: Priority = Priority.INTERACTIVE
    conversation: str = ""  #: id of the chat that it belongs to; its state may be kept on disk under this name
    continuation: str = ""  #: text that the answer begins with already; what is generated goes on behind it
    #: what happens when the conversation outgrows the context: a typed error, the oldest turns are left out, or (while
    #: writing) the oldest tokens are forgotten. The latter two are told by ContextTrimmed.
    overflow: OverflowPolicy = "error"
    is_side_job: bool = False  #: a fork whose state is dropped at its end (a title, say)
    adapters: tuple[LoraAdapter, ...] = ()
    tools: tuple[Tool, ...] = ()  #: what the model may call
    tool_choice: ToolChoice = ToolChoice()
    thinking: Thinking = Thinking()
    template_values: str = "{}"  #: JSON object: further variables for the model's chat template


class EmbeddingRequest(Value, frozen=True):
    """Texts whose vectors are wanted; token ids in place of a text are taken as they are, special tokens included."""

    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None  #: keep only so many numbers of each vector (models made for that keep their meaning)
    normalize: bool = True  #: to length 1, so that a dot product is the cosine
    owner: str = ""
    priority: Priority = Priority.API


class RerankRequest(Value, frozen=True):
    """Documents that are to be scored by how well each of them answers the query."""

    query: str
    documents: tuple[str, ...]
    owner: str = ""
    priority: Priority = Priority.API


class EngineOptions(Value, frozen=True):
    """What one engine process is started with. Counts are tokens unless the name says otherwise."""

    context_tokens: int  #: the longest a single sequence may get
    kv_tokens: int  #: cells of the KV memory, all slots together
    num_slots: int  #: sequences side by side
    #: separate: each slot has its own memory for a whole context, and attention walks over its own tokens only;
    #: shared: one memory of `kv_tokens` cells for all, which holds more conversations than it has whole contexts
    kv_layout: KvLayout = "shared"
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    batch_tokens: int = 512  #: most tokens of one step
    gpu_layers: int = 0  #: layers offloaded; -1 means all
    threads: int = 1  #: the most that compute a step
    parked_bytes: int = 0  #: RAM for the states of idle conversations that have no slot
    state_dir: str | None = None  #: where states of conversations outlive the process; None: nowhere
    state_bytes: int = 0  #: the most that `state_dir` may hold
    draft_model_path: str | None = None  #: a small model with the same vocabulary that guesses ahead
    speculate: bool = True  #: guess ahead (prompt lookup, or the draft model) where it pays
    chat_template: str | None = None  #: Jinja, in place of the file's own
    mmproj_path: str | None = None  #: the projector through which the model sees pictures


class EngineInfo(Value, frozen=True):
    """What an engine says of itself once its model is loaded."""

    description: str  #: llama.cpp's own words, such as "llama 135M Q4_1"
    num_parameters: int
    context_train: int
    options: EngineOptions
    device: str  #: "CPU", or the name of the GPU that holds the offloaded layers
    has_chat_template: bool  #: False: the file carries none (or a broken one) and ChatML stands in
    kind: ModelKind = "chat"
    sees: bool = False  #: messages may have images
    thinking: ThinkingSupport = ThinkingSupport()


# --- what comes back -----------------------------------------------------------------------------------------------


class Usage(Value, frozen=True):
    """Token counts of one answer; `cached_tokens` of the prompt were not computed again."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0  #: of the completion, those that the model thought in

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Timings(Value, frozen=True):
    """Seconds as the engine saw them, from the moment the request came through the pipe."""

    queued_seconds: float
    first_token_seconds: float  #: from arrival to the first sampled token
    total_seconds: float
    tokens_per_second: float  #: decoding speed, the first token left out; 0.0 when there is no second one


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of the one stream of events that travels from the engine up to every door."""


class Queued(Event, frozen=True):
    """The request waits; position 1 is next. Sent again whenever the position changes."""

    position: int
    seconds: float | None = None  #: until it is its turn, an estimate from the last answers; None while there is none


class ContextTrimmed(Event, frozen=True):
    """The conversation outgrew the context: the model no longer sees its oldest part.

    `num_messages` whole messages were left out before the answer began, or `num_tokens` of the oldest tokens were
    forgotten while it was written; the system prompt always stays.
    """

    num_messages: int = 0
    num_tokens: int = 0


class AlternativeToken(Value, frozen=True):
    """A token that could have come, its bytes (a character may be spread over several tokens) and its odds."""

    token: bytes
    logprob: float  #: natural logarithm of the model's own probability, before any sampling setting


class TokenLogprobs(Event, frozen=True):
    """The odds of one generated token; sent for each of them, in order, when the request asked for it."""

    chosen: AlternativeToken
    top: tuple[AlternativeToken, ...]  #: the most probable ones, best first


class PromptProgress(Event, frozen=True):
    """`done` of `total` prompt tokens are computed (cached ones count as done)."""

    done: int
    total: int


class TextDelta(Event, frozen=True):
    text: str


class ReasoningDelta(Event, frozen=True):
    """Text that the model thought, not said (between the think tags of its template)."""

    text: str


class ToolCallDelta(Event, frozen=True):
    """A piece of a tool call. The first of each `index` (0, 1, …) brings `id` and `name`, all bring the next piece of
    the arguments' JSON text, which is whole when the next call begins or the answer ends."""

    index: int
    arguments: str = ""
    id: str = ""
    name: str = ""


class Finished(Event, frozen=True):
    """The last event of a request that did not fail; exactly one."""

    reason: FinishReason
    usage: Usage
    timings: Timings
    stop_text: str = ""  #: the stop string that ended it
    notes: tuple[str, ...] = ()  #: sentences about what was mended, or could not be, in the answer's tool calls


GenerationEvent = (
    Queued | PromptProgress | ContextTrimmed | TextDelta | ReasoningDelta | ToolCallDelta | TokenLogprobs | Finished
)


class Embeddings(Value, frozen=True):
    """One vector for each input, in its order: `dimensions` little-endian 32-bit floats each, one behind the other."""

    vectors: bytes
    dimensions: int
    num_tokens: int  #: of all inputs


class Ranking(Value, frozen=True):
    """One score for each document, in its order: 0 (has nothing to do with the query) to 1 (answers it)."""

    scores: tuple[float, ...]
    num_tokens: int  #: of all pairs of query and document


# --- models --------------------------------------------------------------------------------------------------------


class ModelFile(Value, frozen=True):
    """One GGUF on disk, as the catalog found it. `problem` is None, or the sentence that says why it cannot be used."""

    id: str  #: stable, unique, fit for a URL and an API's `model` field: "SmolLM2-135M-Instruct.Q4_1"
    name: str  #: for people: "SmolLM2 135M Instruct"
    path: Path
    size_bytes: int
    source: ModelSource
    architecture: str = ""
    num_parameters: int = 0
    quantization: str = ""
    context_train: int = 0
    is_chat: bool = True
    kind: FileKind | None = "chat"  #: what it is made for; None: something that this engine does not run
    problem: str | None = None

    @property
    def can_delete(self) -> bool:
        """Only files in the models directory are Glasshouse's to delete."""
        return self.source == "local"


class ModelFolder(Value, frozen=True):
    """A further folder with models. `is_fixed`: given when Glasshouse was started, not removable in the page."""

    path: str
    is_fixed: bool = False
    problem: str | None = None  #: why nothing is found there for now


class ModelStore(Value, frozen=True):
    """What another program keeps on this machine. It is used only when a person switched it on, and only read."""

    kind: StoreKind
    name: str  #: the program's, for people
    folders: tuple[str, ...]
    num_models: int
    size_bytes: int
    is_used: bool = False
    is_offered: bool = True  #: False: somebody said no, and is not asked again


class Gpu(Value, frozen=True):
    """One NVIDIA GPU, bytes from NVML."""

    name: str
    total_bytes: int
    free_bytes: int


class Memory(Value, frozen=True):
    """What the machine has, in bytes; RAM respects a cgroup limit where there is one."""

    ram_total: int
    ram_free: int
    gpus: tuple[Gpu, ...] = ()


class EngineMetrics(Value, frozen=True):
    """What an engine has done since its model was loaded: counts that only grow."""

    num_finished: dict[str, int] = {}  #: requests by how they ended: a FinishReason, "failed" or "refused"
    prompt_tokens: int = 0
    cached_tokens: dict[str, int] = {}  #: of the prompts, by where they lay: in a "slot", "parked" in RAM, on "disk"
    generated_tokens: int = 0
    drafted_tokens: int = 0  #: guessed ahead, and how many of these were right
    accepted_tokens: int = 0
    num_steps: int = 0
    step_seconds: float = 0.0
    num_preemptions: int = 0


class EngineLoad(Value, frozen=True):
    """How busy an engine is; it reports this at most once a second, and when it changes."""

    num_running: int = 0
    num_waiting: int = 0
    kv_used: int = 0
    kv_total: int = 0
    tokens_per_second: float = 0.0  #: all streams together, over the last second
    slots_used: int = 0  #: of `EngineOptions.num_slots`, those that hold a request or what an earlier one left
    parked_bytes: int = 0  #: states of idle conversations in RAM
    disk_bytes: int = 0  #: and on disk
    metrics: EngineMetrics = EngineMetrics()


class ModelStatus(Value, frozen=True):
    """The one true answer to "what is the model doing?"; the page, `/status` and the command line all show this."""

    state: EngineState = "stopped"
    model: ModelFile | None = None  #: the model that is loading, loaded or failed; None when stopped
    progress: float = 0.0  #: 0..1 while starting
    #: the sentence for people when state is "failed"; also kept while the state is another one because a load was
    #: refused or failed and the former model came back; gone with the next load or unload
    error: str | None = None
    note: str | None = None  #: while ready: what was asked for and could not be had, such as a larger context
    memory_bytes: int = 0  #: resident memory of the engine process
    info: EngineInfo | None = None  #: set while ready
    load: EngineLoad = EngineLoad()


# --- a model's examination ------------------------------------------------------------------------------------------


class Figure(Value, frozen=True):
    """One measured number of a check. `low` and `high` are the spread of its repetitions."""

    label: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None


class Check(Value, frozen=True):
    """One thing that was looked at. `words` say what was found, in whole sentences; `skipped` says why."""

    name: CheckName
    title: str
    state: CheckState
    words: str
    figures: tuple[Figure, ...] = ()


class Trial(Value, frozen=True):
    """Two ways to start a model, timed in turns. `ratio` is the time with `usual` by that with `tried`: above 1 the
    tried one is faster; `low` and `high` are its 95 % interval."""

    setting: str
    usual: str
    tried: str
    ratio: float
    low: float
    high: float
    num_rounds: int
    is_better: bool
    words: str


class Tuning(Value, frozen=True):
    """What short trials on this machine recommend for a model; None: as usual. It is used when the model is loaded
    next, wherever the person has set nothing else."""

    threads: int | None = None
    batch_tokens: int | None = None
    flash_attention: FlashAttention | None = None
    kv_type: KvType | None = None
    speculate: bool | None = None


class DoctorReport(Value, frozen=True):
    """The examination of one model on one machine. `state` is that of its worst check; what a model merely cannot do
    by itself (JSON, tools) is no flaw."""

    model_id: str
    model_name: str
    created_at: float  #: Unix seconds
    seconds: float  #: how long it took
    state: CheckState
    summary: str  #: plain words: does it work, what can it do, how fast is it here
    checks: tuple[Check, ...] = ()
    tuning: Tuning = Tuning()
    trials: tuple[Trial, ...] = ()
    key: str = ""  #: names file, machine and library: a report with another one is of the past
    machine: str = ""  #: in words
    library: str = ""  #: name and version of what computed
    is_current: bool = True  #: False: the file, the machine or the library is another one now


class DoctorStarted(Event, frozen=True):
    """The examination begins; `seconds` is how long it takes at most."""

    model_id: str
    model_name: str
    seconds: float
    checks: tuple[CheckName, ...]


class DoctorProgress(Event, frozen=True):
    """What it does right now; `fraction` of all of it is done. While `is_waiting` somebody else uses the machine."""

    fraction: float
    words: str
    check: CheckName | None = None
    is_waiting: bool = False


class DoctorChecked(Event, frozen=True):
    """One check is done."""

    check: Check


class DoctorDone(Event, frozen=True):
    """The last event: the whole report, which is stored."""

    report: DoctorReport


DoctorEvent = DoctorStarted | DoctorProgress | DoctorChecked | DoctorDone


# --- conversations -------------------------------------------------------------------------------------------------


class Conversation(Value, frozen=True):
    """One chat. Times are Unix seconds. `sampling` None means the defaults of the settings."""

    id: str
    title: str
    created_at: float
    updated_at: float
    system_prompt: str | None = None
    sampling: SamplingParams | None = None
    is_answering: bool = False  #: a reply is being written right now


class ChatMessage(Value, frozen=True):
    """One stored message, a node of the conversation's tree. `error` is the sentence shown under a failed reply."""

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    content: str
    created_at: float
    state: MessageState = "complete"
    reasoning: str = ""
    model_name: str | None = None
    error: str | None = None
    error_code: str | None = None  #: `code` of the error behind `error`, for those who must tell errors apart
    finish_reason: FinishReason | None = None  #: "length": the answer was cut at max_tokens or the context's end
    usage: Usage | None = None
    timings: Timings | None = None
    trimmed: ContextTrimmed | None = None  #: what of the conversation the model no longer saw while it wrote this
    read_ahead: int = 0  #: tokens of the prompt that were read while the person still typed
    images: tuple[str, ...] = ()  #: ids of the pictures that stand before the text


class MessageAdded(Event, frozen=True):
    """A message joined the conversation (a streaming reply joins empty)."""

    message: ChatMessage


class MessageChanged(Event, frozen=True):
    """Something else than the text of a running reply is known now."""

    message: ChatMessage


class ReplyDelta(Event, frozen=True):
    """New text of a running reply. `start` counts code points of the same field from its beginning: a viewer drops
    what it already has and asks for the thread again when there is a gap."""

    message_id: str
    field: Literal["content", "reasoning"]
    start: int
    text: str


class ReplyWaiting(Event, frozen=True):
    """Why a reply has no text yet: the model loads (progress 0..1), the request queues, the prompt is being read."""

    message_id: str
    phase: Literal["loading", "queued", "reading"]
    progress: float = 0.0  #: of loading or reading
    position: int = 0  #: in the queue
    seconds: float | None = None  #: until it is its turn; an estimate, None while there is none


class ReplyEnded(Event, frozen=True):
    """The reply in its final form, however it ended."""

    message: ChatMessage


class ThreadReplaced(Event, frozen=True):
    """The visible thread changed otherwise (a regenerate took an answer away, the chat was renamed or deleted): read
    it again."""


ChatEvent = MessageAdded | MessageChanged | ReplyDelta | ReplyWaiting | ReplyEnded | ThreadReplaced


class Thread(Value, frozen=True):
    """A conversation and its visible path, root first, the running reply with the text it has so far."""

    conversation: Conversation
    messages: tuple[ChatMessage, ...]
