"""Which names and origins are ours."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webui.api.door.hosts import is_allowed_host, is_local_path, is_loopback, is_same_origin, own_names, split_host

NAMES = own_names("Attic.example.org")


@pytest.mark.parametrize(
    "host",
    ["localhost:8002", "127.0.0.1", "192.168.1.5:8002", "[::1]:8002", "[fe80::1]", "attic", "ATTIC.local:8002",
     "attic.lan", "attic.fritz.box", "attic.example.org", "localhost."],
)  # fmt: skip
def test_addresses_and_own_names_are_answered(host: str) -> None:
    assert is_allowed_host(host, NAMES)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "attic.evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", ":8002", "a b",
     "localhost:port", "localhost:99999", "user@localhost", "localhost/path", "[::1", "127.0.0.1,evil.example"],
)  # fmt: skip
def test_a_name_that_anybody_can_point_here_is_not(host: str) -> None:
    assert not is_allowed_host(host, NAMES)


@pytest.mark.parametrize(
    ("origin", "host"),
    [("http://localhost:8002", "localhost:8002"), ("https://chat.example", "chat.example"),
     ("https://chat.example", "chat.example:443"), ("http://[::1]:8002", "[::1]:8002")],
)  # fmt: skip
def test_our_own_page_may_ask(origin: str, host: str) -> None:
    assert is_same_origin(origin, host)


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://evil.example", "http://localhost:8003", "http://localhost", "file://", "http://localhost:x",
     "https://evil.example#localhost:8002", "http://localhost:8002.evil.example", "chrome-extension://localhost:8002"],
)  # fmt: skip
def test_a_foreign_page_may_not(origin: str) -> None:
    assert not is_same_origin(origin, "localhost:8002")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["192.168.1.5", "::ffff:10.0.0.1", "", "testclient", "::"])
def test_not_loopback(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("target", ["/", "/c/abc?x=1", "/docs#/OpenAI"])
def test_a_path_of_ours(target: str) -> None:
    assert is_local_path(target)


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\nb"])
def test_a_way_out(target: str) -> None:
    assert not is_local_path(target)


@given(st.text())
@example("http://[::1")
@example("[")
@example("http://[not-an-address]")
def test_no_header_breaks_the_reading(text: str) -> None:
    """Nonsense is refused, never an exception: the gate stands before everything."""
    answers = (is_allowed_host(text, NAMES), is_same_origin(text, text), is_loopback(text))
    assert all(isinstance(answer, bool) for answer in answers)
    assert isinstance(split_host(text), tuple | None)
