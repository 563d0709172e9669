"""The hub's memory: SQLite, and a store in memory with the same promises."""
