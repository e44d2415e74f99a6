"""What a format of tool calls is: marks, what reads behind each, and how a call is spelled when it must come.

It does not know which families there are: see `families`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from webui.engine.tool_calls.pieces import Section, Toolbox
from webui.engine.tool_calls.sections import Chosen, Dropped, JsonSection, NamedSection
from webui.engine.tool_calls.tagged_calls import TaggedSection, Tags

MAX_NAME = 130  #: characters of the line that names a tool
Open = Callable[[Toolbox, str], Section]  #: begins a section behind the mark

_CLOSES = ("</tool_call>", "<|/tool_call|>", "<|tool_call_end|>", "<tool_call|>", "<|END_ACTION|>",
           "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<|tool_call_argument_begin|>", "[ARGS]", "[CALL_ID]",
           '<|"|>', "<|tools_suffix|>", "<|role_sep|>", "<|tool_call:name|>", "<|tool_call:args|>",
           "<|tool_call:end|>", "<tool_sep:opensource>", "</tool_call:opensource>", "<arg_key:opensource>",
           "</arg_key:opensource>", "<arg_value:opensource>", "</arg_value:opensource>", "]<]minimax[>[",
           "<|end_of_msg|>")  # fmt: skip
"""Marks inside and behind calls, of all families."""


@dataclass(frozen=True)
class Spelling:
    """How a call is written when it must come: `before` a name, `between` name and arguments, `after` them; `first`
    and `last` stand around all calls, `separator` between two of them."""

    before: str = '<tool_call>\n{"name": "'
    between: str = '", "arguments": '
    after: str = "}\n</tool_call>"
    first: str = ""
    separator: str = "\n"
    last: str = ""


@dataclass(frozen=True)
class ToolFormat:
    """One format. `opens`: marks, and what reads behind each. `bare`: whether calls may also stand without a mark at
    the beginning of an answer, as objects, lists or Python's calls."""

    name: str
    opens: dict[str, Open] = field(default_factory=dict)
    bare: bool = False
    spelling: Spelling = Spelling()
    is_harmony: bool = False  #: channels in place of marks: see `harmony`
    lead: str = ""  #: the beginning of a mark with which every prompt ends
    frames: tuple[str, ...] = ()  #: those of the marks that stand around any answer, also where there are no tools

    def without_calls(self) -> ToolFormat:
        """What is left of it in an answer without tools."""
        opens = {mark: self.opens[mark] for mark in self.frames}
        return ToolFormat(self.name, opens, lead=self.lead, frames=self.frames)

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts that must be seen in the answer, even where they are control tokens."""
        return (*self.opens, *_CLOSES)


# --- how sections begin -----------------------------------------------------------------------------------------------


def json_section(*closes: str, is_strict: bool = False) -> Open:
    return lambda tools, mark: JsonSection(tools, mark, closes=closes, is_strict=is_strict)


def named_section(*closes: str, name: str) -> Open:
    """`name`: a regular expression with the group `name`, and perhaps `id`, for what stands before the arguments."""
    pattern = re.compile(name, re.DOTALL)

    def name_of(header: str) -> tuple[str, str]:
        match = pattern.fullmatch(" ".join(header.split()))  # long runs of blanks would keep the pattern busy
        return (match["name"].strip(), (match.groupdict().get("id") or "").strip()) if match else ("", "")

    return lambda tools, mark: NamedSection(tools, mark, closes=closes, name_of=name_of)


def tagged_section(tags: Tags) -> Open:
    return lambda tools, mark: TaggedSection(tools, mark, tags)


def drop(_tools: Toolbox, _mark: str) -> Section:
    return Dropped()


def either_section(json_: Open, other: Open) -> Open:
    """An object or a list is read by the one, everything else by the other."""

    def choose(tools: Toolbox, mark: str, held: str, is_all: bool) -> Section | None:
        start = held.lstrip()
        if not start and not is_all:
            return None
        return json_(tools, mark) if start[:1] in {"{", "["} else other(tools, mark)

    return lambda tools, mark: Chosen(lambda held, is_all: choose(tools, mark, held, is_all))


def addressed_section(everybody: str, named: Open) -> Open:
    """A line with the tool that is meant, and the call; behind `everybody` there is text."""

    def choose(tools: Toolbox, mark: str, held: str, is_all: bool) -> Section | None:
        if held.startswith(f"{everybody}\n") or (is_all and held == everybody):
            return Dropped(f"{everybody}\n")
        if not is_all and "\n" not in held and len(held) < MAX_NAME:
            return None
        return named(tools, mark) if tools.find(held.partition("\n")[0]) else Dropped(give_back=mark)

    return lambda tools, mark: Chosen(lambda held, is_all: choose(tools, mark, held, is_all))
