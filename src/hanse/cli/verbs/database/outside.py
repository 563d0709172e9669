"""A foreign PostgreSQL that a person names by its URL. Its password never stands among the arguments."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanse.ports import Permanent

PASSWORD_MAX_BYTES = 4096
_SECRETS = ("password", "sslpassword")


@dataclass(frozen=True, slots=True)
class Outside:
    """Where it is, as libpq's words."""

    words: dict[str, str]
    password: str = field(repr=False)

    @property
    def name(self) -> str:
        """For people: `HOST:PORT/DATABASE`, no password in it."""
        host = self.words.get("host") or self.words.get("hostaddr") or "this machine"
        port = f":{self.words['port']}" if "port" in self.words else ""
        return f"{host}{port}/{self.words['dbname']}"

    @property
    def where(self) -> dict[str, Any]:
        """For a session of this process."""
        return {**self.words, **({"password": self.password} if self.password else {})}

    @property
    def environment(self) -> dict[str, str]:
        """For a program of PostgreSQL's that gets `conninfo` as its database."""
        mine = dict(os.environ)
        if self.password:
            mine["PGPASSWORD"] = self.password
        return mine

    def conninfo(self) -> str:
        """Everything but the password."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(**self.words)


def outside(url: str, password_file: Path | None) -> Outside:
    """Never repeats the URL: there may be a password in it.

    Raises Permanent(`url-malformed`, `password-shown`, `file-unreadable`).
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        words = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        raise malformed("it cannot be read") from None
    if any(name in words for name in _SECRETS):
        raise Permanent(
            "password-shown",
            "The URL holds a password, and other users of this machine can read the arguments of a command. "
            "Take it out and give it with --password-file FILE, in $PGPASSWORD or in ~/.pgpass; and change "
            "it, if others work on this machine.",
        )
    if "dbname" not in words:
        raise malformed("it names no database")
    return Outside(words, _password(password_file))


def malformed(why: str) -> Permanent:
    """A URL that leads nowhere."""
    return Permanent(
        "url-malformed",
        f"This is no URL of a PostgreSQL database: {why}. Write postgresql://USER@HOST:PORT/DATABASE.",
    )


def _password(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        with file.open("rb") as handle:
            return handle.read(PASSWORD_MAX_BYTES).decode().splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        why = getattr(error, "strerror", None) or "its first line is no password"
        raise Permanent("file-unreadable", f"{file} cannot be read: {why}.") from error
