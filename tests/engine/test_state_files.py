"""States on disk: they come back whole or not at all, in every way in which a disk can fail."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from webui.engine.protocol import Load
from webui.engine.state_files import StateFiles, StoredState
from webui.engine.state_format import write_state
from webui.engine.state_key import state_key
from webui.types import EngineOptions

MODEL = "0123456789abcdef0123456789abcdef"
CHAT, OTHER_CHAT = "5f1c2a", "77aa01"
TOKENS = list(range(100, 400))
STATE = bytes(range(256)) * 40
MEGABYTE = 1_000_000


def open_files(root: Path, *, model_key: str = MODEL, max_bytes: int = 10 * MEGABYTE) -> StateFiles:
    return StateFiles(root, model_key, max_bytes)


def store(files: StateFiles, conversation: str = CHAT, tokens: list[int] = TOKENS, state: bytes = STATE) -> StoredState:
    """Write a state and wait until it is on disk, or given up."""
    stored = files.write(conversation, tokens, state)
    assert stored is not None
    files.flush(10)
    return stored


def names(root: Path) -> set[str]:
    """What lies below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


# --- there and back --------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_in_the_next_process(tmp_path: Path) -> None:
    store(open_files(tmp_path))
    store(open_files(tmp_path), OTHER_CHAT, [7, 8, 9], b"other")
    files = open_files(tmp_path)
    found = {stored.conversation: stored for stored in files.load_index()}
    assert {name: list(stored.tokens) for name, stored in found.items()} == {CHAT: TOKENS, OTHER_CHAT: [7, 8, 9]}
    assert files.read(found[CHAT]) == STATE
    assert files.read(found[OTHER_CHAT]) == b"other"
    assert files.num_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.kv"))


