"""The formats in which families of models write tool calls, and which of them a chat template speaks.

A format is told by the marks in its template's text. Whatever a format is, the tags that most models have seen
(`<tool_call>`) are understood, too. The marks are those of the families' own templates and model cards. It does not
read anything itself.
"""

from __future__ import annotations

from webui.engine.tool_calls.element_calls import MARK, read_elements
from webui.engine.tool_calls.formats import (
    Open,
    Spelling,
    ToolFormat,
    addressed_section,
    drop,
    either_section,
    json_section,
    named_section,
    tagged_section,
)
from webui.engine.tool_calls.tags import (
    CODER_TAGS,
    DSML_TAGS,
    GLM_TAGS,
    HY_TAGS,
    INNER_CODER_TAGS,
    INVOKE_TAGS,
    KIMI_3_TAGS,
    PARAM_TAGS,
)
from webui.engine.tool_calls.whole_calls import WholeSection, read_gemma, read_python, read_python_or_json

_HERMES: dict[str, Open] = {"<tool_call>": json_section("</tool_call>")}
_CODER: dict[str, Open] = {
    "<tool_call>": either_section(json_section("</tool_call>"), tagged_section(CODER_TAGS)),
    "<function=": tagged_section(INNER_CODER_TAGS),
    "</tool_call>": drop,
}
_FENCES: dict[str, Open] = {
    "```tool_code": lambda tools, mark: WholeSection(tools, mark, close="```", read=read_python_or_json),
    "```tool_call": json_section("```", is_strict=True),
    "```json": json_section("```", is_strict=True),
}

_KIMI_3_FRAMES = (
    "<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>", "<|end_of_msg|>",
)  # fmt: skip

# --- the formats ------------------------------------------------------------------------------------------------------

