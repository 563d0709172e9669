"""What two buckets hold, compared object by object on disk: memory stays bounded.

An object's fingerprint is the ETag that its *source* shows: the MD5 of the content, or, for an object
uploaded in parts, an ETag that says nothing about content. So a follower remembers for each object
it copied which ETag the source showed and which one its own copy has. That makes both sides' positions
comparable, and finds what was rewritten with the same size.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hanse.drivers.bucket.s3 import Listed

_SCHEMA = """
create table if not exists copied(
  key blob primary key, source_size integer, source_etag text, source_modified text,
  own_size integer, own_etag text) without rowid;
create table if not exists source(key blob primary key, size integer, etag text, modified text) without rowid;
create table if not exists own(key blob primary key, size integer, etag text, modified text) without rowid;
create table if not exists job(key blob primary key, size integer) without rowid;
create table if not exists done(
  key blob primary key, size integer, etag text, modified text) without rowid;
delete from source; delete from own; delete from job;
"""

# An object is the same if this follower copied exactly that version and still has that copy, or if
# both show the same ETag and no copy of another version of it is remembered.
_WANTED = """
select s.key, s.size from source s
left join own o on o.key = s.key
left join copied c on c.key = s.key
where o.key is null
or not (
  (c.key is not null and c.source_size = s.size and c.source_etag = s.etag
     and c.source_modified = s.modified and c.own_size = o.size and c.own_etag = o.etag)
  or (o.size = s.size and o.etag = s.etag
     and (c.key is null or c.source_etag <> s.etag or c.source_modified = s.modified)))
order by s.key
"""
_STRAY = (
    "select o.key, o.size from own o left join source s on s.key = o.key where s.key is null order by o.key"
)
_SHOWN = """
select o.key, o.size, coalesce(c.source_etag, o.etag) from own o
left join copied c on c.key = o.key and c.own_size = o.size and c.own_etag = o.etag
order by o.key
"""
_OWN = "select key, size, etag from own order by key"
_REMEMBER = """
insert or replace into copied
select s.key, s.size, s.etag, s.modified, o.size, o.etag
from job j join source s on s.key = j.key join own o on o.key = j.key
where s.size = o.size and (s.etag = o.etag or instr(s.etag, '-') > 0 or instr(o.etag, '-') > 0)
"""

# Also where a copy of another version is remembered: after a move there and back both sides show the
# same ETag again, and the one remembered from before would make equal content look different.
_NOTICE = """
insert or replace into copied
select s.key, s.size, s.etag, s.modified, o.size, o.etag from source s join own o on o.key = s.key
left join copied c on c.key = s.key
where s.size = o.size and s.etag = o.etag and (c.key is null or c.source_etag <> s.etag)
"""

# What was uploaded here in parts, before this side followed, while the source shows the MD5 of the whole.
_UNPROVEN = """
select s.key, s.size, s.etag from source s
join own o on o.key = s.key
left join copied c on c.key = s.key and c.source_size = s.size and c.source_etag = s.etag
  and c.source_modified = s.modified and c.own_size = o.size and c.own_etag = o.etag
