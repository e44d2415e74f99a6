"""The tags in which families write calls: the table that `tagged_calls` reads by.

Lengths are bounded everywhere, so that what is no tag is known after some characters.
"""

from __future__ import annotations

import re

from webui.engine.tool_calls.tagged_calls import Tags

CODER_TAGS = Tags(
    name=re.compile(r"<function=(?P<name>[^>\s]{1,128})>"),
    parameter=re.compile(r"<parameter=(?P<name>[^>\n]{1,128})>"),
    last=">",
    closes_value="</parameter>",
    closes_call=("</function>",),
)
INNER_CODER_TAGS = Tags(
    name=re.compile(r"(?P<name>[^>\s<]{1,128})>"),
    parameter=CODER_TAGS.parameter,
    last=">",
    closes_value="</parameter>",
    closes_call=("</function>",),
)
GLM_TAGS = Tags(
    name=re.compile(r"(?P<name>[^\s<{]{1,128})\s{0,64}(?=<)"),
    parameter=re.compile(r"<arg_key>(?P<name>[^<]{1,128})</arg_key>\s{0,64}<arg_value>"),
    last="<arg_value>",
    closes_value="</arg_value>",
    closes_call=("</tool_call>",),
)
INVOKE_TAGS = Tags(
    name=re.compile(r'name="(?P<name>[^">\s]{1,128})"\s{0,8}>'),
    parameter=re.compile(r'<parameter name="(?P<name>[^">\n]{1,128})"\s{0,8}>'),
    last=">",
    closes_value="</parameter>",
    closes_call=("</invoke>",),
)
HY_TAGS = Tags(
    name=re.compile(r"(?P<name>[^\s<{]{1,128})\s{0,8}<tool_sep:opensource>\s{0,64}"),
    parameter=re.compile(
        r"<arg_key:opensource>(?P<name>[^<]{1,128})</arg_key:opensource>\s{0,64}<arg_value:opensource>"
    ),
    last="<arg_value:opensource>",
    closes_value="</arg_value:opensource>",
    closes_call=("</tool_call:opensource>",),
)
KIMI_3_TAGS = Tags(
    name=re.compile(r'tool="(?P<name>[^"\n]{1,128})"[^<]{0,64}<\|sep\|>'),
    parameter=re.compile(
        r'<\|open\|>argument key="(?P<name>[^"\n]{1,128})"(?:\s{1,8}type="(?P<is_text>[a-z]{1,16})")?\s{0,8}<\|sep\|>'
    ),
    last="<|sep|>",
    closes_value="<|close|>argument<|sep|>",
    closes_call=("<|close|>call<|sep|>",),
)
PARAM_TAGS = Tags(
    name=INVOKE_TAGS.name,
    parameter=re.compile(r'<param name="(?P<name>[^">\n]{1,128})"\s{0,8}>'),
    last=">",
    closes_value="</param>",
    closes_call=("</function>",),
    wraps=("<![CDATA[", "]]>"),
)
DSML_TAGS = Tags(
    name=INVOKE_TAGS.name,
    parameter=re.compile(
        r'<｜DSML｜parameter name="(?P<name>[^">\n]{1,128})"(?:\s{1,8}string="(?P<is_text>true|false)")?\s{0,8}>'
    ),
    last=">",
    closes_value="</｜DSML｜parameter>",
    closes_call=("</｜DSML｜invoke>",),
)
