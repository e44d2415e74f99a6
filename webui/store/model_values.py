"""What a person keeps about a model: a record for the file, defaults that act when it is used, presets with a name.

Values only. None always means "not said": the next in line decides (the settings, then Glasshouse).
"""

from __future__ import annotations

from webui.types import FlashAttention, KvType, SamplingParams, Value


class AdapterSetting(Value, frozen=True):
    """A LoRA adapter by its id in the catalog, and how strongly it acts."""

    name: str
    scale: float = 1.0


class ModelDefaults(Value, frozen=True):
    """How a model is used and loaded where neither the request nor the chat says otherwise."""

    # of every answer
    system_prompt: str | None = None
    sampling: SamplingParams | None = None
    adapters: tuple[AdapterSetting, ...] = ()
    # of loading
    ctx: int | None = None  #: context of one conversation in tokens
    gpu_layers: int | None = None  #: -1: all
    kv_type: KvType | None = None
    flash_attention: FlashAttention | None = None
    chat_template: str | None = None  #: Jinja, in place of the file's own
    draft_model: str | None = None  #: id of the model that guesses ahead; "": none, whatever the settings say
    keep_alive: float | None = None  #: seconds in memory after the last answer; 0: not at all, negative: for ever

    def over(self, other: ModelDefaults) -> ModelDefaults:
        """What is said here, the rest as `other` says it: a preset over its model's defaults."""
        return ModelDefaults(
            system_prompt=other.system_prompt if self.system_prompt is None else self.system_prompt,
            sampling=other.sampling if self.sampling is None else self.sampling,
            adapters=self.adapters or other.adapters,
            ctx=other.ctx if self.ctx is None else self.ctx,
            gpu_layers=other.gpu_layers if self.gpu_layers is None else self.gpu_layers,
            kv_type=self.kv_type or other.kv_type,
            flash_attention=self.flash_attention or other.flash_attention,
            chat_template=self.chat_template or other.chat_template,
            draft_model=other.draft_model if self.draft_model is None else self.draft_model,
            keep_alive=other.keep_alive if self.keep_alive is None else self.keep_alive,
        )


class ModelRecord(Value, frozen=True):
    """What is kept about one file. It belongs to the file, not to its place: see `core/model_records`."""

    model_id: str  #: as the catalog called it last
    file_name: str
    size_bytes: int
    title: str | None = None  #: the name that is shown; None: the one made from the file's name
    tags: tuple[str, ...] = ()
    is_favourite: bool = False
    notes: str = ""
    defaults: ModelDefaults = ModelDefaults()
    used_at: float | None = None  #: Unix seconds of the last load
    fingerprint: str = ""  #: of the file's two ends, by which a renamed file is known again; "" until it is needed


class ModelPreset(Value, frozen=True):
    """A model and how to use it, under a name that a request's `model` field can give."""

    name: str
    model_id: str
    defaults: ModelDefaults = ModelDefaults()
    created_at: float = 0.0  #: Unix seconds
