"""The hub's tables. One generic table of versioned records; see docs/decisions/0001."""

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()

record = Table(
    "record",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("record_by_state", "kind", "state", "key"),
)

instruction = Table(
    "instruction",
    metadata,
    Column("serial", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("site", "subject", name="instruction_newest_of_subject"),
    Index("instruction_by_site", "site", "serial"),
)

entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Index("entry_by_subject", "subject", "id"),
    sqlite_autoincrement=True,
)

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Integer, nullable=False),
)
