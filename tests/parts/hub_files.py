"""Application files for hub tests."""

RECORDS = """\
hanse: 1
name: records
components:
  the-db:
    kind: postgres
    size: {vcpu: 1, memory_gib: 2, storage_gib: 20}
    extensions: [pg_trgm]
"""
"""A database alone."""


def clinic_file(image: str, *, clients: str = "session") -> str:
    """A web component over a database, exposed."""
    return f"""\
hanse: 1
name: clinic
components:
  db:
    kind: postgres
    size: {{vcpu: 1, memory_gib: 2, storage_gib: 20}}
    databases: [records, audit]
    extensions: [pg_trgm, uuid-ossp]
  web:
    kind: container
    image: {image}
    env: {{DATABASE_URL: "${{db.url}}"}}
    size: {{vcpu: 1, memory_gib: 1}}
    uses:
      - {{component: db, clients: {clients}}}
    expose: {{port: 8080}}
"""


def shop_file(
    image: str, *, storage: str = "10", memory: str = "1", way_back: str = "24h", policy: str = ""
) -> str:
    """A web component over a bucket, exposed."""
    return f"""\
hanse: 1
name: shop
{policy}components:
  files:
    kind: bucket
    size: {{storage_gib: {storage}}}
    way_back: {way_back}
  web:
    kind: container
    image: {image}
    size: {{vcpu: 1, memory_gib: {memory}}}
    uses:
      - component: files
    expose: {{port: 8080}}
"""