where c.key is null and s.size = o.size and instr(s.etag, '-') = 0 and instr(o.etag, '-') > 0
order by s.key
"""
_SAME = """
insert or replace into copied
select s.key, s.size, s.etag, s.modified, o.size, o.etag
from source s join own o on o.key = s.key where s.key = ?
"""
_NOTED = """
insert or replace into copied
select s.key, s.size, s.etag, s.modified, o.size, o.etag
from done d
join source s on s.key = d.key and s.size = d.size and s.etag = d.etag and s.modified = d.modified
join own o on o.key = d.key and o.size = d.size
"""

_CLEAR = {"source": "delete from source", "own": "delete from own"}
_ADD = {
    "source": "insert or replace into source values(?, ?, ?, ?)",
    "own": "insert or replace into own values(?, ?, ?, ?)",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """So many objects of so many bytes."""

    objects: int
    bytes: int


class Content:
    """One comparison. Blocking: call it from a thread."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def clear(self, table: str) -> None:
        """Forget the listing `source` or `own`."""
        self._database.execute(_CLEAR[table])

    def add(self, table: str, page: Iterable[Listed]) -> None:
        """Add to the listing `source` or `own`."""
        rows = ((one.key.encode(), one.size, one.etag, one.modified) for one in page)
        self._database.executemany(_ADD[table], rows)

    def drop(self, key: str) -> None:
        """This object is no longer in `own`."""
        self._database.execute("delete from own where key = ?", (key.encode(),))

    def amount(self, table: str) -> Amount:
        """Objects and bytes of `source`, `own` or `job`."""
        query = f"select count(*), coalesce(sum(size), 0) from {table}"  # noqa: S608 - see fill
        objects, size = self._database.execute(query).fetchone()
        return Amount(objects, size)

    def wanted(self) -> Iterator[tuple[str, int]]:
        """Key and size of what the source has and this side has not, or not so."""
        return self._keys(_WANTED)

    def stray(self) -> Iterator[tuple[str, int]]:
        """Key and size of what only this side has."""
        return self._keys(_STRAY)

    def unproven(self) -> Iterator[tuple[str, int, str]]:
        """Key, size and the source's MD5 of what only a look at the own content can tell."""
        for key, size, etag in self._database.execute(_UNPROVEN).fetchall():
            yield key.decode(), size, etag

    def prove(self, key: str) -> None:
        """The own content of this object is the source's: it was read and compared."""
        self._database.execute(_SAME, (key.encode(),))

    def note(self, key: str) -> None:
        """This object of the job has arrived whole; kept even if the pass is cut short."""
        query = "insert or replace into done select key, size, etag, modified from source where key = ?"
        self._database.execute(query, (key.encode(),))
        self._database.commit()

    def recall(self) -> None:
        """With both sides listed: what an earlier pass noted need not be copied again."""
        self._database.execute(_NOTED)
        self._database.execute("delete from done")

    def begin_job(self) -> Amount:
        """Note down what is wanted; what was remembered of it is no longer true."""
        self._database.execute("delete from job")
        self._database.execute(f"insert into job {_WANTED}")
        self._database.execute("delete from copied where key in (select key from job)")
        return self.amount("job")

    def job(self) -> Iterator[tuple[str, int]]:
        """Key and size of all that was wanted when the job began."""
        return self._keys("select key, size from job order by key")

    def has_parts(self) -> bool:
        """Whether something of the job was uploaded in parts: its copy shows another ETag."""
        query = "select 1 from job j join source s on s.key = j.key where instr(s.etag, '-') > 0 limit 1"
        return self._database.execute(query).fetchone() is not None

    def finish_job(self, *, clean: bool) -> None:
        """With both sides listed anew: remember what is now the same.

        An ETag that is no MD5 proves nothing, so such objects count only if every copy went well.
        """
        self._database.execute(_REMEMBER if clean else _REMEMBER + " and s.etag = o.etag")
        self._database.execute(_NOTICE)
        if clean:
            self._database.execute("delete from done")

    def position(self, *, following: bool) -> str:
        """SHA-256 over (key, size, fingerprint) in key order; a follower shows its source's fingerprints."""
        digest = hashlib.sha256()
        for key, size, etag in self._database.execute(_SHOWN if following else _OWN):
            digest.update(b"%d:%s%d:%s\n" % (len(key), key, size, etag.encode()))
        return "sha256:" + digest.hexdigest()

    def differences(self) -> tuple[int, list[str]]:
        """How many objects differ, and the first names."""
        names = [key for key, _ in self.wanted()] + [key for key, _ in self.stray()]
        return len(names), names[:5]

    def _keys(self, query: str) -> Iterator[tuple[str, int]]:
        for key, size in self._database.execute(query):
            yield key.decode(), size


@contextmanager
def comparison(path: Path) -> Iterator[Content]:
    """Open the follower's memory. A lost or damaged one costs copying again, never a difference."""
    try:
        database = _open(path)
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
        database = _open(path)
    try:
        yield Content(database)
    finally:
        with closing(database), suppress(sqlite3.Error):
            database.commit()


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    path.chmod(0o600)
    database.execute("pragma synchronous=off")
    database.executescript(_SCHEMA)
    return database
