"""The database's schema as a list of steps. Steps are only ever added: a step that was released is never changed.

Step N brings a database from version N-1 to N; `database.py` runs each in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiosqlite

Migration = Callable[[aiosqlite.Connection], Awaitable[None]]


async def create_conversations(connection: aiosqlite.Connection) -> None:
    """Conversations are trees of messages: each message names its parent, the conversation names the visible leaf."""
    await connection.execute(
        """
        CREATE TABLE conversations (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            system_prompt TEXT,
            sampling TEXT,
            leaf_id TEXT REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED
        ) STRICT
        """
    )
    # A parent has no ON DELETE CASCADE: SQLite would recurse once per message and stops at 1,000 of them. Deferred,
    # because all messages of a conversation go together and their order does not matter.
    await connection.execute(
        """
        CREATE TABLE messages (
            id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            parent_id TEXT REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            reasoning TEXT NOT NULL,
            state TEXT NOT NULL,
            created_at REAL NOT NULL,
            model_name TEXT,
            error TEXT,
            error_code TEXT,
            finish_reason TEXT,
            usage TEXT,
            timings TEXT
        ) STRICT
        """
    )
    await connection.execute("CREATE INDEX conversations_by_update ON conversations (updated_at)")
    await connection.execute("CREATE INDEX messages_by_conversation ON messages (conversation_id)")
    await connection.execute("CREATE INDEX messages_by_parent ON messages (parent_id)")
    await connection.execute("CREATE INDEX messages_in_flight ON messages (state) WHERE state = 'streaming'")


async def create_preferences(connection: aiosqlite.Connection) -> None:
    """What a person chose in the page: one row a preference, the value as JSON."""
    await connection.execute("CREATE TABLE preferences (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")


async def create_sessions(connection: aiosqlite.Connection) -> None:
    """Browsers that signed in (by the hash of their token), and the hash of the passphrase that they used."""
    await connection.execute(
        """
        CREATE TABLE sessions (
            token_hash TEXT PRIMARY KEY,
            label TEXT NOT NULL,
            address TEXT NOT NULL,
            created_at REAL NOT NULL,
            seen_at REAL NOT NULL
        ) STRICT
        """
    )
    await connection.execute(
        "CREATE TABLE passphrase (id INTEGER PRIMARY KEY CHECK (id = 1), hash TEXT NOT NULL) STRICT"
    )


async def add_context_notes(connection: aiosqlite.Connection) -> None:
    """What an answer's model no longer saw of the conversation (JSON), and how much was read before it was sent."""
    await connection.execute("ALTER TABLE messages ADD COLUMN trimmed TEXT")
    await connection.execute("ALTER TABLE messages ADD COLUMN read_ahead INTEGER NOT NULL DEFAULT 0")


async def create_first_visit(connection: aiosqlite.Connection) -> None:
    """One row from the first sign-in or chosen passphrase on, for ever. Data that have a passphrase are not new."""
    await connection.execute("CREATE TABLE first_visit (id INTEGER PRIMARY KEY CHECK (id = 1)) STRICT")
    await connection.execute("INSERT INTO first_visit SELECT 1 WHERE EXISTS (SELECT 1 FROM passphrase)")


async def create_model_records(connection: aiosqlite.Connection) -> None:
    """What people keep about model files (lists and defaults as JSON), and presets: a model's defaults with a name."""
    await connection.execute(
        """
        CREATE TABLE model_records (
            id INTEGER PRIMARY KEY,
            model_id TEXT NOT NULL,
            file_name TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            fingerprint TEXT NOT NULL,
            title TEXT,
            tags TEXT NOT NULL,
            is_favourite INTEGER NOT NULL,
            notes TEXT NOT NULL,
            defaults TEXT NOT NULL,
            used_at REAL,
            UNIQUE (file_name, size_bytes)
        ) STRICT
        """
    )
    await connection.execute(
        """
        CREATE TABLE model_presets (
            name TEXT PRIMARY KEY COLLATE NOCASE,
            record_id INTEGER NOT NULL REFERENCES model_records (id) ON DELETE CASCADE,
            defaults TEXT NOT NULL,
            created_at REAL NOT NULL
        ) STRICT
        """
    )
    await connection.execute("CREATE INDEX model_presets_by_record ON model_presets (record_id)")


