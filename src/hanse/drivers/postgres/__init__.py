"""Databases: a PostgreSQL cluster of its own for each replica, followed by streaming."""
