"""Every setting of a Glasshouse server: one field here is one flag, one `GLASSHOUSE_…` name and one line in the README.

Order of precedence: the command line, the environment, `.env` in the working directory, the defaults. What a person
changes in the page (chosen model, system prompt, sampling, folders) lives in the database instead: `store/preferences`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from webui.types import FlashAttention, KvType

LARGEST_CONTEXT = 2**24  #: tokens; no model is trained for more, and larger numbers are slips

_CHECKOUT_MODELS = Path(__file__).resolve().parent.parent / "local_models"


def _default_models_dir() -> Path:
    """`local_models/` of a checkout; for an installed package a folder in the user's data directory."""
    return _CHECKOUT_MODELS if _CHECKOUT_MODELS.is_dir() else user_data_path("glasshouse") / "models"


def _split_list(value: object) -> object:
    """Lists come as comma-separated words from the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


# Every port of a host, or every page of a program's own scheme (editors give theirs a new name each time).
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*?#@]+(?::\*)?|(?!https?:)[a-z][a-z0-9+.-]*://\*")
_CACHE_PLACE = re.compile(r"off|memory|(redis|rediss|unix)://\S+")
_DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")


def parse_duration(text: str) -> float:
    """Seconds: "90", "90s", "5m", "1h30m"; a negative number and "never" are -1: for ever. Raises ValueError."""
    text = text.strip().lower()
    if text in {"never", "off"} or re.fullmatch(r"-\d+(?:\.\d+)?[smh]?", text):
        return -1.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"“{text[:40]}” is not a time: write seconds, or 90s, 5m, 1h30m, -1 for ever")
    hours, minutes, seconds = (float(match[unit] or 0) for unit in "hms")
    return hours * 3600 + minutes * 60 + seconds


class Settings(BaseSettings):
    """The settings of one server process."""

    model_config = SettingsConfigDict(env_prefix="GLASSHOUSE_", env_file=".env", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8002, ge=1, le=65535, description="Port to listen on")
    lan: bool = Field(
        default=False, description="Share with the local network: listen on every address, ask others to sign in"
    )
    open: bool = Field(default=False, description="Open the page in the default browser")
    model: str | None = Field(default=None, description="Model to load at the first message (a name or a path)")
    ctx: int | None = Field(
        default=None, ge=256, le=LARGEST_CONTEXT, description="Context of one conversation in tokens"
    )
    slots: int = Field(default=8, ge=1, le=64, description="Answers written side by side, at most")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of the engine")
    gpu_layers: int | None = Field(
        default=None, ge=-1, description="Layers on the GPU (-1: all; default: as many as fit)"
    )
    kv_layout: Literal["auto", "separate", "shared"] = Field(
        default="auto", description="A memory for every answer (separate) or one for all (shared)"
    )
    kv_type: KvType = Field(default="f16", description="Numbers of that memory: f16, q8_0 or q4_0 (smaller, coarser)")
    flash_attention: FlashAttention = Field(default="auto", description="Flash attention: auto, on or off")
    parked_mb: int | None = Field(default=None, ge=0, description="RAM for what idle chats have read, in MiB")
    state_mb: int = Field(default=4096, ge=0, description="Disk for what chats have read, in MiB (0: none)")
    speculate: bool = Field(default=True, description="Guess ahead while writing, where that is faster")
    draft_model: Path | None = Field(
        default=None, description="GGUF of a small model with the same vocabulary that guesses ahead"
    )
    idle_unload: str | None = Field(
        default=None,
        description="Unload a model that nobody uses for so long: 90, 5m, 1h, never "
        "(default: the page's model stays, others go after 10m)",
    )
    models_dir: Path = Field(default_factory=_default_models_dir, description="Where models are found and imported to")
    extra_models_dirs: Annotated[list[Path], NoDecode] = Field(
        default=[], description="Further folders with models, read only"
    )
    hub_endpoint: str = Field(
        default="https://huggingface.co",
        pattern=r"^https?://[^/\s]+",
        description="Address of the Hugging Face hub, or of a mirror of it (also HF_ENDPOINT)",
    )
    hf_token: str | None = Field(
        default=None, description="Access token for private and gated models of the hub (also HF_TOKEN)"
    )
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("glasshouse"), description="Where chats and settings are kept"
    )
    passphrase: str | None = Field(
        default=None, min_length=8, description="Passphrase for other machines (default: made at first use)"
    )
    sign_in: bool = Field(
        default=True, description="Ask other machines for the passphrase (off: behind a gate of your own)"
    )
    first_visitor: bool = Field(
        default=False, description="Let the first browser in without the passphrase, once, soon after the start"
    )
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default=[], description="Further host names the server answers to"
    )
    inspect_from: Literal["machine", "house"] = Field(
        default="machine",
        description="Who may look at API requests at /inspect: this machine, or the house: whoever is signed in",
    )
    require_key: bool = Field(
        default=False, description="Ask on this machine too: programs for an API key, browsers for the passphrase"
    )
    allowed_origins: Annotated[list[str], NoDecode] = Field(
        default=[], description="Web pages elsewhere that may use the API from a browser, such as http://localhost:3000"
    )
    vision: bool = Field(
        default=True, description="Let models see images through the projector (mmproj) beside their file"
    )
    read_ahead: bool = Field(
        default=True, description="Read messages while they are typed, so that answers begin at once"
    )
    response_cache: str | None = Field(
        default=None,
        description="Answer identical requests at temperature 0, or with a seed, from a cache: off, memory, redis://…",
    )
    response_cache_mb: int = Field(
        default=64, ge=1, le=2**20, description="Memory for these answers, in MiB (of a Redis: its own maxmemory)"
    )
    response_cache_age: str = Field(
        default="1h", description="How long such an answer is told again: 90, 5m, 1h, never"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Lines for people (text), or one JSON object a line (json)"
    )

    _lists = field_validator("extra_models_dirs", "allowed_hosts", "allowed_origins", mode="before")(_split_list)

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, values: list[str]) -> list[str]:
        origins = [value.lower().rstrip("/") for value in values]
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"“{origin[:60]}” is no origin: write it like https://app.example, http://localhost:* for every "
                    "port, or vscode-webview://*. “*” would let every page of the web use this server"
                )
        return origins

    @field_validator("idle_unload", "response_cache_age")
    @classmethod
    def _is_duration(cls, value: str | None) -> str | None:
        if value is not None:
            parse_duration(value)
        return value

    @field_validator("response_cache")
    @classmethod
    def _is_place(cls, value: str | None) -> str | None:
        if value is not None and not _CACHE_PLACE.fullmatch(value):
            raise ValueError("write off, memory, or the address of a Redis such as redis://localhost:6379/0")
        return value

    @model_validator(mode="after")
    def _go_together(self) -> Settings:
        """What only shows when the first model is loaded would be too late."""
        if self.kv_type != "f16" and self.flash_attention == "off":
            raise ValueError(
                f"--kv-type {self.kv_type} needs flash attention: leave --flash-attention at auto, or take f16"
            )
        if self.draft_model is not None and not self.speculate:
            raise ValueError("--draft-model guesses ahead, which --no-speculate forbids: leave one of the two away")
        if self.draft_model is not None and not self.draft_model.is_file():
            raise ValueError(f"--draft-model {self.draft_model}: there is no such file")
        if self.require_key and not self.sign_in:
            raise ValueError(
                "--require-key asks everybody who they are, --no-sign-in nobody: leave one of the two away"
            )
        return self

    @property
    def listen_host(self) -> str:
        """The address to bind; `--lan` widens the default to every address."""
        return "0.0.0.0" if self.lan and self.host == "127.0.0.1" else self.host

    @property
    def idle_seconds(self) -> float | None:
        """`idle_unload` in seconds, negative for ever; None: the page's model stays, others go after a while."""
        return None if self.idle_unload is None else parse_duration(self.idle_unload)

    @property
    def needs_passphrase(self) -> bool:
        """Whether anybody is asked for it."""
        return self.sign_in and (self.is_shared or self.require_key or self.passphrase is not None)

    @property
    def response_cache_seconds(self) -> float:
        """`response_cache_age` in seconds, negative for ever."""
        return parse_duration(self.response_cache_age)

    @property
    def is_shared(self) -> bool:
        """Whether other machines can reach this server, so that sign-in is asked of them."""
        return self.listen_host not in {"127.0.0.1", "::1", "localhost"}
