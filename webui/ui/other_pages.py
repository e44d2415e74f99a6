"""Open pages of browsers that have just been signed out: sent to the sign-in page, and let go of.

A socket that is open passed the gate when it was opened, so ending a session has to end the session's pages too.
"""

from __future__ import annotations

import asyncio

from nicegui import Client, background_tasks

_GRACE_SECONDS = 2.0


def reload_signed_out(keep_session: str | None) -> None:
    """Every page that came in with a session other than this one; pages of this machine itself stay."""
    for client in list(Client.instances.values()):
        session = client.request.cookies.get("glasshouse_session") if client.has_socket_connection else None
        if session is not None and session != keep_session and not _is_this_machine(client):
            client.run_javascript("location.reload()")
            background_tasks.create(_delete_soon(client), name="let go of a signed-out page")


def _is_this_machine(client: Client) -> bool:
    return getattr(client.request.state, "owner", "") == "this machine"


async def _delete_soon(client: Client) -> None:
    """A browser that does not obey is cut off all the same."""
    await asyncio.sleep(_GRACE_SECONDS)
    if client.id in Client.instances:
        client.delete()