HERMES = ToolFormat("hermes", _HERMES)
GENERIC = ToolFormat("generic", {**_HERMES, **_FENCES}, bare=True)
HARMONY = ToolFormat(
    "harmony",
    is_harmony=True,
    spelling=Spelling(
        "<|channel|>commentary to=functions.",
        " <|constrain|>json<|message|>",
        "",
        separator="<|call|><|start|>assistant",
    ),
)
QWEN_CODER = ToolFormat("qwen-coder", _CODER)
SEED = ToolFormat(
    "seed",
    {"<seed:tool_call>": drop, "</seed:tool_call>": drop, **_CODER},
)
GLM = ToolFormat("glm", {"<tool_call>": either_section(json_section("</tool_call>"), tagged_section(GLM_TAGS))})
MINIMAX = ToolFormat(
    "minimax",
    {"<minimax:tool_call>": drop, "</minimax:tool_call>": drop, "<invoke": tagged_section(INVOKE_TAGS), **_HERMES},
)
DSML = ToolFormat(
    "deepseek-dsml",
    {
        "<｜DSML｜function_calls>": drop,
        "</｜DSML｜function_calls>": drop,
        "<｜DSML｜tool_calls>": drop,
        "</｜DSML｜tool_calls>": drop,
        "<｜DSML｜invoke": tagged_section(DSML_TAGS),
        **_HERMES,
    },
)
DEEPSEEK = ToolFormat(
    "deepseek",
    {
        "<｜tool▁calls▁begin｜>": drop,
        "<｜tool▁calls▁end｜>": drop,
        "<｜tool▁call▁begin｜>": named_section(
            "<｜tool▁call▁end｜>",
            name=r"\s*(?:function\s*<｜tool▁sep｜>)?\s*(?P<name>[\w.:/-]+)\s*(?:<｜tool▁sep｜>)?\s*(?:```(?:json)?)?\s*",
        ),
        **_HERMES,
    },
    spelling=Spelling(
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        first="<｜tool▁calls▁begin｜>",
        separator="",
        last="<｜tool▁calls▁end｜>",
    ),
)
DEEPSEEK_R1 = ToolFormat(
    "deepseek-r1",
    DEEPSEEK.opens,
    spelling=Spelling(
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        "\n```json\n",
        "\n```<｜tool▁call▁end｜>",
        first="<｜tool▁calls▁begin｜>",
        last="<｜tool▁calls▁end｜>",
    ),
)
KIMI = ToolFormat(
    "kimi",
    {
        "<|tool_calls_section_begin|>": drop,
        "<|tool_calls_section_end|>": drop,
        "<|tool_call_begin|>": named_section(
            "<|tool_call_end|>",
            name=r"\s*(?P<id>(?:functions\.)?(?P<name>[\w-]+)(?::\d+)?)\s*(?:<\|tool_call_argument_begin\|>)?\s*",
        ),
        **_HERMES,
    },
    spelling=Spelling(
        "<|tool_call_begin|>functions.",
        ":0<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        first="<|tool_calls_section_begin|>",
        separator="",
        last="<|tool_calls_section_end|>",
    ),
)
MISTRAL = ToolFormat(
    "mistral",
    {
        "[TOOL_CALLS]": either_section(
            json_section(), named_section(name=r"\s*(?P<name>[\w.-]+)\s*(?:\[CALL_ID\](?P<id>\w+))?\s*(?:\[ARGS\])?\s*")
        ),
        **_HERMES,
    },
    spelling=Spelling('{"name": "', '", "arguments": ', "}", first="[TOOL_CALLS][", separator=", ", last="]"),
)
MISTRAL_ARGS = ToolFormat("mistral-args", MISTRAL.opens, spelling=Spelling("[TOOL_CALLS]", "[ARGS]", "", separator=""))
LLAMA = ToolFormat(
    "llama",
    {
        "<|python_tag|>": json_section(),
        **_HERMES,
        "<function=": named_section("</function>", name=r"(?P<name>[\w.-]+)>\s*"),
    },
    bare=True,
    spelling=Spelling('{"name": "', '", "parameters": ', "}", separator="; "),
)
FUNCTIONARY = ToolFormat("functionary", LLAMA.opens, spelling=Spelling("<function=", ">", "</function>", separator=""))
GRANITE = ToolFormat(
    "granite",
    {"<|tool_call|>": json_section("<|/tool_call|>"), "<tool_call>": json_section("</tool_call>")},
    spelling=Spelling('{"name": "', '", "arguments": ', "}", first="<|tool_call|>[", separator=", ", last="]"),
)
PHI = ToolFormat(
    "phi",
    {"functools": json_section(), **GRANITE.opens},
    spelling=Spelling('{"name": "', '", "arguments": ', "}", first="functools[", separator=", ", last="]"),
)
PHI_MINI = ToolFormat(
    "phi-mini",
    PHI.opens,
    spelling=Spelling(
        '{"name": "', '", "arguments": ', "}", first="<|tool_call|>[", separator=", ", last="]<|/tool_call|>"
    ),
)
COMMAND_R7B = ToolFormat(
    "command-r7b",
    {"<|START_ACTION|>": json_section("<|END_ACTION|>"), **_HERMES},
    spelling=Spelling(
        '{"tool_name": "',
        '", "parameters": ',
        "}",
        first="<|START_ACTION|>[",
        separator=", ",
        last="]<|END_ACTION|>",
    ),
)
COMMAND_R = ToolFormat(
    "command-r",
    {
        "Action: ```json": json_section("```"),
        "Action:\n```json": json_section("```"),
        "Action:```json": json_section("```"),
        **_HERMES,
    },
    spelling=Spelling(
        '{"tool_name": "', '", "parameters": ', "}", first="Action: ```json\n[", separator=", ", last="]\n```"
    ),
)
APERTUS = ToolFormat("apertus", {"<|tools_prefix|>": json_section("<|tools_suffix|>"), **_HERMES})
GIGACHAT = ToolFormat(
    "gigachat", {"<|function_call|>": json_section(), "function call<|role_sep|>": json_section(), **_HERMES}
)
SOLAR = ToolFormat(
    "solar",
    {
        "<|tool_calls|>": drop,
        "<|calls|>": drop,
        "<|tool_call:begin|>": named_section(
            "<|tool_call:end|>",
            name=r"\s*(?P<id>[\w-]+)?\s*<\|tool_call:name\|>\s*(?P<name>[\w.-]+)\s*<\|tool_call:args\|>\s*",
        ),
        **_HERMES,
    },
)
NEMOTRON = ToolFormat(
    "nemotron",
    {"<TOOLCALL>": json_section("</TOOLCALL>"), **_HERMES},
    spelling=Spelling('{"name": "', '", "arguments": ', "}", first="<TOOLCALL>[", separator=", ", last="]</TOOLCALL>"),
)
TOOL_CALLS = ToolFormat(
    "tool-calls",
    {"<tool_calls>": json_section("</tool_calls>"), **_HERMES, "</tool_calls>": drop},
    spelling=Spelling(
        '{"name": "', '", "arguments": ', "}", first="<tool_calls>[", separator=", ", last="]</tool_calls>"
    ),
)
LFM2 = ToolFormat(
    "lfm2",
    {
        "<|tool_call_start|>": either_section(
            lambda tools, mark: WholeSection(tools, mark, close="<|tool_call_end|>", read=read_python_or_json),
            lambda tools, mark: WholeSection(tools, mark, close="<|tool_call_end|>", read=read_python),
        ),
        **_HERMES,
    },
)
GEMMA = ToolFormat("gemma", {**_FENCES, **_HERMES}, bare=True)
GEMMA_4 = ToolFormat(
    "gemma-4",
    {"<|tool_call>": lambda tools, mark: WholeSection(tools, mark, close="<tool_call|>", read=read_gemma), **_HERMES},
)

