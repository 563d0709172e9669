"""What a program needs to use a component through a local port; the secret is in a file of mode 0600."""

import os
from typing import Any

from hanse.cli.reach.way import Way, malformed
from hanse.cli.show.table import moment

Facts = dict[str, Any]


def facts_of(way: Way, address: str, port: int) -> Facts:
    """Everything but the secret, which is written anew to its file. Raises Permanent, OSError."""
    found = way.found
    facts: Facts = {
        "component": way.component,
        "kind": found["kind"],
        "site": found["site"],
        "expires_at": found["expires_at"],
        "pid": os.getpid(),
    }
    if found["kind"] == "postgres":
        return facts | _of_database(way, address, port)
    facts["endpoint"] = f"http://{address}:{port}"
    return facts | _of_bucket(way) if way.credential else facts


def _of_bucket(way: Way) -> Facts:
    return {
        "bucket": way.found["bucket"],
        "region": way.found["region"],
        "access_key": _field(way, "access_key"),
        "secret_key_file": _kept(way, "secret_key", _field(way, "secret_key")),
    }


def _of_database(way: Way, address: str, port: int) -> Facts:
    user, password = _field(way, "user"), _field(way, "password")
    line = (
        ":".join(_escaped(part) for part in (address, str(port)))
        + f":*:{_escaped(user)}:{_escaped(password)}"
    )
    databases = way.found["databases"]
    return {
        "host": address,
        "port": port,
        "user": user,
        "database": way.credential.get("database") or databases[0],
        "databases": databases,
        "passfile": _kept(way, "pgpass", line + "\n"),
    }


def _escaped(text: str) -> str:
    """As a line of a password file wants it."""
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _field(way: Way, name: str) -> str:
    try:
        return way.credential[name]
    except KeyError:
        raise malformed() from None


def _kept(way: Way, name: str, secret: str) -> str:
    from hanse.trust.keys import write_private

    file = way.keys.directory / name
    write_private(file, secret.encode())
    return str(file)


def words_of(facts: Facts) -> list[str]:
    """The same for a person."""
    lines = [f"{facts['component']} at {facts['site']}, until {moment(facts['expires_at'])} UTC or Ctrl-C:"]
    if facts["kind"] == "postgres":
        return lines + _database_words(facts)
    lines.append(f"  endpoint    {facts['endpoint']}")
    if "bucket" in facts:
        lines += [
            f"  bucket      {facts['bucket']}",
            f"  region      {facts['region']}",
            f"  access key  {facts['access_key']}",
            f"  secret key  in {facts['secret_key_file']} (this user only; gone afterwards)",
        ]
    return lines


def _database_words(facts: Facts) -> list[str]:
    others = [name for name in facts["databases"] if name != facts["database"]]
    also = f" (and {', '.join(others)})" if others else ""
    command = f"psql -h {facts['host']} -p {facts['port']} -U {facts['user']} {facts['database']}"
    return [
        f"  host        {facts['host']}",
        f"  port        {facts['port']}",
        f"  user        {facts['user']}",
        f"  database    {facts['database']}{also}",
        f"  password    in {facts['passfile']} (a password file; this user only; gone afterwards)",
        f"  with psql   PGPASSFILE={facts['passfile']} {command}",
    ]
