"""What is kept in SQLite: conversations, preferences, sign-ins."""
