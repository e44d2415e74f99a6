"""What the terminal shows when the server is up."""

from __future__ import annotations

from typing import Any

import pytest

from webui.cli.banner import local_url, print_banner, sign_in_url
from webui.config import Settings
from webui.core.network import find_lan_addresses, share_urls


def shown(capsys: pytest.CaptureFixture[str], urls: list[str], passphrase: str | None, **settings: Any) -> str:
    print_banner(Settings(**settings), urls, passphrase)
    return capsys.readouterr().out


def test_alone(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, [], None, port=8002)
    assert "http://localhost:8002" in text
    assert "Passphrase" not in text
    assert "Stop" in text


def test_shared_with_a_new_passphrase(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, ["http://192.168.1.5:8002"], "abcd-efgh-jkmn-pqrs", lan=True)
    assert "http://192.168.1.5:8002" in text
    assert "abcd-efgh-jkmn-pqrs" in text
    assert "http://localhost:8002/signin#abcd-efgh-jkmn-pqrs" in text, "one click, also out of a container's log"
    assert "glasshouse passphrase" in text


def test_shared_again(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, ["http://192.168.1.5:8002"], None, lan=True)
    assert "the one that you know" in text
    assert "everybody who reaches this port" in shown(capsys, [], None, lan=True, sign_in=False)


def test_the_first_visitor_is_told_of_while_awaited(capsys: pytest.CaptureFixture[str]) -> None:
    told = "The first browser that opens the page is let in; others need the passphrase"
    print_banner(Settings(lan=True), [], "abcd-efgh-jkmn-pqrs", awaits_first_visitor=True)
    assert told in capsys.readouterr().out
    assert told not in shown(capsys, [], "abcd-efgh-jkmn-pqrs", lan=True)


def test_the_code_carries_a_passphrase_only_when_it_is_new() -> None:
    url = "http://192.168.1.5:8002"
    assert sign_in_url(url, "abcd") == f"{url}/signin#abcd"
    assert sign_in_url(url, None) == url


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://localhost:8002"), ("0.0.0.0", "http://localhost:8002"), ("::1", "http://[::1]:8002"),
     ("192.168.1.5", "http://192.168.1.5:8002")],
)  # fmt: skip
def test_the_address_to_open_here(host: str, url: str) -> None:
    assert local_url(Settings(host=host, port=8002)) == url


def test_addresses_to_share() -> None:
    assert share_urls(8002, "127.0.0.1") == []
    assert share_urls(8002, "192.168.1.5") == ["http://192.168.1.5:8002"]
    assert share_urls(8002, "0.0.0.0") == [f"http://{address}:8002" for address in find_lan_addresses()]
    assert not any(address.startswith("127.") for address in find_lan_addresses())
