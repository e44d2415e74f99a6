"""Who may come in from another machine, and how little one learns by guessing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from argon2 import PasswordHasher

from webui.core.access import Access
from webui.core.attempts import FREE_ATTEMPTS, FREE_ATTEMPTS_OVERALL, AttemptLimiter
from webui.core.passphrase import make_passphrase, normalise
from webui.errors import ConfigurationError, TooManyAttempts, WeakPassphrase, WrongPassphrase
from webui.store.database import Database
from webui.store.sessions import SessionStore

HERE, THERE = "192.168.1.20", "192.168.1.21"
PHRASE = "correct horse"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountingHasher(PasswordHasher):
    """argon2 with a cheap setting, and a count of how often it was asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.num_verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
        self.num_verified += 1
        return super().verify(hash, password)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest_asyncio.fixture
async def access(database: Database, clock: Clock, hasher: CountingHasher) -> AsyncIterator[Access]:
    access = await open_access(database, clock, hasher)
    await access.ensure_passphrase()
    await access.change_passphrase(PHRASE)
    yield access


async def open_access(
    database: Database, clock: Clock, hasher: CountingHasher, *, passphrase: str | None = None
) -> Access:
    """As at a start of the server: only what is stored is known."""
    access = Access(SessionStore(database), passphrase=passphrase, limiter=AttemptLimiter(clock), hasher=hasher)
    await access.load()
    return access


# --- the passphrase ------------------------------------------------------------------------------------------------


def test_a_passphrase_is_easy_to_read_and_hard_to_guess() -> None:
    made = {make_passphrase() for _ in range(200)}
    assert len(made) == 200
    letters = {letter for passphrase in made for letter in passphrase if letter != "-"}
    assert not letters & set("0o1liIO")
    assert all([len(group) for group in passphrase.split("-")] == [4, 4, 4, 4] for passphrase in made)
    assert 16 * math.log2(len(letters)) >= 60


def test_a_passphrase_made_here_may_be_typed_in_any_way() -> None:
    passphrase = make_passphrase()
    for typed in (passphrase.upper(), passphrase.replace("-", ""), f"  {passphrase.replace('-', ' ')}\n"):
        assert normalise(typed) == passphrase
    assert normalise("My Own Secret!") == "My Own Secret!"


async def test_the_passphrase_is_shown_once_and_stored_as_a_hash_only(
    database: Database, clock: Clock, hasher: CountingHasher
) -> None:
    access = await open_access(database, clock, hasher)
    passphrase = await access.ensure_passphrase()
    assert passphrase is not None
    assert await access.ensure_passphrase() is None
    restarted = await open_access(database, clock, hasher)
    assert await restarted.ensure_passphrase() is None
    await restarted.verify_key(passphrase, HERE)
    token = await restarted.sign_in(passphrase, HERE, "Ada's phone")
    stored = [
        str(value)
        for table in ("passphrase", "sessions")
        for row in await database.fetch_all(f"SELECT * FROM {table}")
        for value in row
    ]
    assert not any(passphrase in value or token in value for value in stored)


async def test_before_there_is_a_passphrase_nobody_comes_in(
    database: Database, clock: Clock, hasher: CountingHasher
) -> None:
    access = await open_access(database, clock, hasher)
    for guess in ("", "anything"):
        with pytest.raises(WrongPassphrase):
            await access.verify_key(guess, HERE)


async def test_a_changed_passphrase_ends_all_sessions_but_ones_own(access: Access) -> None:
    mine = await access.sign_in(PHRASE, HERE, "desk")
    theirs = await access.sign_in(PHRASE, THERE, "phone")
    await access.verify_key(PHRASE, HERE)
    pairing = access.create_pairing()
    await access.change_passphrase("another secret", keep_token=mine)
    assert await access.is_session(mine)
    assert not await access.is_session(theirs)
    with pytest.raises(WrongPassphrase):
        await access.verify_key(PHRASE, HERE)
    with pytest.raises(WrongPassphrase):
        await access.redeem_pairing(pairing, HERE, "")
    await access.verify_key("another secret", HERE)


