"""What every route asks for: the Application, and who asks.

The composition root puts the Application and the `stopping` event into `app.state` through `api.add_routes`; the gate
puts the client's identity into the request's state.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

from fastapi import Depends, Request

from webui.core.application import Application


async def get_application(request: Request) -> Application:
    return cast("Application", request.app.state.application)


def get_stopping(request: Request) -> asyncio.Event:
    """Set when the server begins to stop: streams that would go on for minutes end then."""
    return cast("asyncio.Event", request.app.state.stopping)


async def get_owner(request: Request) -> str:
    """The person or program that fairness counts by, as the gate named it."""
    return cast("str", request.state.owner)


App = Annotated[Application, Depends(get_application)]
Owner = Annotated[str, Depends(get_owner)]
