"""Which files a copy of a cluster needs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

EMPTY = frozenset(
    {
        *("pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots"),
        *("pg_stat_tmp", "pg_subtrans", "pg_stat"),
    }
)
"""Directories whose content is the source's own; the server fills them itself."""
CONTROL = "global/pg_control"
"""Copied after everything else, so that it never says more than the files hold."""
_OWN = frozenset(
    {
        *("postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "current_logfiles"),
        *("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "postgresql.auto.conf.tmp"),
        *("standby.signal", "recovery.signal", CONTROL),
    }
)
_RELATION = re.compile(r"(.*/\d+)(_init|_fsm|_vm)?(\.\d+)?")
_PASSING = re.compile(r"(.*/)?(pgsql_tmp.*|pg_internal\.init.*|t\d+_\d+.*)")
LIST = """
with recursive found(path, size, isdir, modified) as (
  select name, stat.size, stat.isdir, stat.modification
  from pg_ls_dir('.', true, false) as name, lateral pg_stat_file(name, true) as stat
  union all
  select found.path || '/' || name, stat.size, stat.isdir, stat.modification
  from found, lateral pg_ls_dir(found.path, true, false) as name,
       lateral pg_stat_file(found.path || '/' || name, true) as stat
  where found.isdir and found.path <> all(%s)
)
select path, size, isdir, extract(epoch from modified)::bigint from found where size is not null
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the source, relative to its data directory. `modified`: whole seconds of its clock."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What is to be copied: directories, shallow ones first, and files."""

    directories: tuple[str, ...]
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(one.size for one in self.files)


def listing_of(rows: Iterable[tuple[str, int, bool, int]]) -> Listing:
    """From the rows of `LIST`: without what is the source's own, passing, or lost at a crash anyway."""
    kept = [row for row in rows if _is_wanted(row[0])]
    unlogged = {path.removesuffix("_init") for path, _, is_directory, _ in kept if path.endswith("_init")}
    files = [
        File(path, size, modified)
        for path, size, is_directory, modified in kept
        if not is_directory and not _is_unlogged(path, unlogged)
    ]
    directories = sorted(path for path, _, is_directory, _ in kept if is_directory)
    return Listing(tuple(directories), tuple(sorted(files, key=lambda one: one.path)))


def _is_wanted(path: str) -> bool:
    if path.startswith("/") or ".." in path.split("/"):
        return False
    return path not in _OWN and not _PASSING.fullmatch(path) and "pgsql_tmp" not in path


def _is_unlogged(path: str, unlogged: set[str]) -> bool:
    found = _RELATION.fullmatch(path)
    return found is not None and found.group(1) in unlogged and found.group(2) != "_init"
