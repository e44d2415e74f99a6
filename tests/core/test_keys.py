"""API keys: made once, stored as hashes, opened by their secret, counted, revoked at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.core.waiting import until_async
from webui.core import keys as keys_module
from webui.core.keys import TOKEN_PREFIX, ApiKeys, is_key
from webui.core.tokens import make_token
from webui.errors import InvalidKey, InvalidRequest, RateLimited, StoreError, UnknownKey
from webui.store.database import Database
from webui.store.keys import KeyLimits, KeyStore
from webui.types import Usage

USAGE = Usage(prompt_tokens=100, cached_tokens=90, completion_tokens=20)


@pytest_asyncio.fixture
async def keys(database: Database) -> AsyncIterator[ApiKeys]:
    opened = await restart(database)
    yield opened
    await opened.close()


async def restart(database: Database) -> ApiKeys:
    keys = ApiKeys(KeyStore(database))
    await keys.load()
    return keys


async def test_a_key_opens_after_a_restart_and_only_its_hash_is_stored(keys: ApiKeys, database: Database) -> None:
    made, token = await keys.create("editor", ["models", "inference"], limits=KeyLimits(requests_per_minute=5))
    assert is_key(token)
    assert token.startswith("gh-")
    assert made.scopes == ("inference", "models")
    again = (await restart(database)).open(token).key
    assert (again.id, again.name, again.scopes, again.limits) == (made.id, "editor", made.scopes, made.limits)
    for row in await database.fetch_all("SELECT * FROM api_keys"):
        assert not any(token in str(value) for value in row)
    assert token not in repr(made)


async def test_keys_are_random() -> None:
    tokens = {TOKEN_PREFIX + make_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(is_key(token) for token in tokens)


@pytest.mark.parametrize("text", ["", "gh-", "gh-short", "sk-" + "a" * 43, "correct horse battery", "gh-" + "ü" * 43])
def test_what_others_call_a_key_is_none_of_ours(text: str) -> None:
    assert not is_key(text)


async def test_what_is_not_known_expired_or_revoked_opens_nothing(
    keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidKey, match="not known"):
        keys.open("gh-" + "A" * 43)
    brief, brief_token = await keys.create("brief", ["inference"], expires_days=1)
    gone, gone_token = await keys.create("gone", ["inference"])
    await keys.revoke(gone.id)
    with pytest.raises(InvalidKey):
        keys.open(gone_token)
    with pytest.raises(UnknownKey):
        await keys.revoke(gone.id)
    opened = keys.open(brief_token)
    assert opened.id == brief.id
    assert brief.expires_at is not None
    monkeypatch.setattr("webui.store.keys.time.time", lambda: brief.expires_at)
    with pytest.raises(InvalidKey, match="expired"):
        keys.open(brief_token)
    with pytest.raises(InvalidKey, match="expired"), opened.admit():  # over a socket that is open since
        pass


async def test_a_revoked_key_stays_revoked_after_a_restart_and_one_that_could_not_be_does_not_vanish(
    keys: ApiKeys, database: Database
) -> None:
    made, token = await keys.create("editor", ["inference"])
    await database.fetch_all("PRAGMA query_only = ON")
    with pytest.raises(StoreError):
        await keys.revoke(made.id)
    assert [key.id for key in keys.all()] == [made.id]
    await database.fetch_all("PRAGMA query_only = OFF")
    await keys.revoke(made.id)
    with pytest.raises(InvalidKey):
        (await restart(database)).open(token)


async def test_what_runs_under_a_revoked_key_ends_and_nothing_else_does(keys: ApiKeys) -> None:
    (mine, my_token), (_, other_token) = await keys.create("mine", ["inference"]), await keys.create("o", ["inference"])
    begun = asyncio.Semaphore(0)

    async def answer(token: str) -> None:
        with keys.open(token).revocable():
            begun.release()
            await asyncio.Event().wait()

    running = [asyncio.create_task(answer(token)) for token in (my_token, my_token, other_token)]
    for _ in running:
        await begun.acquire()
    await keys.revoke(mine.id)
    for task in running[:2]:
        with pytest.raises(InvalidKey, match="revoked"):
            await task
        assert not task.cancelling()
    assert not running[2].done()
    running[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await running[2]


async def test_what_runs_without_a_connection_hears_of_it(keys: ApiKeys) -> None:
    heard: list[str] = []

    async def end(key_id: str) -> None:
        heard.append(key_id)

    keys.when_revoked(end)
    made, _ = await keys.create("batches", ["inference"])
    assert heard == []
    await keys.revoke(made.id)
    assert heard == [made.id]


async def test_who_revokes_the_key_that_lets_them_in_is_still_answered(keys: ApiKeys) -> None:
    made, token = await keys.create("admin", ["admin"])
    with keys.open(token).revocable():
        await keys.revoke(made.id)
        await asyncio.sleep(0)


async def test_a_client_that_leaves_while_its_key_is_revoked_is_just_gone(keys: ApiKeys) -> None:
    made, token = await keys.create("mine", ["inference"])

    async def answer() -> None:
        with keys.open(token).revocable():
            await asyncio.Event().wait()

    running = asyncio.create_task(answer())
    await asyncio.sleep(0)
    await keys.revoke(made.id)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "  "}, "1 to 60"),
        ({"name": "x" * 61}, "1 to 60"),
        ({"name": "a\x1b[31m"}, "1 to 60"),
        ({"name": " TAKEN "}, "already"),
        ({"scopes": []}, "inference, models, admin"),
        ({"scopes": ["root"]}, "inference, models, admin"),
        ({"expires_days": 0}, "3,650 days"),
        ({"expires_days": float("nan")}, "3,650 days"),
        ({"limits": KeyLimits(requests_per_minute=0)}, "from 1 on"),
        ({"limits": KeyLimits(tokens_per_minute=-1)}, "from 1 on"),
    ],
)
async def test_what_makes_no_key_is_said(keys: ApiKeys, change: dict[str, object], says: str) -> None:
    await keys.create("taken", ["inference"])
    with pytest.raises(InvalidRequest, match=says):
        await keys.create(**{"name": "new", "scopes": ["inference"]} | change)  # type: ignore[arg-type]


# --- what was used -------------------------------------------------------------------------------------------------


async def test_what_was_used_is_known_at_once_and_after_a_restart(keys: ApiKeys, database: Database) -> None:
    made, token = await keys.create("editor", ["inference"])
    for _ in range(3):
        with keys.open(token).admit():
            keys.charge(made.id, USAGE)
    keys.charge("session 0123", USAGE)  # a person's: counted by nobody
    usage = keys.get(made.id).usage
    assert (usage.num_requests, usage.prompt_tokens, usage.generated_tokens) == (3, 300, 60)
    assert usage.used_at is not None
    await keys.close()
    assert (await restart(database)).get(made.id).usage == usage


async def test_counts_are_written_together_every_few_seconds(
    keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "WRITE_SECONDS", 0.01)
    made, token = await keys.create("editor", ["inference"])
    num_written = count_writes(keys, monkeypatch)
    for _ in range(500):
        with keys.open(token).admit():
            pass

    async def is_written() -> bool:
        return (await restart(database)).get(made.id).usage.num_requests == 500

    await until_async(is_written)
    assert num_written() == 1


async def test_a_full_disk_loses_no_count(keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made, token = await keys.create("editor", ["inference"])
    with keys.open(token).admit():
        keys.charge(made.id, USAGE)
    await database.fetch_all("PRAGMA query_only = ON")
    await keys._write_down()
    await database.fetch_all("PRAGMA query_only = OFF")
    with keys.open(token).admit():
        pass
    await keys.close()
    usage = (await restart(database)).get(made.id).usage
    assert (usage.num_requests, usage.prompt_tokens, usage.generated_tokens) == (2, 100, 20)


def count_writes(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    written: list[object] = []
    write = keys._store.add_usage

    async def add_usage(used: object) -> None:
        written.append(used)
        await write(used)  # type: ignore[arg-type]

    monkeypatch.setattr(keys._store, "add_usage", add_usage)
    return lambda: len(written)


async def test_tokens_count_against_the_keys_minute(keys: ApiKeys) -> None:
    made, token = await keys.create("editor", ["inference"], limits=KeyLimits(tokens_per_minute=150))
    for _ in range(2):
        with keys.open(token).admit():
            keys.charge(made.id, USAGE)
    with pytest.raises(RateLimited, match="150 tokens a minute"), keys.open(token).admit():
        pass


async def test_a_damaged_row_opens_nothing_and_keeps_no_other_key_out(keys: ApiKeys, database: Database) -> None:
    (bad, bad_token), (good, good_token) = await keys.create("bad", ["inference"]), await keys.create("g", ["models"])
    async with database.transaction() as connection:
        await connection.execute("UPDATE api_keys SET scopes = '[\"root\"]' WHERE id = ?", (bad.id,))
    again = await restart(database)
    assert again.open(good_token).id == good.id
    with pytest.raises(InvalidKey):
        again.open(bad_token)


async def test_a_lent_key_may_do_everything_and_is_listed_nowhere(keys: ApiKeys, database: Database) -> None:
    token = keys.lend()
    assert keys.open(token).key.may("models")
    assert keys.all() == []
    with pytest.raises(InvalidKey):
        (await restart(database)).open(token)


async def test_two_keys_never_share_a_name(keys: ApiKeys) -> None:
    made = await asyncio.gather(*(keys.create("twin", ["inference"]) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, tuple) for each in made) == 1
