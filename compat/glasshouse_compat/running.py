"""Runs one client's demo in its own environment and reads what came of it. It knows no client."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from glasshouse_compat.clients import Client
from glasshouse_compat.environments import ROOT, environment_of
from glasshouse_compat.house import EMBEDDING_MODEL, MODEL, locked_server

SECONDS = 600  #: for all checks of one client
_RESULTS = ROOT / ".results"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of each check: its name, and what is told of it. `problem`: why there is none at all."""

    versions: Mapping[str, str] = field(default_factory=dict)
    passed: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)  #: the client has nothing for it
    problem: str = ""
    day: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d}")


def keep(client: Client, report: Report) -> None:
    """So that clients can be run one by one, and the page still tells of all."""
    _RESULTS.mkdir(exist_ok=True)
    _path(client).write_text(json.dumps(asdict(report)), encoding="utf-8")


def find_kept(client: Client) -> Report | None:
    """What came of the client when it was run last."""
    path = _path(client)
    return Report(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _path(client: Client) -> Path:
    return _RESULTS / f"{re.sub(r'[^a-z]+', '-', client.name.lower()).strip('-')}.json"


def run_demo(client: Client, url: str, *, is_loud: bool = False) -> Report:
    """`url`: of the server that asks for no key."""
    folder = environment_of(client.environment)
    with tempfile.TemporaryDirectory(prefix="glasshouse-compat-") as scratch, locked_server() as locked:
        result = Path(scratch) / "result.json"
        script = [str(ROOT / "clients" / client.script), *filter(None, [client.argument])]
        try:
            done = subprocess.run(
                [_interpreter(client, folder), *script], check=False, cwd=scratch, timeout=SECONDS, text=True,
                capture_output=not is_loud, env=_environment(url, locked, folder, result),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Report(problem=f"it did not end within {SECONDS} s")
        if not result.exists():
            lines = (done.stderr or "").strip().splitlines() or [f"exit code {done.returncode}"]
            return Report(problem=lines[-1])
        return _read(json.loads(result.read_text()))


def _read(told: Mapping[str, dict[str, dict[str, str]]]) -> Report:
    def of(outcome: str) -> dict[str, str]:
        return {name: check["note"] for name, check in told["checks"].items() if check["outcome"] == outcome}

    versions = {name: str(version) for name, version in told["versions"].items()}
    return Report(versions=versions, passed=of("passed"), failed=of("failed"), absent=of("absent"))


def _interpreter(client: Client, folder: Path) -> str:
    return "node" if client.environment == "node" else str(folder / "bin" / "python")


def _environment(url: str, locked: tuple[str, str], folder: Path, result: Path) -> dict[str, str]:
    """What a demo needs to know; no proxy stands between, and no other key of this machine's user is used."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.endswith(("_API_KEY", "_BASE_URL")) and name != "PYTHONPATH"
    }
    return inherited | {
        "COMPAT_URL": url,
        "COMPAT_LOCKED_URL": locked[0],
        "COMPAT_KEY": locked[1],
        "COMPAT_MODEL": MODEL,
        "COMPAT_EMBEDDING_MODEL": EMBEDDING_MODEL,
        "COMPAT_RESULT": str(result),
        "COMPAT_MODULES": str(folder / "node_modules"),
    }
