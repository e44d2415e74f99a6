"""glasshouse keys, with a server and without."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Glasshouse
from tests.conftest import ServerStarter


def test_a_key_is_made_listed_and_revoked_while_no_server_runs(glasshouse: Glasshouse) -> None:
    assert "no API keys" in glasshouse("keys", "list").stderr
    made = glasshouse("keys", "create", "Night owl", "--days", "30", "--requests-per-minute", "60")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert token.startswith("gh-")
    assert "shown this once" in made.stderr

    [key] = json.loads(glasshouse("keys", "list", "--json").stdout)
    assert (key["name"], key["scopes"], key["limits"]["requests_per_minute"]) == ("Night owl", ["inference"], 60)
    shown = glasshouse("keys", "list").stdout
    assert "Night owl" in shown
    assert token not in shown

    assert glasshouse("keys", "revoke", "night OWL").exit_code == 0
    assert json.loads(glasshouse("keys", "list", "--json").stdout) == []
    assert glasshouse("keys", "revoke", "night owl").exit_code == 3


@pytest.mark.parametrize("wrong", [("--scope", "root"), ("--days", "0"), ("--tokens-per-minute", "-5")])
def test_a_key_that_cannot_be_made_is_one_sentence(glasshouse: Glasshouse, wrong: tuple[str, str]) -> None:
    refused = glasshouse("keys", "create", "owl", *wrong)
    assert (refused.exit_code, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1)


def test_where_keys_are_required_the_terminal_of_the_same_person_gets_in(
    start_server: ServerStarter, folder: Path, glasshouse: Glasshouse
) -> None:
    """The first key has to come from somewhere; whoever reads the data folder may make it."""
    server = start_server(folder=folder, args=["--require-key"])
    assert httpx.get(f"{server.base_url}/v1/models", trust_env=False).status_code == 401
    assert stat.S_IMODE((server.data_dir / "server.json").stat().st_mode) == 0o600
    made = json.loads(glasshouse("keys", "create", "editor", "--json").stdout)
    sent = {"Authorization": f"Bearer {made['key']}"}
    assert httpx.get(f"{server.base_url}/v1/models", headers=sent, trust_env=False).status_code == 200
    elsewhere = ("keys", "list", "--server", server.base_url)
    assert glasshouse(*elsewhere).exit_code == 4
    assert glasshouse(*elsewhere, "--key", made["key"]).exit_code == 4, "it may ask models only"
    assert glasshouse("keys", "revoke", made["id"]).exit_code == 0
    assert httpx.get(f"{server.base_url}/v1/models", headers=sent, trust_env=False).status_code == 401
    server.stop()
    assert not (server.data_dir / "server.json").exists()
