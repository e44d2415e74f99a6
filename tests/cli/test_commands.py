"""The `glasshouse` command: what it says before a server runs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from webui import __version__
from webui.cli import main
from webui.cli.app import app
from webui.cli.folders import prepare_folders
from webui.cli.options import read_settings
from webui.config import Settings
from webui.core.access import Access
from webui.core.data_lock import DataLock
from webui.errors import ConfigurationError, WrongPassphrase
from webui.store.database import Database
from webui.store.sessions import SessionStore


def run(monkeypatch: pytest.MonkeyPatch, *words: str, typed: str = "") -> int:
    """The exit code of `glasshouse …`, through the real main."""
    monkeypatch.setattr("sys.argv", ["glasshouse", *words])
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"Glasshouse {__version__}\n"


def test_every_setting_is_an_option() -> None:
    """One field is one flag: nobody has to remember to add it."""
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "240"}).output
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert field.description
        assert field.description in shown


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("GLASSHOUSE_PORT=7001\nGLASSHOUSE_CTX=2048\nGLASSHOUSE_SLOTS=2\n")
    monkeypatch.setenv("GLASSHOUSE_CTX", "4096")
    monkeypatch.setenv("GLASSHOUSE_ALLOWED_HOSTS", "chat.example, other.example")
    settings = read_settings({"port": 7002, "lan": None, "extra_models_dirs": []})
    assert (settings.port, settings.ctx, settings.slots, settings.lan) == (7002, 4096, 2, False)
    assert settings.allowed_hosts == ["chat.example", "other.example"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [({"port": 99999}, "--port (GLASSHOUSE_PORT): input should be less than or equal to 65535"),
     ({"passphrase": "short"}, "--passphrase (GLASSHOUSE_PASSPHRASE): string should have at least 8 characters"),
     ({"kv_type": "q8_0", "flash_attention": "off"}, "--kv-type q8_0 needs flash attention: leave"),
     ({"draft_model": Path(__file__), "speculate": False}, "which --no-speculate forbids"),
     ({"draft_model": Path("/nowhere.gguf")}, "--draft-model /nowhere.gguf: there is no such file"),
     ({"ctx": 1}, "--ctx (GLASSHOUSE_CTX)")],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_one_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings(given)
    assert sentence in str(refusal.value)


def test_it_ends_with_code_2_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("GLASSHOUSE_SLOTS", "many")
    assert run(monkeypatch, "serve", "--data-dir", str(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.startswith("glasshouse: --slots (GLASSHOUSE_SLOTS): ")
    assert len(error.splitlines()) == 1


def test_the_data_folder_is_for_nobody_else(tmp_path: Path) -> None:
    prepare_folders(Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models"))
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert run(monkeypatch, "serve", "--data-dir", str(tmp_path / "file" / "data")) == 2
    assert "--data-dir) cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "reason"), [("203.0.113.1", "cannot assign"), ("no.such.invalid", "no such address")])
def test_an_address_that_is_not_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str, reason: str
) -> None:
    folders = ["--data-dir", str(tmp_path), "--models-dir", str(tmp_path)]
    assert run(monkeypatch, "serve", "--host", host, *folders) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"glasshouse: Glasshouse cannot listen on {host}")
    assert "attempting" not in error  # what Python adds to the system's words
    assert reason in error


async def is_accepted(data_dir: Path, passphrase: str) -> bool:
    database = await Database.open(data_dir / "glasshouse.db")
    try:
        access = Access(SessionStore(database), passphrase=None)
        await access.load()
        await access.verify_key(passphrase, "192.168.1.77")
    except WrongPassphrase:
        return False
    finally:
        await database.close()
    return True


async def change(monkeypatch: pytest.MonkeyPatch, data_dir: Path, new: str) -> int:
    """`glasshouse passphrase` runs a loop of its own, so it needs a thread of its own."""
    import asyncio

    folders = ["--data-dir", str(data_dir)]
    return await asyncio.to_thread(run, monkeypatch, "passphrase", *folders, typed=f"{new}\n")


async def test_the_passphrase_is_changed_from_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert await change(monkeypatch, tmp_path, "green windows 7") == 0
    assert await is_accepted(tmp_path, "green windows 7")
    assert await change(monkeypatch, tmp_path, "blue windows 8") == 0
    assert not await is_accepted(tmp_path, "green windows 7")


async def test_a_short_passphrase_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert await change(monkeypatch, tmp_path, "short") == 1
    assert capsys.readouterr().err == "glasshouse: Choose a passphrase of at least 8 characters.\n"


async def test_while_a_server_runs_its_page_is_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lock = DataLock(tmp_path)
    lock.acquire()
    try:
        assert await change(monkeypatch, tmp_path, "green windows 7") == 2
    finally:
        lock.release()
    assert "Another Glasshouse is running" in capsys.readouterr().err
