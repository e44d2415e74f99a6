"""glasshouse search and pull: models from the hub."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from webui.cli.command import command
from webui.cli.door import Door, Refused
from webui.cli.output import Column, Meter, Output, count, size
from webui.errors import ConfigurationError

_LOOK_SECONDS = 0.25


def add_commands(app: typer.Typer) -> None:
    command(app, "search")(search)
    command(app, "pull")(pull)


async def search(
    door: Door,
    output: Output,
    *,
    words: Annotated[list[str] | None, typer.Argument(help="None: models worth having, for this machine")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
) -> None:
    """Search the hub for models, the most fetched first."""
    if not words:
        await _show_presets(door, output)
        return
    found = await door.get("/manage/hub/search", q=" ".join(words), limit=limit)
    if output.as_json:
        output.json(found)
    elif not found:
        output.note("The hub has no GGUF model with these words.")
    else:
        columns = (
            Column("REPOSITORY"),
            Column("FETCHED", 1, "right"),
            Column("LIKES", 3, "right"),
            Column("CHANGED", 2),
            Column("", 4),
        )
        output.table(columns, [_found_row(each) for each in found])
        output.note("See what one holds: glasshouse pull REPOSITORY --list")


async def pull(
    door: Door,
    output: Output,
    *,
    reference: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="org/repo, org/repo:Q4_K_M, hf.co/…, an https address, or a preset's id"),
    ],
    only_list: Annotated[
        bool, typer.Option("--list", "-l", help="Show what the repository holds, fetch nothing")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Let the server fetch it and do not wait")] = False,
) -> None:
    """Fetch a model. What was broken off goes on where it was."""
    if only_list:
        await _show_variants(door, output, reference)
        return
    if detach and not door.is_server:
        raise ConfigurationError("--detach needs a running server. Start one with: glasshouse serve")
    job = await door.ask("POST", "/manage/downloads", {"reference": await _preset_reference(door, reference)})
    if job["state"] == "paused":
        job = await door.ask("POST", f"/manage/downloads/{job['id']}/resume")
    if not detach:
        job = await _wait(door, output, job)
    if output.as_json:
        output.json(job)
    elif detach:
        output.line(f"The server fetches {job['title']}.")
    else:
        output.line(f"{job['title']} is here: {job['path']}")


async def _wait(door: Door, output: Output, job: dict[str, Any]) -> dict[str, Any]:
    """Until it is whole. Ctrl+C leaves it paused, so that it costs nothing and goes on later."""
    try:
        with output.progress(str(job["title"])) as meter:
            while job["state"] not in {"done", "failed", "paused"}:
                _show(meter, job)
                await asyncio.sleep(_LOOK_SECONDS)
                job = await door.get(f"/manage/downloads/{job['id']}")
    except asyncio.CancelledError:
        paused = await door.ask("POST", f"/manage/downloads/{job['id']}/pause")
        if paused["state"] == "paused":
            output.note(f"Paused at {size(paused['done_bytes'])}. The same command goes on from there.")
        raise
    if job["state"] == "done":
        return job
    words = str(job["error"] or f"{job['title']} was paused elsewhere. The same command goes on from there.")
    raise Refused(words, str(job["error_code"] or "paused"), 409)


def _show(meter: Meter, job: dict[str, Any]) -> None:
    total, done, seconds = job["total_bytes"], job["done_bytes"], job["seconds_left"]
    words = {"queued": "waits for its turn", "verifying": "checking"}.get(str(job["state"]))
    if words is None:
        left = f", {_duration(seconds)} left" if seconds is not None else ""
        words = f"{size(done) or '0'} of {size(total)}, {size(round(job['bytes_per_second'])) or '0'}/s{left}"
    meter.show(done / total if total else 0.0, f"{job['title']} · {words}")


async def _preset_reference(door: Door, text: str) -> str:
    """What a preset's id stands for; everything else is a reference already."""
    if "/" in text:
        return text
    presets = await door.get("/manage/presets")
    return next((str(each["reference"]) for each in presets if each["id"] == text), text)


async def _show_variants(door: Door, output: Output, reference: str) -> None:
    repo = await door.get("/manage/hub/variants", repo=await _preset_reference(door, reference))
    if output.as_json:
        output.json(repo)
        return
    columns = (Column("VARIANT"), Column("SIZE", justify="right"), Column("FILES", 2, "right"), Column("HERE", 1))
    rows = [
        [
            f"{repo['repo']}:{each['label']}{' (default)' if each['is_default'] else ''}",
            size(each["total_bytes"]),
            str(len(each["files"]) + (each["mmproj"] is not None)),
            str(each["fit"]["fit"]).replace("_", " "),
        ]
        for each in repo["variants"]
    ]
    output.table(columns, rows)


async def _show_presets(door: Door, output: Output) -> None:
    presets = await door.get("/manage/presets")
    if output.as_json:
        output.json(presets)
        return
    columns = (Column("ID"), Column("MODEL", 2), Column("SIZE", justify="right"), Column("HERE", 1), Column("FOR", 3))
    rows = [
        [each["id"], each["name"], size(each["size_bytes"]), str(each["fit"]["fit"]).replace("_", " "), each["words"]]
        for each in presets
    ]
    output.table(columns, rows)
    output.note("Fetch one: glasshouse pull ID. Search for others: glasshouse search WORDS")


def _found_row(found: dict[str, Any]) -> list[str]:
    changed = datetime.fromtimestamp(found["updated_at"], UTC).strftime("%Y-%m-%d") if found["updated_at"] else ""
    return [
        found["repo"],
        count(found["downloads"]),
        count(found["likes"]),
        changed,
        "gated" if found["is_gated"] else "",
    ]


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
