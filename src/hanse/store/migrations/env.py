"""Run by Alembic: brings the tables of the given connection up to date, in its transaction."""

from alembic import context

from hanse.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
