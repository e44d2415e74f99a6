"""Names that other programs give to models, `llama3.2:3b` above all, compared with the names of files here.

`family:tag` means a file whose name begins with the words of the family and has every word of the tag in it; "latest"
says nothing. Text only: it knows neither files nor a registry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_LENGTH = 200  #: characters; nothing is called like that

_WORDS = re.compile(r"[^\W_]+(?:\.\d+)*")
_HOSTS = re.compile(r"^(?:(?:https?://)?[\w.-]+\.[a-z]{2,}(?::\d+)?/)?(?:[\w.-]+/)?", re.IGNORECASE)
_QUANTIZATION = re.compile(r"\b(?:I?Q\d|TQ\d|BF16|F16|F32|MXFP4)\w*\b", re.IGNORECASE)


def means(asked: str, known: str) -> bool:
    """Whether `asked`, a name such as "llama3.2:3b-instruct-q4_K_M", may mean the model called `known` here."""
    if len(asked) > MAX_LENGTH:
        return False
    family, _, tag = _HOSTS.sub("", asked.strip(), count=1).partition(":")
    family_key = "".join(_words(family)).removesuffix("gguf")
    if not family_key:
        return False
    words = list(_words(known))
    beginnings = {"".join(words[:count]): count for count in range(1, len(words) + 1)}
    if family_key not in beginnings:
        return False
    rest = words[beginnings[family_key] :]
    wanted = [word for word in _words(tag) if word != "latest"]
    return all(word in rest for word in wanted)


def _words(text: str) -> Iterator[str]:
    """Small letters and digits; a quantization stays one word: "Q4_K_M" is "q4km", "3.2" stays together as "32"."""
    whole = _QUANTIZATION.sub(lambda found: found[0].replace("_", ""), text.replace("_q", "-q").replace("_Q", "-Q"))
    for word in _WORDS.findall(whole):
        yield word.replace(".", "").casefold()