async def create_doctor_reports(connection: aiosqlite.Connection) -> None:
    """What the doctor found of each model, as JSON."""
    await connection.execute(
        """
        CREATE TABLE doctor_reports (
            model_id TEXT PRIMARY KEY,
            created_at REAL NOT NULL,
            report TEXT NOT NULL
        ) STRICT
        """
    )


async def create_files_and_batches(connection: aiosqlite.Connection) -> None:
    """Files that programs sent or that batches wrote (contents lie in the data folder), and the batches as JSON."""
    await connection.execute(
        """
        CREATE TABLE files (
            id TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            purpose TEXT NOT NULL,
            name TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL
        ) STRICT
        """
    )
    await connection.execute(
        """
        CREATE TABLE batches (
            id TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            created_at REAL NOT NULL,
            is_open INTEGER NOT NULL,
            batch TEXT NOT NULL
        ) STRICT
        """
    )
    await connection.execute("CREATE INDEX files_by_owner ON files (owner, created_at)")
    await connection.execute("CREATE INDEX batches_by_owner ON batches (owner, created_at)")


async def create_api_keys(connection: aiosqlite.Connection) -> None:
    """Keys of programs, by the hash of their token; what they may do and how much, as JSON; what they have used."""
    await connection.execute(
        """
        CREATE TABLE api_keys (
            id TEXT PRIMARY KEY,
            token_hash TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            hint TEXT NOT NULL,
            scopes TEXT NOT NULL,
            limits TEXT NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL,
            used_at REAL,
            num_requests INTEGER NOT NULL DEFAULT 0,
            prompt_tokens INTEGER NOT NULL DEFAULT 0,
            generated_tokens INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """
    )


async def create_responses(connection: aiosqlite.Connection) -> None:
    """Answers of the Responses API, each naming the one that it goes on from, with its items: input, then output."""
    await connection.execute(
        """
        CREATE TABLE responses (
            id TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            previous_id TEXT,
            status TEXT NOT NULL,
            created_at REAL NOT NULL,
            used_at REAL NOT NULL,
            size_bytes INTEGER NOT NULL,
            body TEXT NOT NULL
        ) STRICT
        """
    )
    await connection.execute(
        """
        CREATE TABLE response_items (
            response_id TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            id TEXT NOT NULL,
            is_output INTEGER NOT NULL,
            item TEXT NOT NULL,
            PRIMARY KEY (response_id, position)
        ) STRICT
        """
    )
    await connection.execute("CREATE INDEX responses_by_use ON responses (used_at, size_bytes)")
    await connection.execute("CREATE INDEX response_items_by_id ON response_items (id)")
    await connection.execute(
        "CREATE INDEX responses_in_flight ON responses (status) WHERE status IN ('queued', 'in_progress')"
    )


async def create_message_images(connection: aiosqlite.Connection) -> None:
    """Pictures of messages, as they were sent; a message names its own, divided by blanks."""
    await connection.execute("ALTER TABLE messages ADD COLUMN images TEXT NOT NULL DEFAULT ''")
    await connection.execute(
        """
        CREATE TABLE message_images (
            id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            data BLOB NOT NULL
        ) STRICT
        """
    )
    await connection.execute("CREATE INDEX message_images_by_conversation ON message_images (conversation_id)")


MIGRATIONS: tuple[Migration, ...] = (
    create_conversations,
    create_preferences,
    create_sessions,
    add_context_notes,
    create_first_visit,
    create_model_records,
    create_doctor_reports,
    create_files_and_batches,
    create_api_keys,
    create_responses,
    create_message_images,
)
