"""What to paste for a program: its text with this server's address, model and key put in, escaped for its language.

Ids of models come from names of files, so they are as hostile as those.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from webui.core.connect.clients import Client, Language
from webui.core.connect.place import Place

_PLACEHOLDER = re.compile(r"\{\{(\w+)(:json)?\}\}")


@dataclass(frozen=True, slots=True)
class Pasted:
    """`text` ends without a line break."""

    where: str
    language: Language
    text: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that there is to write for one program, and sentences that belong to it."""

    client: Client
    paste: tuple[Pasted, ...]
    hints: tuple[str, ...]


def render(client: Client, place: Place) -> Configuration:
    values = {
        "base": place.base_url,
        "key": place.key,
        "model": place.model,
        "context": str(place.context_tokens),
        "half_context": str(place.context_tokens // 2),
    }

    def fill(text: str, language: Language) -> str:
        def put(match: re.Match[str]) -> str:
            value = values[match[1]]
            return _escape(_in_quotes(value) if match[2] else value, language)

        return _PLACEHOLDER.sub(put, text).strip("\n")

    return Configuration(
        client=client,
        paste=tuple(Pasted(each.where, each.language, fill(each.text, each.language)) for each in client.paste),
        hints=tuple(_hints(client, place)),
    )


def _hints(client: Client, place: Place) -> list[str]:
    hints = [client.note] if client.note else []
    if place.is_loopback and client.runs_elsewhere:
        hints.append(
            f"From a container or another machine {place.base_url} is not this server: start it with --lan, then its "
            "address in the network stands here."
        )
    if client.sends_key:
        hints.append(place.key_words)
    elif not place.is_loopback:
        hints.append("It has no place for a key, so it works on this machine only, with http://localhost.")
    return hints


def _escape(value: str, language: Language) -> str:
    """For a place between single quotes in a shell, between double quotes in code, and by itself in a form."""
    plain = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)
    match language:
        case "bash":
            return plain.replace("'", "'\\''")
        case "fields":
            return plain
        case _:
            return _in_quotes(plain)


def _in_quotes(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