MINIMAX_3 = ToolFormat(
    "minimax-m3",
    {
        f"{MARK}<tool_call>": drop,
        f"{MARK}</tool_call>": drop,
        f"{MARK}<invoke": lambda tools, mark: WholeSection(tools, mark, close=f"{MARK}</invoke>", read=read_elements),
        **_HERMES,
    },
)
KIMI_3 = ToolFormat(
    "kimi-k3",
    {
        **dict.fromkeys(_KIMI_3_FRAMES, drop),
        "<|open|>tools<|sep|>": drop,
        "<|close|>tools<|sep|>": drop,
        "<|open|>call ": tagged_section(KIMI_3_TAGS),
        **_HERMES,
    },
    frames=_KIMI_3_FRAMES,
)
HUNYUAN_3 = ToolFormat(
    "hunyuan-3",
    {
        "<tool_calls:opensource>": drop,
        "</tool_calls:opensource>": drop,
        "<tool_call:opensource>": tagged_section(HY_TAGS),
        **_HERMES,
    },
)
MINICPM = ToolFormat("minicpm", {"<function ": tagged_section(PARAM_TAGS), **_HERMES})
OLMO = ToolFormat(
    "olmo",
    {
        "<function_calls>": lambda tools, mark: WholeSection(
            tools, mark, close="</function_calls>", read=read_python_or_json
        ),
        **_HERMES,
    },
)
FUNCTIONARY_32 = ToolFormat(
    "functionary-3.2",
    {">>>": addressed_section("all", named_section(name=r"(?P<name>[\w.-]+)\s*")), **_HERMES},
    spelling=Spelling("", "\n", "", separator=">>>"),
    lead=">>>",
    frames=(">>>",),
)

_SIGNS: tuple[tuple[ToolFormat, tuple[str, ...]], ...] = (
    (HARMONY, ("<|channel|>", "<|message|>", "<|start|>")),
    (DSML, ("｜DSML｜",)),
    (KIMI_3, ("<|open|>", "<|sep|>", "<|close|>")),
    (MINIMAX_3, (MARK, "<invoke name=")),
    (HUNYUAN_3, ("<tool_sep{}>", "<arg_key{}>")),
    (HUNYUAN_3, ("<tool_sep:opensource>",)),
    (FUNCTIONARY_32, (">>>all",)),
    (MINICPM, ("<function name=", "<param name=")),
    (OLMO, ("<function_calls>", "</functions>")),
    (DEEPSEEK_R1, ("tool▁call▁begin", "```json")),
    (DEEPSEEK, ("tool▁call▁begin",)),
    (KIMI, ("<|tool_call_begin|>",)),
    (GEMMA_4, ("<|tool_call>",)),
    (LFM2, ("<|tool_list_start|>",)),
    (LFM2, ("<|tool_call_start|>",)),
    (MISTRAL_ARGS, ("[TOOL_CALLS]", "[ARGS]")),
    (MISTRAL, ("[TOOL_CALLS]",)),
    (COMMAND_R7B, ("<|START_ACTION|>",)),
    (COMMAND_R, ("<|CHATBOT_TOKEN|>", "Action:")),
    (GLM, ("<arg_key>",)),
    (MINIMAX, ("<invoke name=",)),
    (SEED, ("seed:tool_call", "<function=")),
    (QWEN_CODER, ("<function=", "<parameter=")),
    (FUNCTIONARY, ("<function=",)),
    (APERTUS, ("<|tools_prefix|>",)),
    (GIGACHAT, ("<|function_call|>",)),
    (GIGACHAT, ("function call", "<|role_sep|>")),
    (SOLAR, ("<|tool_call:begin|>",)),
    (NEMOTRON, ("<TOOLCALL>",)),
    (TOOL_CALLS, ("<tool_calls>",)),
    (PHI, ("functools",)),
    (PHI_MINI, ("<|/tool|>",)),
    (GRANITE, ("<|tool_call|>",)),
    (HERMES, ("<tool_call>",)),
    (LLAMA, ("<|python_tag|>",)),
    (LLAMA, ("<|start_header_id|>", "tools")),
    (GEMMA, ("<start_of_turn>",)),
)
"""Signs in a template's text, the telling ones first: all of a row must be there."""


def find_format(template: str | None) -> ToolFormat:
    """The format that a chat template speaks; the generic one for those that speak none known."""
    text = template or ""
    return next((form for form, signs in _SIGNS if all(sign in text for sign in signs)), GENERIC)