def test_a_conversation_has_one_state_and_the_newer_one_wins(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    former = store(files)
    latter = store(files, tokens=[*TOKENS, 5], state=b"longer")
    assert files.read(former) is None, "its tokens are others now"
    assert files.read(latter) == b"longer"
    assert names(tmp_path) == {f"{CHAT}/{MODEL}.kv"}


def test_a_state_can_be_read_before_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    write = write_state
    monkeypatch.setattr("webui.engine.state_files.write_state", lambda *arguments: go_on.wait(10) and write(*arguments))
    files = open_files(tmp_path)
    stored = files.write(CHAT, TOKENS, STATE)
    assert stored is not None
    assert files.read(stored) == STATE
    assert not names(tmp_path) & {f"{CHAT}/{MODEL}.kv"}
    go_on.set()
    files.flush(10)
    assert files.read(stored) == STATE
    assert names(tmp_path) == {f"{CHAT}/{MODEL}.kv"}


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    stored = store(open_files(tmp_path / "states"))
    modes = [path.stat().st_mode & 0o777 for path in (stored.path, stored.path.parent, tmp_path / "states")]
    assert modes == [0o600, 0o700, 0o700]


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a/b", "..", "CON", "ü" * 200, "a\0b", "-" * 65])
def test_a_strange_name_stays_inside_the_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "states"
    stored = store(open_files(root), name)
    assert stored.path.resolve().parent.parent == root.resolve()
    files = open_files(root)
    (found,) = files.load_index()
    assert (found.conversation, files.read(found)) == (name, STATE)
    files.forget(name)
    assert names(tmp_path) == set()


# --- misses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 9, 14, 60, 100, 900, -len(STATE), -5000, -1])
def test_a_damaged_byte_is_a_miss(tmp_path: Path, place: int) -> None:
    stored = store(open_files(tmp_path))
    data = bytearray(stored.path.read_bytes())
    data[place] ^= 0x10
    stored.path.write_bytes(data)
    files = open_files(tmp_path)
    assert [files.read(found) for found in files.load_index()] in ([], [None])
    assert files.read(stored) is None
    assert names(tmp_path) == set(), "it is of no use to anybody"


@pytest.mark.parametrize("length", [0, 5, 12, 50, 500, 1500, 11_000, 11_470])
def test_a_file_that_is_cut_off_is_a_miss(tmp_path: Path, length: int) -> None:
    stored = store(open_files(tmp_path))
    data = stored.path.read_bytes()
    assert length < len(data)
    stored.path.write_bytes(data[:length])
    files = open_files(tmp_path)
    assert files.load_index() == []
    assert names(tmp_path) == set()
    stored.path.write_bytes(data + b"more")
    assert files.read(stored) is None


def test_a_file_of_another_model_is_not_ours(tmp_path: Path) -> None:
    stored = store(open_files(tmp_path, model_key="f" * 32))
    files = open_files(tmp_path)
    assert files.load_index() == []
    assert stored.path.exists(), "but somebody else's"
    renamed = stored.path.rename(stored.path.with_name(f"{MODEL}.kv"))
    assert files.read(StoredState(CHAT, tuple(TOKENS), renamed)) is None
    assert files.load_index() == []


def test_a_file_moved_to_another_conversation_is_refused(tmp_path: Path) -> None:
    stored = store(open_files(tmp_path))
    moved = tmp_path / OTHER_CHAT / stored.path.name
    moved.parent.mkdir()
    stored.path.rename(moved)
    files = open_files(tmp_path)
    assert files.read(StoredState(OTHER_CHAT, tuple(TOKENS), moved)) is None
    assert files.load_index() == []


def test_other_tokens_are_a_miss(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    stored = store(files)
    assert files.read(StoredState(CHAT, (*TOKENS[:-1], 1), stored.path)) is None
    assert files.read(stored) == STATE


def test_what_is_gone_is_a_miss(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    stored = store(files)
    stored.path.unlink()
    assert files.read(stored) is None
    assert open_files(tmp_path / "nowhere").load_index() == []


# --- forgetting ------------------------------------------------------------------------------------------------------


def test_forgetting_removes_every_trace(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    store(open_files(tmp_path, model_key="f" * 32))
    stored = store(files)
    store(files, OTHER_CHAT)
    files.forget(CHAT)
    assert files.read(stored) is None
    assert not (tmp_path / CHAT).exists()
    assert names(tmp_path) == {f"{OTHER_CHAT}/{MODEL}.kv"}


def test_a_chat_forgotten_while_it_is_written_stays_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_writing, go_on = threading.Event(), threading.Event()
    write = write_state

    def write_slowly(*arguments: object) -> None:
        is_writing.set()
        assert go_on.wait(10)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("webui.engine.state_files.write_state", write_slowly)
    files = open_files(tmp_path)
    stored = files.write(CHAT, TOKENS, STATE)
    assert is_writing.wait(10)
    files.forget(CHAT)
    go_on.set()
    store(files, OTHER_CHAT)
    assert stored is not None
    assert files.read(stored) is None
    assert names(tmp_path) == {f"{OTHER_CHAT}/{MODEL}.kv"}


# --- room ------------------------------------------------------------------------------------------------------------


def set_age(stored: StoredState, seconds: int) -> None:
    os.utime(stored.path, (stored.path.stat().st_atime, stored.path.stat().st_mtime - seconds))


def test_the_one_unused_for_longest_makes_room(tmp_path: Path) -> None:
    files = open_files(tmp_path, max_bytes=40_000)
    oldest, middle = store(files, "a0"), store(files, "b0")
    set_age(oldest, 200)
    set_age(middle, 100)
    assert files.read(oldest) == STATE, "used now, so it is the youngest"
    store(files, "c0")
    store(files, "d0")
    assert names(tmp_path) == {f"{name}/{MODEL}.kv" for name in ("a0", "c0", "d0")}
    assert files.read(middle) is None
    assert not middle.path.parent.exists()
    assert files.num_bytes <= 40_000


def test_a_state_replaces_its_former_one_without_pushing_others_out(tmp_path: Path) -> None:
    files = open_files(tmp_path, max_bytes=25_000)
    set_age(store(files, "a0"), 200)
    store(files, "b0")
    store(files, "b0", [1, 2, 3])
    assert names(tmp_path) == {f"{name}/{MODEL}.kv" for name in ("a0", "b0")}


def test_a_state_larger_than_all_the_room_is_not_kept(tmp_path: Path) -> None:
    files = open_files(tmp_path, max_bytes=15_000)
    stored = store(files)
    assert files.write(OTHER_CHAT, TOKENS, STATE * 2) is None
    assert open_files(tmp_path, max_bytes=0).write(CHAT, TOKENS, STATE) is None
    assert files.write("a" * 201, TOKENS, b"") is None, "nor under a name that is none"
    assert files.read(stored) == STATE, "and nothing had to go for it"


def test_a_nearly_full_disk_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_files(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage._replace(free=10 * len(STATE)))
    store(files)
    assert names(tmp_path) == set(), "it would be more than a tenth of what is free"
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage._replace(free=20 * len(STATE)))
    store(files)
    assert names(tmp_path) == {f"{CHAT}/{MODEL}.kv"}


def test_a_queue_of_writes_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    write = write_state
    monkeypatch.setattr("webui.engine.state_files.write_state", lambda *arguments: go_on.wait(10) and write(*arguments))
    monkeypatch.setattr("webui.engine.state_files.MAX_WAITING_BYTES", 3 * len(STATE))
    files = open_files(tmp_path)
    taken = [files.write(f"{number:02x}", TOKENS, STATE) is not None for number in range(6)]
    assert taken == [True, True, True, False, False, False]
    assert files.write("00", TOKENS, STATE) is not None, "a newer state takes its former one's place"
    go_on.set()
    files.flush(10)
    assert len(names(tmp_path)) == 3


# --- a disk that refuses ---------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "states").write_text("a file is in the way")
    files = open_files(tmp_path / "states")
    assert files.load_index() == []
    for _ in range(3):
        stored = store(files)
        assert files.read(stored) is None
    files.forget(CHAT)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "saved states, so some chats are read again" in record.message


def test_a_disk_that_runs_full_leaves_the_former_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_files(tmp_path)
    former = store(files)

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("webui.engine.state_files.write_state", fail)
    store(files, tokens=[1, 2, 3], state=b"newer")
    assert files.read(former) == STATE
    assert names(tmp_path) == {f"{CHAT}/{MODEL}.kv"}, "no half a file is left"


def test_what_a_crashed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / CHAT
    folder.mkdir()
    old, young = folder / "abandoned.tmp", folder / "in-use.tmp"
    for path in (old, young):
        path.write_bytes(b"half a st")
    os.utime(old, (0, 0))
    assert open_files(tmp_path).load_index() == []
    assert names(tmp_path) == {f"{CHAT}/in-use.tmp"}


def test_two_engines_may_write_the_same_chat_at_once(tmp_path: Path) -> None:
    writers = [open_files(tmp_path) for _ in range(3)]
    for round_number in range(10):
        for number, files in enumerate(writers):
            files.write(CHAT, [number, round_number], bytes([number]) * 50_000)
    for files in writers:
        files.flush(10)
    files = open_files(tmp_path)
    (stored,) = files.load_index()
    number, round_number = stored.tokens
    assert round_number == 9
    assert files.read(stored) == bytes([number]) * 50_000
    assert names(tmp_path) == {f"{CHAT}/{MODEL}.kv"}


# --- the key ---------------------------------------------------------------------------------------------------------


OPTIONS = EngineOptions(context_tokens=1024, kv_tokens=4096, num_slots=4, kv_layout="separate")


def key_of(path: Path, options: EngineOptions = OPTIONS) -> str:
    return state_key(Load(model_path=str(path), options=options), options)


def test_the_key_is_the_same_for_what_gives_the_same_states(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF" + bytes(3 * MEGABYTE))
    key = key_of(model)
    assert len(key) == 32 and int(key, 16) >= 0
    longer = EngineOptions(context_tokens=2048, kv_tokens=8192, num_slots=4, kv_layout="separate", threads=2)
    assert key_of(model, longer) == key
    assert key_of(model.rename(tmp_path / "moved.gguf")) == key, "wherever the file lies"


def test_the_key_changes_with_the_model_and_the_shape_of_the_memory(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF" + bytes(3 * MEGABYTE))
    changes: list[dict[str, object]] = [
        {},
        {"num_slots": 2},
        {"kv_layout": "shared"},
        {"kv_type": "q8_0"},
        {"flash_attention": "off"},
    ]
    keys = [key_of(model, msgspec.structs.replace(OPTIONS, **change)) for change in changes]
    before = model.stat()
    model.write_bytes(b"GGUF" + bytes(3 * MEGABYTE - 1) + b"x")
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    keys.append(key_of(model))
    os.utime(model, ns=(1, 1))
    keys.append(key_of(model))
    assert len(set(keys)) == len(keys)


def test_every_part_of_a_split_model_counts(tmp_path: Path) -> None:
    first, second = (tmp_path / f"model-0000{number}-of-00002.gguf" for number in (1, 2))
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    key = key_of(first)
    second.write_bytes(b"2222")
    assert key_of(first) != key


def test_a_model_that_cannot_be_looked_at_has_no_states(tmp_path: Path) -> None:
    assert key_of(tmp_path / "gone.gguf") != key_of(tmp_path / "gone.gguf")
