"""Alembic's place: every change of the hub's tables, in order."""