async def test_a_weak_passphrase_is_refused(access: Access) -> None:
    with pytest.raises(WeakPassphrase):
        await access.change_passphrase("  short   ")
    await access.verify_key(PHRASE, HERE)


async def test_a_passphrase_from_the_settings_counts_and_is_not_changed_in_the_page(
    database: Database, clock: Clock, hasher: CountingHasher
) -> None:
    access = await open_access(database, clock, hasher, passphrase="from the settings")
    assert await access.ensure_passphrase() is None
    token = await access.sign_in("from the settings", HERE, "")
    with pytest.raises(ConfigurationError):
        await access.change_passphrase("a new passphrase")

    same = await open_access(database, clock, hasher, passphrase="from the settings")
    await same.ensure_passphrase()
    assert await same.is_session(token)
    other = await open_access(database, clock, hasher, passphrase="another setting")
    await other.ensure_passphrase()
    assert not await other.is_session(token)


# --- sessions ------------------------------------------------------------------------------------------------------


async def test_a_browser_signs_in_once_and_stays_signed_in_over_restarts(
    access: Access, database: Database, clock: Clock, hasher: CountingHasher
) -> None:
    token = await access.sign_in(PHRASE, HERE, "phone")
    assert await access.is_session(token)
    restarted = await open_access(database, clock, hasher)
    assert await restarted.is_session(token)
    await restarted.sign_out(token)
    assert not await restarted.is_session(token)
    assert not await restarted.is_session("made up")
    assert not await (await open_access(database, clock, hasher)).is_session(token)


async def test_a_full_disk_keeps_nobody_out(
    access: Access, database: Database, clock: Clock, hasher: CountingHasher
) -> None:
    token = await access.sign_in(PHRASE, HERE, "phone")
    restarted = await open_access(database, clock, hasher)
    await database.fetch_all("PRAGMA query_only = ON")
    assert await restarted.is_session(token)


async def test_a_browser_not_seen_for_half_a_year_signs_in_again(
    access: Access, database: Database, clock: Clock, hasher: CountingHasher
) -> None:
    old, fresh = await access.sign_in(PHRASE, HERE, "old"), await access.sign_in(PHRASE, HERE, "fresh")
    async with database.transaction() as connection:
        await connection.execute("UPDATE sessions SET seen_at = seen_at - 181 * 86400 WHERE label = 'old'")
    restarted = await open_access(database, clock, hasher)
    assert [await restarted.is_session(token) for token in (old, fresh)] == [False, True]


