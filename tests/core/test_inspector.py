"""What the inspector keeps: within bounds, without secrets, and only while it is on."""

from __future__ import annotations

import pytest
import pytest_asyncio

from webui.config import Settings
from webui.core.body_facts import BodyFacts, read_facts
from webui.core.exchange import MAX_BODY_BYTES, MAX_TEXT_CHARACTERS, Arrived, Exchange, SeenAnswer
from webui.core.inspector import HIDDEN, Inspector, hide_in_query, hide_secrets, is_allowed
from webui.core.wire import Wire
from webui.errors import InvalidRequest
from webui.store.database import Database
from webui.store.preferences import Preferences
from webui.types import ContextTrimmed, ReasoningDelta, TextDelta, ToolCallDelta

CHAT = Arrived(method="POST", path="/v1/chat/completions", query="", dialect="OpenAI")


@pytest_asyncio.fixture
async def preferences(database: Database) -> Preferences:
    return Preferences(database)


@pytest_asyncio.fixture
async def inspector(preferences: Preferences) -> Inspector:
    inspector = Inspector(preferences, Wire(), max_exchanges=3, max_bytes=4000)
    await inspector.switch(True)
    return inspector


def begin(inspector: Inspector) -> Exchange:
    exchange = inspector.begin(CHAT)
    assert exchange is not None
    return exchange


async def test_nothing_is_kept_until_somebody_wants_it(preferences: Preferences) -> None:
    inspector = Inspector(preferences, Wire())
    assert not inspector.is_on
    assert inspector.begin(CHAT) is None
    await inspector.switch(True)
    assert begin(inspector).is_running
    assert Inspector(preferences, Wire()).is_on, "the choice outlives the server"


async def test_switching_off_forgets_everything(inspector: Inspector) -> None:
    exchange = begin(inspector)
    await inspector.switch(False)
    assert inspector.exchanges == ()
    exchange.send(b"one that still runs goes on")
    assert inspector.num_bytes == 0


async def test_the_oldest_make_room(inspector: Inspector) -> None:
    first, *others = [begin(inspector) for _ in range(4)]
    assert inspector.exchanges == tuple(others), "no more than three"
    others[0].receive(b"x" * 3000)
    others[2].receive(b"y" * 3000)
    assert inspector.exchanges == (others[1], others[2]), "no more than 4,000 bytes"
    first.receive(b"z" * 3000)
    assert inspector.num_bytes < 4000, "what is no longer kept counts no more"
    with pytest.raises(InvalidRequest, match="no longer kept"):
        inspector.get(first.id)


async def test_what_is_too_long_is_cut_with_a_mark(inspector: Inspector) -> None:
    exchange = begin(inspector)
    for _ in range(3):
        exchange.receive(b"x" * (MAX_BODY_BYTES // 2))
    assert len(exchange.request.data) + exchange.request.num_left_out == 3 * (MAX_BODY_BYTES // 2)
    assert exchange.request.cost <= MAX_BODY_BYTES
    with pytest.raises(InvalidRequest, match="too long"):
        inspector.replay(exchange.id)
    answer = SeenAnswer("m")
    answer.take(TextDelta(text="w" * (MAX_TEXT_CHARACTERS + 7)))
    assert (len(str(answer.text)), answer.text.num_left_out) == (MAX_TEXT_CHARACTERS, 7)


async def test_small_pieces_without_end_stay_within_the_limit(inspector: Inspector) -> None:
    exchange = begin(inspector)
    for _ in range(20_000):
        exchange.send(b"x")
    assert exchange.response.cost <= MAX_BODY_BYTES
    assert exchange.response.num_left_out > 0


def test_keys_and_cookies_are_not_kept() -> None:
    hidden = hide_secrets({"Authorization": "Bearer abc", "X-API-Key": "abc", "Cookie": "a=abc", "Accept": "text/html"})
    assert dict(hidden) == {
        "authorization": f"Bearer {HIDDEN}",
        "x-api-key": HIDDEN,
        "cookie": HIDDEN,
        "accept": "text/html",
    }
    assert hide_in_query("model=a&key=abc&x") == f"model=a&key={HIDDEN}&x"


def test_what_an_answer_says_is_put_together() -> None:
    answer = SeenAnswer("m")
    for event in (
        ContextTrimmed(num_messages=2),
        ReasoningDelta(text="hm"),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        ToolCallDelta(index=0, id="1", name="weather", arguments='{"city": '),
        ToolCallDelta(index=0, arguments='"Bern"}'),
    ):
        answer.take(event)
    assert (str(answer.reasoning), str(answer.text), answer.num_dropped_messages) == ("hm", "Hello", 2)
    [call] = answer.calls
    assert (call.name, str(call.arguments)) == ("weather", '{"city": "Bern"}')


@pytest.mark.parametrize(
    ("owner", "inspect_from", "may_look"),
    [
        ("this machine", "machine", True),
        ("session abc", "machine", False),
        ("key abc", "machine", False),
        ("session abc", "house", True),
    ],
)
def test_guests_do_not_see_what_others_ask(owner: str, inspect_from: str, may_look: bool) -> None:
    settings = Settings(inspect_from=inspect_from, _env_file=None)  # type: ignore[call-arg, arg-type]
    assert is_allowed(owner, settings) is may_look


@pytest.mark.parametrize(
    ("request_body", "response_body", "facts"),
    [
        ('{"model": "e"}', '{"usage": {"prompt_tokens": 4, "total_tokens": 4}}', BodyFacts("e", "", 4)),
        ('{"model": "e"}', '{"prompt_eval_count": 4, "embeddings": []}', BodyFacts("e", "", 4)),
        ("{}", '{"error": {"message": "No."}}', BodyFacts("", "No.")),
        ('{"model": 7}', '{"error": "No.", "usage": {"prompt_tokens": "many"}}', BodyFacts("", "No.")),
        ("[" * 9999, "\xff", BodyFacts()),
    ],
)
def test_what_bodies_tell_by_themselves(request_body: str, response_body: str, facts: BodyFacts) -> None:
    assert read_facts(request_body.encode(), response_body.encode()) == facts
