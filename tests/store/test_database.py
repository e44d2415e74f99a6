"""The database file: made, brought up to date, refused in words when it cannot be used, whole after every mishap."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import aiosqlite
import pytest

from webui.errors import ConfigurationError, StoreFailed
from webui.store.database import Database
from webui.store.migrations import MIGRATIONS


async def test_a_new_database_is_private_up_to_date_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data" / "glasshouse.db"
    database = await Database.open(path)
    try:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        for pragma, expected in (
            ("user_version", len(MIGRATIONS)),
            ("journal_mode", "wal"),
            ("foreign_keys", 1),
            ("synchronous", 1),  # NORMAL
            ("busy_timeout", 5000),
        ):
            row = await database.fetch_one(f"PRAGMA {pragma}")
            assert row is not None and row[0] == expected, pragma
    finally:
        await database.close()


async def test_an_old_database_gets_the_migrations_it_lacks_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "glasshouse.db"

    async def first(connection: aiosqlite.Connection) -> None:
        await connection.execute("CREATE TABLE letters (letter TEXT)")
        await connection.execute("INSERT INTO letters VALUES ('a')")

    async def second(connection: aiosqlite.Connection) -> None:
        await connection.execute("ALTER TABLE letters ADD COLUMN number INTEGER DEFAULT 1")

    await (await Database.open(path, [first])).close()
    database = await Database.open(path, [first, second])
    try:
        assert [tuple(row) for row in await database.fetch_all("SELECT * FROM letters")] == [("a", 1)]
    finally:
        await database.close()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "glasshouse.db"

    async def half(connection: aiosqlite.Connection) -> None:
        await connection.execute("CREATE TABLE half (a)")
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        await Database.open(path, [half])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


async def test_a_disk_too_full_for_a_new_database_is_said_at_the_start(tmp_path: Path) -> None:
    async def fill(connection: aiosqlite.Connection) -> None:
        await connection.execute("PRAGMA max_page_count = 2")
        await connection.execute("CREATE TABLE a (b)")
        await connection.execute("INSERT INTO a VALUES (zeroblob(1000000))")

    with pytest.raises(ConfigurationError, match="full"):
        await Database.open(tmp_path / "glasshouse.db", [fill])


async def test_a_database_of_a_newer_glasshouse_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "glasshouse.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(ConfigurationError, match="written by a newer Glasshouse"):
        await Database.open(path)


async def test_what_is_not_a_database_is_refused_in_words_and_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "glasshouse.db"
    path.write_bytes(b"my shopping list, not a database\n" * 100)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"cannot be used .*move it away"):
        await Database.open(path)
    assert path.read_bytes() == before


async def test_a_data_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="--data-dir"):
        await Database.open(tmp_path / "file" / "data" / "glasshouse.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await Database.open(tmp_path / "folder.db")


async def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(StoreFailed, match="no such table"):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO preferences VALUES ('a', '1')")
            await connection.execute("INSERT INTO nowhere VALUES (1)")
    assert await database.fetch_all("SELECT * FROM preferences") == []


async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_works(database: Database) -> None:
    inside = asyncio.Event()

    async def write_and_wait() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO preferences VALUES ('a', '1')")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_and_wait())
    await inside.wait()
    task.cancel()
    await asyncio.wait({task})
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO preferences VALUES ('b', '2')")
    assert [row[0] for row in await database.fetch_all("SELECT key FROM preferences")] == ["b"]


async def test_a_read_never_sees_half_of_a_transaction(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO preferences VALUES ('a', '1')")
        reading = asyncio.create_task(database.fetch_all("SELECT key FROM preferences"))
        await asyncio.sleep(0)
        await connection.execute("INSERT INTO preferences VALUES ('b', '2')")
        assert not reading.done()
    assert [row[0] for row in await reading] == ["a", "b"]


async def test_many_writers_at_once_do_not_mix(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO preferences VALUES (?, '1')", (f"a{number}",))
            if number % 3 == 0:
                raise KeyError(number)
            await connection.execute("INSERT INTO preferences VALUES (?, '1')", (f"b{number}",))

    await asyncio.gather(*(write(number) for number in range(30)), return_exceptions=True)
    rows = {row[0] for row in await database.fetch_all("SELECT key FROM preferences")}
    assert rows == {f"{letter}{number}" for number in range(30) if number % 3 for letter in "ab"}
