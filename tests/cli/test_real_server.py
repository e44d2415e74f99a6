"""The terminal beside a real server: it finds it by the file in the data folder, and does not without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Glasshouse
from tests.conftest import ServerStarter
from tests.support.server import clean_environment
from webui.cli.complete import complete_model
from webui.core.running_server import RunningServer, read_running_server, write_running_server

STARTER = "SmolLM2-135M-Instruct.Q4_1"


def test_it_talks_to_the_server_that_runs(
    glasshouse: Glasshouse, folder: Path, start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server(folder=folder, args=["--threads", "1"])
    told = read_running_server(folder / "data")
    assert (told and told.url, told and told.pid) == (server.base_url, server.pid)

    monkeypatch.setenv("GLASSHOUSE_DATA_DIR", str(folder / "data"))
    assert complete_model("smol") == [STARTER], "the shell completes names of models"

    loaded = glasshouse("load", STARTER, "--ctx", "512")
    assert loaded.output == "SmolLM2 135M Instruct is loaded.\n"
    [live] = json.loads(glasshouse("ps", "--json").stdout)
    assert (live["id"], live["state"], live["context_tokens"]) == (STARTER, "ready", 512)
    assert glasshouse("unload", STARTER).exit_code == 0
    assert json.loads(glasshouse("ps", "--json").stdout) == []

    piped = f"{sys.executable} -m webui list --server {server.base_url} --json | head -c 1"
    shell = subprocess.run(
        ["bash", "-o", "pipefail", "-c", piped], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert (shell.stdout, shell.stderr) == ("[", ""), "a reader that has enough is no error to talk about"

    server.stop()
    assert complete_model("smol") == []
    assert read_running_server(folder / "data") is None
    assert "No server is running" in glasshouse("ps").stderr


def test_what_a_killed_server_left_behind_is_not_believed(glasshouse: Glasshouse, folder: Path) -> None:
    (folder / "data").mkdir()
    write_running_server(folder / "data", RunningServer(url="http://127.0.0.1:9", pid=1))
    assert "No server is running" in glasshouse("ps").stderr
    for content in (b"", b"{}", b"\xff", b'{"url": "file:///etc/passwd", "pid": 1}', b"[" * 5000):
        (folder / "data" / "server.json").write_bytes(content)
        assert read_running_server(folder / "data") is None


@pytest.mark.parametrize(("server", "code"), [("http://127.0.0.1:9", 4), ("127.0.0.1:9", 4), ("ftp://x", 2), ("", 2)])
def test_a_server_that_is_not_there(glasshouse: Glasshouse, server: str, code: int) -> None:
    shown = glasshouse("list", "--server", server)
    assert shown.exit_code == code
    assert len(shown.stderr.splitlines()) == 1
