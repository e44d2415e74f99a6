"""A process that fetches a model and is there to be killed: `python -m tests.support.fetch_model HUB FOLDER MODEL`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from webui.core.downloads import Downloads
from webui.library.hub.client import HubClient


async def main(endpoint: str, models_dir: str, reference: str) -> None:
    downloads = Downloads(Path(models_dir), lambda: HubClient(endpoint))
    await downloads.open()
    await downloads.start(reference)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
