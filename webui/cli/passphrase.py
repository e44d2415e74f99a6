"""Change the passphrase from the terminal, while no server runs over the same data."""

from __future__ import annotations

from webui.config import Settings
from webui.core.access import Access
from webui.core.data_lock import DataLock
from webui.store.database import Database, make_private_folder
from webui.store.sessions import SessionStore


async def change_passphrase(settings: Settings, new: str) -> None:
    """Raises WeakPassphrase, and ConfigurationError while a server runs (its page changes it, under Share)."""
    make_private_folder(settings.data_dir)
    lock = DataLock(settings.data_dir)
    lock.acquire()
    try:
        database = await Database.open(settings.data_dir / "glasshouse.db")
        try:
            access = Access(SessionStore(database), passphrase=settings.passphrase)
            await access.load()
            await access.change_passphrase(new)
        finally:
            await database.close()
    finally:
        lock.release()
