"""A doctor for clients: what a program has to be told to use this server, and whether what it would ask works.

`clients` are the programs (`webui/clients.toml`), `place` is this server as they see it, `render` puts the two
together, and `trial` makes the requests that such a program makes.
"""

from __future__ import annotations

from webui.core.connect.clients import Client, find_client, load_clients
from webui.core.connect.place import Place, find_place
from webui.core.connect.render import Configuration, render
from webui.core.connect.trial import Step, try_client, try_here

__all__ = [
    "Client",
    "Configuration",
    "Place",
    "Step",
    "find_client",
    "find_place",
    "load_clients",
    "render",
    "try_client",
    "try_here",
]
