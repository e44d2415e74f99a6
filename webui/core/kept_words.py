"""What may be kept about a model: words are cleaned, numbers are checked, and a refusal says what would do.

Pure functions of values. Whether a chat template works is for the engine's sandbox to say (`template_check`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from webui.config import LARGEST_CONTEXT
from webui.core.adapters import MAX_ADAPTERS, MAX_SCALE
from webui.errors import InvalidDefault
from webui.store.model_values import ModelDefaults

MIN_CONTEXT = 256  #: tokens
MAX_TITLE = 120  #: characters, like those below
MAX_TAG = 40
MAX_TAGS = 32
MAX_NOTES = 20_000
MAX_PROMPT = 200_000
MAX_TEMPLATE = 300_000
LONGEST_KEPT_ALIVE = 10 * 365 * 86400  #: seconds; whoever wants longer means for ever


def clean_title(title: str) -> str:
    """One line without what cannot be seen. An empty one is refused: None takes a title back."""
    return _one_line("title", title, MAX_TITLE)


def clean_preset_name(name: str) -> str:
    """Fit for a request's `model` field."""
    return _one_line("name", name, MAX_TITLE)


def clean_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Each once, in their order, whatever the case of their letters."""
    if len(tags) > MAX_TAGS:
        raise InvalidDefault("tags", f"a model has at most {MAX_TAGS} tags, not {len(tags)}")
    by_sight = {(tag := _one_line("tags", each, MAX_TAG)).casefold(): tag for each in reversed(tags)}
    return tuple(reversed(by_sight.values()))


def clean_notes(notes: str) -> str:
    _check_length("notes", notes, MAX_NOTES)
    return _as_text(notes)


def clean_defaults(defaults: ModelDefaults) -> ModelDefaults:
    """The same, its texts such that they can be stored. Raises InvalidDefault with the name of the first one that
    cannot be."""
    if defaults.ctx is not None and not MIN_CONTEXT <= defaults.ctx <= LARGEST_CONTEXT:
        raise InvalidDefault("ctx", f"a context has {MIN_CONTEXT} to {LARGEST_CONTEXT:,} tokens, not {defaults.ctx:,}")
    if defaults.gpu_layers is not None and not -1 <= defaults.gpu_layers < 2**31:
        raise InvalidDefault("gpu_layers", "give a number of layers, or -1 for all")
    if defaults.kv_type not in {None, "f16"} and defaults.flash_attention == "off":
        raise InvalidDefault("kv_type", f"{defaults.kv_type} needs flash attention: leave that at auto, or take f16")
    if defaults.keep_alive is not None and not abs(defaults.keep_alive) <= LONGEST_KEPT_ALIVE:
        raise InvalidDefault("keep_alive", "give seconds (0: not at all, -1: for ever)")
    if len(defaults.adapters) > MAX_ADAPTERS:
        raise InvalidDefault("adapters", f"at most {MAX_ADAPTERS} act at once, not {len(defaults.adapters)}")
    for adapter in defaults.adapters:
        if not math.isfinite(adapter.scale) or abs(adapter.scale) > MAX_SCALE:
            raise InvalidDefault("adapters", f"a scale is between -{MAX_SCALE:g} and {MAX_SCALE:g}")
    _check_length("system_prompt", defaults.system_prompt or "", MAX_PROMPT)
    _check_length("chat_template", defaults.chat_template or "", MAX_TEMPLATE)
    texts = {name: text for name in ("system_prompt", "chat_template") if (text := getattr(defaults, name)) is not None}
    return msgspec.structs.replace(defaults, **{name: _as_text(text) for name, text in texts.items()})


def _one_line(name: str, text: str, longest: int) -> str:
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if not line:
        raise InvalidDefault(name, "write something, or leave it out")
    _check_length(name, line, longest)
    return line


def _check_length(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise InvalidDefault(name, f"it has {len(text):,} characters, and {longest:,} are the most")


def _as_text(text: str) -> str:
    """Half a character (a lone surrogate) is no text and could not be stored."""
    return text.encode("utf-8", "replace").decode()