async def test_a_pairing_link_signs_one_browser_in_once(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await access.redeem_pairing(pairing := access.create_pairing(), THERE, "phone")
    assert await access.is_session(token)
    with pytest.raises(WrongPassphrase):
        await access.redeem_pairing(pairing, THERE, "phone")


async def test_a_pairing_link_is_good_for_ten_minutes(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    pairing = access.create_pairing()
    now = time.monotonic()
    monkeypatch.setattr("webui.core.access.time.monotonic", lambda: now + 601)
    with pytest.raises(WrongPassphrase):
        await access.redeem_pairing(pairing, THERE, "phone")


# --- keys and guessing ---------------------------------------------------------------------------------------------


async def test_a_program_pays_for_the_slow_check_once(access: Access, hasher: CountingHasher) -> None:
    for _ in range(50):
        await access.verify_key(PHRASE, HERE)
    assert hasher.num_verified == 1
    with pytest.raises(WrongPassphrase):
        await access.verify_key("wrong " + PHRASE, HERE)
    assert hasher.num_verified == 2


async def test_who_guesses_waits_longer_each_time_and_others_do_not(access: Access, clock: Clock) -> None:
    for _ in range(FREE_ATTEMPTS):
        with pytest.raises(WrongPassphrase):
            await access.sign_in("guess", HERE, "")
    waits = []
    for _ in range(4):
        with pytest.raises(TooManyAttempts) as caught:
            await access.sign_in(PHRASE, HERE, "")
        waits.append(float(caught.value.details["retry_after"] or 0))
        clock.now += waits[-1]
        with pytest.raises(WrongPassphrase):
            await access.sign_in("guess", HERE, "")
    assert waits == [1.0, 2.0, 4.0, 8.0]
    await access.sign_in(PHRASE, THERE, "")
    clock.now += 16.0
    await access.sign_in(PHRASE, HERE, "")
    with pytest.raises(WrongPassphrase):
        await access.sign_in("guess", HERE, "")  # free again after a right one


async def test_guessing_with_keys_is_no_faster_even_when_the_right_one_is_known_already(
    access: Access, hasher: CountingHasher
) -> None:
    await access.verify_key(PHRASE, THERE)
    for _ in range(FREE_ATTEMPTS):
        with pytest.raises(WrongPassphrase):
            await access.verify_key("guess", HERE)
    with pytest.raises(TooManyAttempts):
        await access.verify_key(PHRASE, HERE)
    await access.verify_key(PHRASE, THERE)


async def test_many_guesses_at_once_count_as_many(access: Access, hasher: CountingHasher) -> None:
    outcomes = await asyncio.gather(
        *(access.sign_in(f"guess {number}", HERE, "") for number in range(40)), return_exceptions=True
    )
    assert sum(isinstance(outcome, WrongPassphrase) for outcome in outcomes) == FREE_ATTEMPTS
    assert sum(isinstance(outcome, TooManyAttempts) for outcome in outcomes) == 40 - FREE_ATTEMPTS
    assert hasher.num_verified == FREE_ATTEMPTS


def test_guessing_from_many_addresses_is_slowed_down_as_a_whole_but_never_for_long() -> None:
    clock = Clock()
    limiter = AttemptLimiter(clock)
    for number in range(FREE_ATTEMPTS_OVERALL):
        limiter.begin(f"10.0.{number // 200}.{number % 200}")
    with pytest.raises(TooManyAttempts):
        limiter.check(HERE)
    for _ in range(20):
        clock.now += 10.0
        limiter.begin(f"10.1.0.{clock.now}")
    clock.now += 10.0
    limiter.check(HERE)


def test_a_guest_who_guesses_keeps_nobody_out_who_was_right_before() -> None:
    clock = Clock()
    limiter = AttemptLimiter(clock)
    for device in (HERE, "2001:db8::2"):
        limiter.begin(device)
        limiter.succeed(device)
    for number in range(FREE_ATTEMPTS_OVERALL):
        limiter.begin(f"10.0.0.{number}")
    for number in range(FREE_ATTEMPTS):
        clock.now += 10.0
        limiter.begin(f"2001:db8::bad:{number}")
    for stranger in (THERE, "2001:db8::3"):
        with pytest.raises(TooManyAttempts):
            limiter.check(stranger)
    for device in (HERE, "2001:db8::2"):
        limiter.check(device)
        for _ in range(FREE_ATTEMPTS):
            limiter.begin(device)
        with pytest.raises(TooManyAttempts):
            limiter.check(device)


def test_one_ipv6_host_is_one_address_and_a_mapped_ipv4_is_itself() -> None:
    limiter = AttemptLimiter(Clock())
    for number in range(FREE_ATTEMPTS):
        limiter.begin(f"2001:db8::{number + 1:x}")
        limiter.begin("::ffff:192.168.1.20" if number % 2 else "192.168.1.20")
    for address in ("2001:db8::ffff", "192.168.1.20"):
        with pytest.raises(TooManyAttempts):
            limiter.check(address)
    limiter.check("2001:db8:1::1")


def test_old_attempts_and_too_many_addresses_are_forgotten() -> None:
    clock = Clock()
    limiter = AttemptLimiter(clock)
    for _ in range(FREE_ATTEMPTS):
        limiter.begin(HERE)
    clock.now += 901
    limiter.check(HERE)
    for number in range(5000):
        clock.now += 10.0 if number >= FREE_ATTEMPTS_OVERALL else 0.0
        limiter.begin(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter._records) <= 4096
