"""glasshouse connect: what a program has to be told to use this server, and whether what it would ask works."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import httpx
import typer

from webui.cli.command import command
from webui.cli.door import Door, Refused
from webui.cli.output import Column, Output
from webui.core.connect import Step, find_client, try_client
from webui.core.connect.place import NO_KEY

_SPEAKS = {"openai": "OpenAI", "responses": "OpenAI Responses", "anthropic": "Anthropic", "ollama": "Ollama"}
_MARKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "failed": ("✗", "red"), "skipped": ("-", "dim")}


def add_commands(app: typer.Typer) -> None:
    command(app, "connect")(connect)


async def connect(
    door: Door,
    output: Output,
    *,
    client: Annotated[str | None, typer.Argument(help="Such as openai-python; none: list them")] = None,
    model: Annotated[str | None, typer.Option(help="A model's id; default: one that is loaded")] = None,
    test: Annotated[bool, typer.Option("--test", help="Ask what the program would ask, and tell each step")] = False,
) -> None:
    """Tell what to write where so that a program uses this server."""
    if client is None:
        await _list(door, output)
        return
    shown = await door.get(f"/manage/connect/{find_client(client).id}", model=model)
    if test:
        await _test(door, output, shown)
    elif output.as_json:
        output.json(shown)
    else:
        _show(output, shown)


async def _list(door: Door, output: Output) -> None:
    clients = await door.get("/manage/connect")
    if output.as_json:
        output.json(clients)
        return
    columns = (Column("CLIENT"), Column("NAME", 1), Column("KIND", 2), Column("SPEAKS", 3))
    rows = [[each["id"], each["name"], each["kind"], _SPEAKS[each["speaks"]]] for each in clients]
    output.table(columns, rows)
    output.note("What one of them needs: glasshouse connect CLIENT")


def _show(output: Output, shown: dict[str, Any]) -> None:
    """Only what is to be pasted goes to stdout, so that it can be piped into a file."""
    output.note(f"{shown['name']} with {shown['model']} at {shown['address']}")
    for paste in shown["paste"]:
        output.note(f"\n{paste['where']}:")
        output.line(paste["text"])
    for hint in ["", *shown["hints"]]:
        output.note(hint)
    output.note(f"Try it: glasshouse connect {shown['id']} --test")


async def _test(door: Door, output: Output, shown: dict[str, Any]) -> None:
    steps: list[dict[str, Any]] = []
    async with aclosing(_steps(door, shown)) as told:
        async for step in told:
            steps.append({"use": step.use, "title": step.title, "state": step.state, "words": step.words})
            if not output.as_json:
                mark, style = _MARKS[step.state]
                output.line(f"{mark} {step.title} ({step.seconds:.1f} s)", style=style)
                output.line(f"  {step.words}")
    is_ok = all(step["state"] in {"ok", "note"} for step in steps)
    if output.as_json:
        output.json({"is_ok": is_ok, "steps": steps})
    if not is_ok:
        raise Refused(f"{shown['name']} would not work with this server as it is.", "client_failed")


async def _steps(door: Door, shown: dict[str, Any]) -> AsyncGenerator[Step, None]:
    """Over HTTP, as the program itself would ask, with the key that the command was given."""
    client = find_client(shown["id"])
    timeout = httpx.Timeout(None, connect=5.0)
    async with (
        httpx.AsyncClient(base_url=door.url, timeout=timeout, trust_env=False) as http,
        aclosing(try_client(client, http, model=shown["model"], key=door.key or NO_KEY)) as steps,
    ):
        async for step in steps:
            yield step
