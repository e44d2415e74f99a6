"""glasshouse keys: make, list and revoke the API keys by which programs use this server."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import typer

from webui.cli.command import command
from webui.cli.door import Door, Refused
from webui.cli.output import Column, Output, count
from webui.errors import UnknownKey

_COLUMNS = (
    Column("ID"),
    Column("NAME"),
    Column("MAY", 1),
    Column("REQUESTS", 2, "right"),
    Column("TOKENS", 2, "right"),
    Column("LAST USED", 1),
    Column("ENDS", 3),
    Column("KEY", 4),
)


def add_commands(app: typer.Typer) -> None:
    keys = typer.Typer(name="keys", help="API keys for programs.", no_args_is_help=True)
    command(keys, "list")(list_keys)
    command(keys, "create")(create_key)
    command(keys, "revoke")(revoke_key)
    app.add_typer(keys)


async def list_keys(door: Door, output: Output) -> None:
    """All API keys, what they may do and what they have used."""
    found = await door.get("/manage/keys")
    if output.as_json:
        output.json(found)
    elif not found:
        output.note("There are no API keys. Make one: glasshouse keys create NAME")
    else:
        output.table(_COLUMNS, [_row(key) for key in found])


async def create_key(
    door: Door,
    output: Output,
    *,
    name: Annotated[str, typer.Argument(help="Which program it is for")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="inference (ask models), models (load, download, delete), admin (everything)",
        ),
    ] = None,
    days: Annotated[float | None, typer.Option(help="How many days it is valid (default: for ever)")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="Requests in any minute, at most")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="Tokens in any minute, at most")] = None,
    concurrent: Annotated[int | None, typer.Option(help="Answers at once, at most")] = None,
) -> None:
    """Make an API key. It is printed once and cannot be shown again."""
    limits = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrent_requests": concurrent,
    }
    body = {"name": name, "scopes": scope or ["inference"], "limits": limits, "expires_days": days}
    made = await door.ask("POST", "/manage/keys", body)
    if output.as_json:
        output.json(made)
    else:
        output.note(f"The key of “{made['name']}” ({made['id']}), shown this once:")
        output.line(made["key"])


async def revoke_key(
    door: Door, output: Output, *, which: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its name")]
) -> None:
    """Revoke an API key, at once: what runs under it ends."""
    found = await _find(door, which)
    await door.ask("DELETE", f"/manage/keys/{found['id']}")
    if output.as_json:
        output.json(found)
    else:
        output.line(f"“{found['name']}” ({found['id']}) is revoked.")


async def _find(door: Door, wanted: str) -> dict[str, Any]:
    keys: list[dict[str, Any]] = await door.get("/manage/keys")
    for key in keys:
        if wanted == key["id"] or wanted.casefold() == str(key["name"]).casefold():
            return key
    raise Refused(UnknownKey(wanted).message, UnknownKey.code, 404)


def _row(key: dict[str, Any]) -> list[str]:
    usage = key["usage"]
    return [
        key["id"],
        key["name"],
        ", ".join(key["scopes"]),
        str(usage["num_requests"]),
        count(usage["prompt_tokens"] + usage["generated_tokens"]) or "0",
        _moment(usage["used_at"]) or "never",
        _end(key),
        key["hint"],
    ]


def _end(key: dict[str, Any]) -> str:
    ends = _moment(key["expires_at"])
    return f"ended {ends}" if ends and key["expires_at"] <= time.time() else ends


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
